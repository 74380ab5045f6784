"""The image: what it copies is there, and its health check tells the truth."""

import fnmatch
import importlib.util
import re
import socket
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import ModuleType

import pytest

from tests.docker.composition import FOLDER, HOUSE, documented, ours

DOCKERFILE = (FOLDER / "Dockerfile").read_text()


def copied() -> list[str]:
    """What the Dockerfile copies from the repository."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def test_what_is_copied_is_there_and_is_sent() -> None:
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule[1:] for rule in rules if rule.startswith("!")}
    for source in copied():
        assert (HOUSE / source).exists(), source
        assert any(fnmatch.fnmatch(source, rule) for rule in sent), f"{source} is not sent"
    # And nothing else is, whatever lies about.
    assert sent == set(copied())


def test_every_package_is_copied() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    packages = {
        name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages <= set(copied())
    needed = {
        project["project"]["readme"],
        *project["project"]["license-files"],
        "pyproject.toml",
        "constraints.txt",
    }
    assert needed <= set(copied())


def test_it_is_built_apart_pinned_and_run_by_nobody_special() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    assert len(stages) == 2
    build, run = stages
    assert "--constraint constraints.txt" in build
    assert "pip install" not in run
    user = re.search(r"^USER (\d+):(\d+)$", run, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    assert int(user[2]) > 0
    assert "HEALTHCHECK" in run
    settings = set(re.findall(r"MCHAT_[A-Z_]+", run))
    assert settings == {"MCHAT_VAR", "MCHAT_LOG_JSON"}
    assert settings <= documented()


def test_it_has_a_python_that_the_project_takes() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    version = re.search(r"^ARG PYTHON=(\d+)\.(\d+)-", DOCKERFILE, re.MULTILINE)
    assert version is not None
    least = project["project"]["requires-python"].removeprefix(">=").split(".")
    assert (int(version[1]), int(version[2])) >= tuple(map(int, least))


@pytest.fixture(scope="module")
def health() -> ModuleType:
    spec = importlib.util.spec_from_file_location("health", FOLDER / "health.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.path == "/health/ready" and self.server.ready  # type: ignore[attr-defined]
        self.send_response(200 if ready else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Answer) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (["mchat", "serve", "hooks"], [8085]),
        (["/sbin/docker-init", "--", "python", "/opt/mchat/bin/mchat", "serve", "admin"], [8086]),
        (["mchat", "serve", "gateway"], [8087]),
        (["mchat", "serve", "worker"], []),
        (["mchat", "serve", "worker", "hooks"], [8085]),
        (["mchat", "serve", "--with-parent"], [8085, 8086]),
        (["mchat", "serve"], [8085, 8086]),
        (["mchat", "init"], []),
    ],
    ids=["hooks", "admin", "gateway", "worker", "both", "option", "all", "init"],
)
def test_it_asks_the_listeners_of_the_parts_that_are_served(
    health: ModuleType, command: list[str], asked: list[int]
) -> None:
    assert health.addresses(command, {}) == [f"http://127.0.0.1:{port}/health/ready" for port in asked]


def test_it_asks_where_the_service_listens(health: ModuleType) -> None:
    for name, setting in (("hooks", "MCHAT_HOOKS_BIND"), ("admin", "MCHAT_ADMIN_BIND")):
        service = ours()[name]
        port = service["environment"][setting].rpartition(":")[2]
        found = health.addresses(["mchat", *service["command"]], service["environment"])
        assert found == [f"http://127.0.0.1:{port}/health/ready"]
    assert {setting for setting, _ in health.LISTENERS.values()} <= documented()
    assert health.addresses(["mchat", "serve", "hooks"], {"MCHAT_HOOKS_BIND": "[::]:9"}) == [
        "http://[::1]:9/health/ready"
    ]


def test_it_says_whether_the_process_is_ready(
    health: ModuleType,
    server: HTTPServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = {"MCHAT_HOOKS_BIND": f"0.0.0.0:{server.server_port}"}
    command = ["mchat", "serve", "hooks"]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    server.ready = True  # type: ignore[attr-defined]
    assert health.main(command, environment) == 0
    server.ready = False  # type: ignore[attr-defined]
    assert health.main(command, environment) == 1
    assert "503" in capsys.readouterr().out
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert health.main(command, {"MCHAT_HOOKS_BIND": f"127.0.0.1:{port}"}) == 1
    assert health.main(["mchat", "serve", "worker"], {}) == 0
