"""The trials of ``mchat up --check``: what real MQTT clients try on a running stack, and what should come out."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from directory import credentials, groups, people
from directory.database import Database
from directory.secret import hash_password, new_token, token_digest
from mchat.installation import GATEWAY, Installed
from mchat.probe import NoAnswer, Probe
from mchat.roots import now_ms
from mchat_client import Broker, Client, ClientError, PrivateMessage

REFUSED = "refused"
CONNECTED = "connected"
GRANTED = "granted"
ONLINE = "online"

REMOVAL_S = 2.0
"""An allow may come from memory until the change feed has told of the removal (decision 7)."""

STATUS_S = 10.0
"""The worker that has just been started may still wait for its lease, and reads the broker's list first."""

REQUEST_S = 8.0
"""The gateway answers within milliseconds; on a busy machine it may take a little longer."""

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


class Stopped(Exception):
    """The rest is not to be tried any more."""


@dataclass(slots=True)
class Trials:
    """The trials so far.

    Attributes:
        stop: set by another thread: the next trial is not begun.
    """

    stop: threading.Event
    done: list[Trial] = field(default_factory=list)

    def add(self, what: str, expected: str, attempt: Callable[[], str]) -> None:
        """Try one thing; a broker that does not answer is an outcome too.

        Raises:
            Stopped: nothing more is to be tried.
        """
        if self.stop.is_set():
            raise Stopped
        try:
            got = attempt()
        except (NoAnswer, OSError, ClientError) as error:
            got = f"{type(error).__name__}: {error}"
        self.done.append(Trial(what, expected, got))


def try_all(
    port: int, database: Database, installed: Installed, await_: Await, stop: threading.Event
) -> list[Trial]:
    """Drive the clients, blocking, in a thread of its own.

    Args:
        port: of the broker on 127.0.0.1.
        database: of the stack.
        installed: with the gateway's token.
        await_: runs a coroutine on the event loop that the database belongs to.
        stop: ends it at the next trial.

    Raises:
        Stopped: ``stop`` was set.
    """
    password, token = "correct horse battery", new_token()
    await_(_people(database, password, token))
    trials = Trials(stop)

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
    _try_gateway(trials, Broker(port=port), password, token, await_)
    return trials.done


def _try_gateway(trials: Trials, broker: Broker, password: str, token: str, await_: Await) -> None:
    async def groups_of_alice() -> str:
        async with Client("alice", password, broker, device="check") as alice:
            answer = await alice.request("group.list", timeout_s=REQUEST_S)
            return " ".join(group["group_id"] for group in answer.data["groups"])

    async def message_to_bob() -> str:
        async with (
            Client("alice", password, broker, device="check", timeout_s=REQUEST_S) as alice,
            Client("bob", token, broker, device="check", timeout_s=REQUEST_S) as bob,
            bob.inbox() as inbox,
        ):
            await alice.send_private("bob", "hello bob")
            async with asyncio.timeout(REQUEST_S):
                async for message in inbox:
                    if isinstance(message, PrivateMessage):
                        return f"{message.from_employee_id}: {message.content}"
        return "nothing"

    trials.add("alice asks the gateway for her groups", "team", lambda: str(await_(groups_of_alice())))
    trials.add(
        "alice writes to bob through the gateway", "alice: hello bob", lambda: str(await_(message_to_bob()))
    )


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
    trials.add(
        "bob, who shares no group with alice, subscribes her status",
        REFUSED,
        subscribing(bob, "mchat/status/alice"),
    )

    def status() -> str:
        outcome = subscribing(alice, "mchat/status/alice")()
        return _status(alice) if outcome == GRANTED else outcome

    trials.add("alice, who is connected, reads that she is online", ONLINE, status)

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


def _status(probe: Probe) -> str:
    """Wait until the retained status says that its person is online; the last that it said, if it does not."""
    said = "nothing"
    ends = time.monotonic() + STATUS_S
    while said != ONLINE and time.monotonic() < ends:
        for payload in probe.heard(until="", patience_s=0.1):
            said = json.loads(payload)["status"]
    return said


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
