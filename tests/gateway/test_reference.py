"""docs/actions.md is what the registry says."""

from pathlib import Path

from gateway.reference import document
from gateway.router import ROUTER

PAGE = Path(__file__).parents[2] / "docs" / "actions.md"


def test_the_page_is_that_of_the_registry() -> None:
    assert PAGE.read_text("utf-8") == document(), "run: python -m gateway.reference docs/actions.md"


def test_every_action_has_its_section_and_data() -> None:
    page = document()
    for action in ROUTER:
        section = page.partition(f"\n## {action.name}\n")[2].partition("\n## ")[0]
        assert action.summary in section
        assert "\nData: " in section and "Who may: " in section
