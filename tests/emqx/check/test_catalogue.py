from pathlib import Path

from emqx.check.catalogue import document
from emqx.check.inspection import KINDS
from emqx.check.trials import KINDS as TRIALS

DOCUMENT = Path(__file__).parents[3] / "docs" / "emqx-check.md"


def test_the_document_lists_what_the_code_finds() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), (
        "write it anew: python -m emqx.check.catalogue docs/emqx-check.md"
    )


def test_every_kind_is_told_once_with_reason_source_and_remedy() -> None:
    text = document()
    for kind in (*KINDS, *TRIALS):
        assert text.count(f"| `{kind.code}` |") == 1
        assert all((kind.meaning, kind.source, kind.remedy))
