"""Who imports whom: the arrows of design.md, "The house"."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ARROWS = {
    "directory": set(),
    "emqx": set(),
    "mchat_client": set(),
    "acl_service": {"directory", "emqx"},
    "gateway": {"directory"},
    "mchat": {"directory", "emqx", "acl_service", "gateway", "mchat_client"},
}
PURE = ("acl_service/policy",)
IMPURE = {
    "asyncio",
    "httpx",
    "os",
    "socket",
    "sqlalchemy",
    "starlette",
    "subprocess",
    "threading",
    "time",
    "uvicorn",
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the arrows"
            yield node.module or ""


@pytest.mark.parametrize("package", ARROWS)
def test_a_package_imports_only_what_its_arrows_allow(package: str) -> None:
    files = list((HOUSE / package).rglob("*.py"))
    assert files, f"{package} has no module"
    for file in files:
        ours = {name.partition(".")[0] for name in imports(file)} & ARROWS.keys() - {package}
        assert ours <= ARROWS[package], f"{file.relative_to(HOUSE)} imports {sorted(ours - ARROWS[package])}"


@pytest.mark.parametrize("folder", PURE)
def test_the_core_is_pure(folder: str) -> None:
    for file in (HOUSE / folder).rglob("*.py"):
        impure = {name.partition(".")[0] for name in imports(file)} & (
            IMPURE | ARROWS.keys() - {"acl_service"}
        )
        assert not impure, (
            f"{file.relative_to(HOUSE)} imports {sorted(impure)}: the core takes and returns values"
        )


def test_every_package_of_the_house_stands_in_the_table() -> None:
    packages = {folder.parent.name for folder in HOUSE.glob("*/__init__.py")} - {"tests"}
    assert packages == ARROWS.keys()


def test_no_module_grows_beyond_one_noun() -> None:
    modules = [file for package in ARROWS for file in (HOUSE / package).rglob("*.py")]
    # A migration is a record of one day, not a noun that a reader holds in mind.
    sizes = {file: len(file.read_text().splitlines()) for file in modules if "versions" not in file.parts}
    assert not {str(file.relative_to(HOUSE)): lines for file, lines in sizes.items() if lines > 310}
