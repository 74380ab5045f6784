"""The composition's processes, run as it says, but for the containers around them: a laptop broker is their EMQX."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.docker.composition import FOLDER, environment_of, ours
from tests.postgres import PostgresServer, free_port

HEALTHY_S = 60.0
Process = subprocess.Popen[str]

_ASK = """
import os, runpy, sys
sys.exit(runpy.run_path(sys.argv[1])["main"](sys.argv[2:], os.environ))
"""


class Machine:
    """An empty folder with the secrets of ./prepare, and processes in it."""

    def __init__(self, folder: Path, database: str, stack: ExitStack) -> None:
        (folder / "prepare").write_bytes((FOLDER / "prepare").read_bytes())
        subprocess.run(["sh", str(folder / "prepare")], check=True, stdout=subprocess.DEVNULL)
        self.folder = folder
        self.secrets = folder / "secrets"
        addresses = (f"127.0.0.1:{free_port()}" for _ in range(5))
        self.hooks, self.admin, self.emqx, self.mqtt, self.gateway = addresses
        self._stack = stack
        self._replaced = {
            "mchat@postgres:5432/mchat": database.removeprefix("postgresql://"),
            "0.0.0.0:8085": self.hooks,
            "0.0.0.0:8086": self.admin,
            "http://emqx:18083": f"http://{self.emqx}",
            "http://hooks:8085": f"http://{self.hooks}",
            "/var/lib/mchat/": f"{folder}/var/",
        }
        self._around = {name: value for name, value in os.environ.items() if not name.startswith("MCHAT_")}

    def environment(self, service: str) -> dict[str, str]:
        own = environment_of(ours()[service], self.secrets, **self._replaced)
        if service == "gateway":
            # The laptop broker has one listener for everybody, and speaks MQTT 3.1.1.
            host, _, port = self.mqtt.partition(":")
            own |= {"MCHAT_GATEWAY_HOST": host, "MCHAT_GATEWAY_PORT": port, "MCHAT_GATEWAY_PROTOCOL": "3.1.1"}
            own |= {"MCHAT_GATEWAY_BIND": self.gateway}
        return {**self._around, "MCHAT_VAR": str(self.folder / "var"), **own}

    def start(self, service: str) -> Process:
        """Start what the composition starts."""
        return self.run(ours()[service]["command"], self.environment(service))

    def run(self, words: list[str], environment: Mapping[str, str]) -> Process:
        process = subprocess.Popen(
            [sys.executable, "-m", "mchat", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._stack.callback(_end, process)
        return process

    def healthy(self, service: str) -> bool:
        """What the image's health check says."""
        words = ["mchat", *ours()[service]["command"]]
        done = subprocess.run(
            [sys.executable, "-c", _ASK, str(FOLDER / "health.py"), *words],
            env=self.environment(service),
            stdout=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode == 0

    def until_healthy(self, service: str, process: Process) -> None:
        ends = time.monotonic() + HEALTHY_S
        while not self.healthy(service):
            assert process.poll() is None, f"{service} ended: {process.communicate()[0]}"
            assert time.monotonic() < ends, f"{service} did not become healthy"


def _end(process: Process) -> None:
    process.terminate()
    process.communicate(timeout=30)


def ends(process: Process, code: int) -> str:
    """What a process said that ends by itself."""
    told, _ = process.communicate(timeout=120)
    assert process.returncode == code, told
    return told


@pytest.fixture
def machine(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Machine]:
    name = f"mchat_{uuid4().hex}"
    url = postgres_server.create(name)
    with ExitStack() as stack:
        yield Machine(tmp_path, url, stack)
    postgres_server.drop(name)


@pytest.mark.postgres
@pytest.mark.timeout(400)  # eight processes, one after another
def test_every_process_runs_as_the_composition_says(machine: Machine) -> None:
    # Without a schema the hooks say what is missing, and the health check does not take them for well.
    assert "mchat init" in ends(machine.start("hooks"), 2)
    assert not machine.healthy("hooks")

    assert "admin: mct_" in ends(machine.start("init"), 0)
    running = {name: machine.start(name) for name in ("hooks", "admin")}
    for name, process in running.items():
        machine.until_healthy(name, process)

    # The broker has what EMQX is given: the key for its API, and where the hooks are.
    laptop = machine.run(
        ["laptop"],
        {
            **machine.environment("worker"),
            "MCHAT_LAPTOP_TCP_BIND": machine.mqtt,
            "MCHAT_LAPTOP_WS_BIND": "127.0.0.1:0",
            "MCHAT_LAPTOP_API_BIND": machine.emqx,
            "MCHAT_LAPTOP_API_KEY_FILE": str(machine.secrets / "emqx-api-key"),
            "MCHAT_LAPTOP_API_SECRET_FILE": str(machine.secrets / "emqx-api-secret"),
            "MCHAT_LAPTOP_HOOKS_URL": f"http://{machine.hooks}",
        },
    )
    assert laptop.stdout is not None
    assert "laptop_broker_started" in laptop.stdout.readline()
    running |= {name: machine.start(name) for name in ("worker", "gateway")}
    # With the credential that `init` left on the volume that they share.
    machine.until_healthy("gateway", running["gateway"])
    # It is no EMQX: docs/emqx.md says which two dangers are found on it, and that the rest is well.
    told = ends(machine.start("check"), 1)
    assert "2 dangers" in told
    assert "gateway.listener" in told
    assert machine.healthy("worker")
    for process in running.values():
        process.terminate()
        ends(process, 0)
