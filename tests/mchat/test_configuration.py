from pathlib import Path

from mchat.configuration import SECTIONS, document

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_document_is_what_the_settings_say() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "write it anew: python -m mchat.configuration docs/configuration.md"
    )


def test_every_setting_says_what_it_is() -> None:
    for _, settings in SECTIONS:
        for name, field in settings.model_fields.items():
            assert field.description, f"{settings.__name__}.{name}"
