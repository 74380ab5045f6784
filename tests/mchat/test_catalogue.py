"""The catalogue says of each command what the command says itself, and imports no more than the one that is said."""

import gc
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mchat.catalogue import COMMANDS, load
from mchat.command import app
from mchat.imports import importing
from tests.acceptance.processes import environment

SERVICES = ("acl_service.service", "emqx.api", "gateway.actions", "mchat_client")
LIBRARIES = ("alembic", "httpx", "jwt", "paho", "prometheus_client", "starlette", "uvicorn", "uvloop")
DATABASE = ("psycopg", "sqlalchemy", "pydantic_settings", "structlog")

_RUN = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from mchat.__main__ import main
main()
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_said_to_do_what_it_says_itself(name: str) -> None:
    command = load(name)
    assert command.name == name
    assert COMMANDS[name].help == inspect.cleandoc(command.help)


def test_help_names_every_command() -> None:
    told = CliRunner().invoke(app, ["--help"]).output
    for name, entry in COMMANDS.items():
        assert f" {name} " in told
        assert entry.help.split()[0] in told


def test_a_command_that_is_none_is_refused_with_those_that_are_like_it() -> None:
    done = CliRunner().invoke(app, ["persn"])
    assert done.exit_code == 2
    assert "Did you mean 'person'" in done.output
    assert CliRunner().invoke(app, ["person", "--help"]).exit_code == 0


def test_garbage_is_looked_for_again_after_an_import() -> None:
    assert gc.isenabled()
    with importing():
        assert not gc.isenabled()
        with importing():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()


def imported(folder: Path, *arguments: str) -> set[str]:
    """All modules that a process has imported when its command is done."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *arguments],
        cwd=folder,
        env=environment(folder, var="var"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_help_imports_next_to_nothing(tmp_path: Path) -> None:
    modules = imported(tmp_path, "--help")
    assert "typer" in modules
    assert modules.isdisjoint((*SERVICES, *LIBRARIES, *DATABASE, "asyncio", "directory.database"))


@pytest.mark.parametrize("name", ["listen", "publish", "chat"])
def test_a_client_imports_no_database(name: str, tmp_path: Path) -> None:
    modules = imported(tmp_path, name, "--help")
    assert "paho" in modules
    assert modules.isdisjoint(("sqlalchemy", "psycopg", "gateway.actions", "acl_service.service", "alembic"))


def test_a_look_at_the_directory_imports_what_the_directory_needs(tmp_path: Path) -> None:
    made = imported(tmp_path, "init")
    assert "alembic" in made, "who migrates needs it"
    modules = imported(tmp_path, "person", "list")
    assert modules.issuperset((*DATABASE, "directory.database"))
    assert modules.isdisjoint((*SERVICES, *LIBRARIES, "acl_service.settings", "gateway.settings"))
