"""``mchat up --check``: the whole stack on free ports in a temporary folder, tried with real MQTT clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from directory import credentials, groups, people
from directory.database import Database
from directory.secret import hash_password, new_token, token_digest
from emqx.settings import LaptopSettings, split_bind
from mchat.installation import GATEWAY, Installed
from mchat.laptop_stack import Addresses, now_ms, stack
from mchat.probe import NoAnswer, Probe
from mchat.roots import opened
from mchat.settings import CommandSettings, access_settings, directory_settings

REFUSED = "refused"
CONNECTED = "connected"
GRANTED = "granted"

REMOVAL_S = 2.0
"""An allow may come from memory until the change feed has told of the removal (decision 7)."""

Await = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass(slots=True)
class Trial:
    """What was tried, what should come out and what did."""

    what: str
    expected: str
    got: str

    @property
    def good(self) -> bool:
        """Whether it came out as it should."""
        return self.expected == self.got


@dataclass(slots=True)
class Trials:
    """The trials so far."""

    done: list[Trial] = field(default_factory=list)

    def add(self, what: str, expected: str, attempt: Callable[[], str]) -> None:
        """Try one thing; a broker that does not answer is an outcome too."""
        try:
            got = attempt()
        except (NoAnswer, OSError) as error:
            got = f"{type(error).__name__}: {error}"
        self.done.append(Trial(what, expected, got))


async def run(console: Console) -> int:
    """Try everything and print a table; 0 when all came out as it should, else 1."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mchat-check-") as folder, _clean_environment(Path(folder)):
        command = CommandSettings()
        # The hook secret's file is made by the installation, before the broker reads it.
        laptop = LaptopSettings(hook_secret_file=command.secrets.hook)
        addresses = Addresses.read(access_settings(command), laptop)
        async with (
            stack(command, addresses) as (_, installed),
            opened(directory_settings(command)) as database,
        ):
            loop = asyncio.get_running_loop()

            def await_(work: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result(10)

            port = split_bind(addresses.mqtt)[1]
            trials = await asyncio.to_thread(_try_all, port, database, installed, await_)
    console.print(_table(trials))
    good = all(trial.good for trial in trials)
    seconds = time.monotonic() - started
    verdict = "all as expected" if good else "NOT as expected"
    console.print(f"{sum(trial.good for trial in trials)} of {len(trials)} {verdict}, in {seconds:.1f} s")
    return 0 if good else 1


def _try_all(port: int, database: Database, installed: Installed, await_: Await) -> list[Trial]:
    """Drive the clients; runs in a thread, the stack is watched on the event loop."""
    password, token = "correct horse battery", new_token()
    await_(_people(database, password, token))
    trials = Trials()

    def connecting(client_id: str, username: str, secret: str) -> Callable[[], str]:
        def attempt() -> str:
            with Probe(port, client_id, username, secret) as probe:
                return CONNECTED if probe.connect() == 0 else REFUSED

        return attempt

    trials.add("alice connects with her password", CONNECTED, connecting("alice_pc", "alice", password))
    trials.add(
        "alice connects with a wrong password", REFUSED, connecting("alice_pc", "alice", "wrong horse")
    )
    trials.add("bob connects with his token", CONNECTED, connecting("bob_pc", "bob", token))
    trials.add("bob connects with alice's client id", REFUSED, connecting("alice_pc", "bob", token))
    trials.add("a client id that is nobody's", REFUSED, connecting("stray", "bob", token))
    trials.add("nobody connects without a credential", REFUSED, connecting("alice_pc", "alice", ""))
    with (
        Probe(port, "alice_pc", "alice", password) as alice,
        Probe(port, "bob_pc", "bob", token) as bob,
        Probe(port, f"{GATEWAY}_check", GATEWAY, installed.tokens[GATEWAY]) as gateway,
    ):
        for probe in (alice, bob, gateway):
            probe.connect()
        _try_topics(trials, alice, bob, gateway, database, await_)
    return trials.done


def _try_topics(
    trials: Trials, alice: Probe, bob: Probe, gateway: Probe, database: Database, await_: Await
) -> None:
    def subscribing(probe: Probe, topic: str) -> Callable[[], str]:
        return lambda: REFUSED if probe.subscribe(topic) == 128 else GRANTED

    trials.add("alice subscribes her own inbox", GRANTED, subscribing(alice, "mchat/inbox/alice"))
    trials.add("alice subscribes bob's inbox", REFUSED, subscribing(alice, "mchat/inbox/bob"))
    trials.add("alice subscribes everything (#)", REFUSED, subscribing(alice, "#"))
    trials.add("alice, a member, subscribes her group", GRANTED, subscribing(alice, "mchat/group/team"))
    trials.add("bob, an outsider, subscribes that group", REFUSED, subscribing(bob, "mchat/group/team"))
    trials.add("the gateway subscribes all requests", GRANTED, subscribing(gateway, "mchat/msg/req/+/+"))
    trials.add("bob subscribes his own inbox", GRANTED, subscribing(bob, "mchat/inbox/bob"))

    def request() -> str:
        alice.publish("mchat/msg/req/bob_pc/1", "forged")
        alice.publish("mchat/msg/req/alice_pc/1", "request")
        return " ".join(gateway.heard(until="request"))

    trials.add("alice sends a forged and an honest request", "request", request)

    def inbox() -> str:
        alice.publish("mchat/inbox/bob", "forged")
        gateway.publish("mchat/inbox/bob", "delivered")
        return " ".join(bob.heard(until="delivered"))

    trials.add("alice writes into bob's inbox, then the gateway", "delivered", inbox)

    def group() -> str:
        gateway.publish("mchat/group/team", "to the team")
        gateway.publish("mchat/inbox/bob", "to bob")
        heard = alice.heard(until="to the team")
        return f"alice: {' '.join(heard)}; bob: {' '.join(bob.heard(until='to bob'))}"

    trials.add("a group message reaches the member only", "alice: to the team; bob: to bob", group)

    def join() -> str:
        await_(_change_members(database, "bob"))
        return subscribing(bob, "mchat/group/team")()

    trials.add("bob is added and subscribes at once", GRANTED, join)

    def leave() -> str:
        await_(_change_members(database, "bob", remove=True))
        ends = time.monotonic() + REMOVAL_S
        while (outcome := subscribing(bob, "mchat/group/team")()) == GRANTED and time.monotonic() < ends:
            time.sleep(0.01)
        return outcome

    trials.add("bob is removed: refused within two seconds", REFUSED, leave)


async def _people(database: Database, password: str, token: str) -> None:
    async with database.change("mchat-check", now_ms()) as change:
        for employee_id in ("alice", "bob"):
            await people.add(change, employee_id=employee_id, name=employee_id)
        await credentials.add_password(change, "alice", hash_password(password))
        await credentials.add_token(change, "bob", token_digest(token))
        await groups.create(change, name="Team", creator="alice", group_id="team")


async def _change_members(database: Database, employee_id: str, *, remove: bool = False) -> None:
    async with database.change("mchat-check", now_ms()) as change:
        if remove:
            await groups.remove_members(change, "team", [employee_id])
        else:
            await groups.add_members(change, "team", [employee_id])


@contextlib.contextmanager
def _clean_environment(folder: Path) -> Iterator[None]:
    """This process's settings, and its children's, as on a fresh machine: free ports, no ``.env``, nothing else."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("MCHAT_"):
            del os.environ[name]
    ports = _free_ports(4)
    os.environ["MCHAT_VAR"] = str(folder / "var")
    os.environ["MCHAT_HOOKS_BIND"], os.environ["MCHAT_ADMIN_BIND"] = ports[:2]
    os.environ["MCHAT_LAPTOP_TCP_BIND"], os.environ["MCHAT_LAPTOP_WS_BIND"] = ports[2:]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack_:
        taken = [stack_.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in taken]


def _table(trials: list[Trial]) -> Table:
    table = Table("what was tried", "expected", "got", "")
    for trial in trials:
        table.add_row(
            trial.what, trial.expected, trial.got, "[green]✓[/]" if trial.good else "[bold red]✗[/]"
        )
    return table
