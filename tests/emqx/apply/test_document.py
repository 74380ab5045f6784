"""The plan that docs/emqx.md shows is the plan of a fresh broker."""

import re
from pathlib import Path

from emqx.apply.plan import plan
from emqx.conf.files import files
from tests.emqx.apply.stage import staged

DOCUMENT = Path(__file__).parents[3] / "docs" / "emqx.md"


async def test_the_plan_in_the_document_is_that_of_a_fresh_broker() -> None:
    async with staged() as stage:
        steps = plan(await stage.present(), stage.wanted).steps
        assert stage.wanted.listener is not None
        port = stage.wanted.listener["bind"]
    lines = [f"{number:>3}. {step.line}" for number, step in enumerate(steps, 1)]
    shown = re.findall(r"^ ?[ \d]\d\. .*$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert shown == [line.replace(port, "127.0.0.1:1884") for line in lines]


def test_the_files_that_it_names_are_there() -> None:
    named = re.findall(r"\]\(\.\./emqx/conf/([\w.-]+)\)", DOCUMENT.read_text(encoding="utf-8"))
    assert set(named) == {"README.md", "mchat.conf"}
    assert set(named) <= set(files())
