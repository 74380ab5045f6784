"""How the processes of ``mchat up`` are stopped."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mchat import supervisor
from mchat.supervisor import Part, Supervisor


class Process:
    """One that ends when it is told to; a deaf one only when it is killed."""

    def __init__(self, name: str, log: list[str], *, deaf: bool = False) -> None:
        self._name = name
        self._log = log
        self._deaf = deaf
        self._over = asyncio.Event()
        self.returncode: int | None = None

    def terminate(self) -> None:
        self._log.append(f"{self._name} asked")
        if not self._deaf:
            self._over.set()

    def kill(self) -> None:
        self._log.append(f"{self._name} killed")
        self._over.set()

    async def wait(self) -> int:
        await self._over.wait()
        if self.returncode is None:
            self.returncode = 0
            self._log.append(f"{self._name} ended")
        return self.returncode


def parts(log: list[str], deaf: str = "") -> list[Part]:
    made: list[Part] = []
    for name in ("serve", "laptop", "gateway"):
        process: Any = Process(name, log, deaf=name == deaf)
        made.append(Part(name, (), process=process))
    return made


async def test_each_has_ended_before_the_one_that_it_needs_is_asked(tmp_path: Path) -> None:
    log: list[str] = []
    await Supervisor(parts(log), tmp_path, {}).stop()
    assert log == [f"{name} {what}" for name in ("gateway", "laptop", "serve") for what in ("asked", "ended")]


async def test_one_that_does_not_end_is_killed_and_the_others_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.01)
    log: list[str] = []
    await Supervisor(parts(log, deaf="gateway"), tmp_path, {}).stop()
    assert log[:3] == ["gateway asked", "gateway killed", "gateway ended"]
    assert log[3:] == ["laptop asked", "laptop ended", "serve asked", "serve ended"]
