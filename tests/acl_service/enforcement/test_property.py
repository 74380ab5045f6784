"""Whatever changes, connects, fails and restarts: at the end the broker holds what the rights at the end cover.

A model of who is in which group stands beside it; it knows nothing of how enforcement works.
"""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from directory import people, rules
from directory.changes import Change
from directory.database import Database
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import BROKEN, Stage, Worker, another, stage, until
from tests.acl_service.serving import activate_profile, add_group, add_person
from tests.emqx.mqtt import MqttClient

PEOPLE = ("ann", "ben", "cid")
GROUPS = ("red", "sea")
CLIENTS = ("pc", "tab")
CHIEF = "chief"
"""Owns both groups and is innocent of everything."""

person, group, device = st.sampled_from(PEOPLE), st.sampled_from(GROUPS), st.sampled_from(CLIENTS)
STEP = st.one_of(
    st.tuples(st.just("join"), group, person),
    st.tuples(st.just("leave"), group, person),
    st.tuples(st.just("connect"), person, device, st.booleans()),
    st.tuples(st.just("drop"), person, device),
    st.tuples(st.just("subscribe"), person, device, group),
    st.tuples(st.just("deny"), person, group),
    st.tuples(st.just("permit"), person, group),
    st.tuples(st.just("disable"), person),
    st.tuples(st.just("enable"), person),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail"), st.integers(1, 6)),
    st.tuples(st.just("settle")),
)


def topic_of(group_id: str) -> str:
    return f"mchat/group/{group_id}"


@dataclass
class Company:
    """The stage, and beside it what a reader of the steps would say.

    Attributes:
        members: by group.
        denies: the number of the deny by person and group.
        off: people who are disabled.
        there: clients that are connected, by client id.
        heard: groups whose topic a session was granted, and that its person has had a right to ever since.
    """

    stage: Stage
    members: dict[str, set[str]] = field(default_factory=lambda: {one: {CHIEF} for one in GROUPS})
    denies: dict[tuple[str, str], int] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    there: dict[str, MqttClient] = field(default_factory=dict)
    heard: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    worker: AsyncExitStack = field(default_factory=AsyncExitStack)
    broken: int = 0

    # -- what may be ------------------------------------------------------------------------------

    def may_hear(self, person_id: str) -> set[str]:
        return {
            one for one in GROUPS if person_id in self.members[one] and (person_id, one) not in self.denies
        }

    def peers(self, person_id: str) -> set[str]:
        return {person_id}.union(*(some for some in self.members.values() if person_id in some))

    def rules(self, person_id: str) -> set[str]:
        if person_id in self.off:
            return set()
        return set(map(topic_of, self.may_hear(person_id))) | {
            f"mchat/status/{one}" for one in self.peers(person_id)
        }

    def lose(self, person_id: str, group_id: str) -> None:
        for client in CLIENTS:
            self.heard[f"{person_id}_{client}"].discard(group_id)

    # -- the steps --------------------------------------------------------------------------------

    async def join(self, group_id: str, person_id: str) -> None:
        if person_id in self.members[group_id] or person_id in self.off:
            return
        self.members[group_id].add(person_id)
        await self.stage.join(group_id, person_id)

    async def leave(self, group_id: str, person_id: str) -> None:
        if person_id not in self.members[group_id]:
            return
        self.members[group_id].discard(person_id)
        self.lose(person_id, group_id)
        await self.stage.leave(group_id, person_id)

    async def connect(self, person_id: str, client: str, clean: bool) -> None:
        name = f"{person_id}_{client}"
        await self.drop(person_id, client)
        came = self.stage.clients.make(
            name, username=person_id, password=self.stage.tokens[person_id], clean_session=clean
        )
        assert await came.connect() == (5 if person_id in self.off else 0)
        if person_id in self.off:
            return
        self.there[name] = came
        if not came.session_present[-1]:
            self.heard[name].clear()

    async def drop(self, person_id: str, client: str) -> None:
        name = f"{person_id}_{client}"
        came = self.there.pop(name, None)
        if came is not None and not came.closed:
            await came.disconnect()
        session = self.stage.laptop.broker.session(name)
        if session is None or not session.persistent:
            self.heard[name].clear()

    async def subscribe(self, person_id: str, client: str, group_id: str) -> None:
        came = self.there.get(f"{person_id}_{client}")
        if came is None or came.closed or person_id in self.off:
            return
        (code,) = await came.subscribe(topic_of(group_id))
        if group_id in self.may_hear(person_id):
            assert code == 1, "a right of this moment is granted, whatever the enforcement is at"
            self.heard[came.paho._client_id.decode()].add(group_id)

    async def deny(self, person_id: str, group_id: str) -> None:
        if (person_id, group_id) in self.denies:
            return
        found: list[int] = []

        async def add(change: Change) -> None:
            found.append(
                await rules.add(
                    change,
                    subject_kind="employee",
                    subject_id=person_id,
                    effect="deny",
                    action="subscribe",
                    filter=topic_of(group_id),
                    reason="of the test",
                )
            )

        await self.stage.change(add)
        self.denies[person_id, group_id] = found[0]
        self.lose(person_id, group_id)

    async def permit(self, person_id: str, group_id: str) -> None:
        number = self.denies.pop((person_id, group_id), None)
        if number is not None:
            await self.stage.change(lambda change: rules.remove(change, number))

    async def disable(self, person_id: str) -> None:
        if person_id in self.off:
            return
        self.off.add(person_id)
        await self.stage.change(lambda change: people.set_status(change, person_id, "disabled"))
        # Their sessions end now or soon; enabled again before that, they are let stay.
        for client in CLIENTS:
            self.there.pop(f"{person_id}_{client}", None)
            self.heard[f"{person_id}_{client}"].clear()

    async def enable(self, person_id: str) -> None:
        if person_id in self.off:
            self.off.discard(person_id)
            await self.stage.change(lambda change: people.set_status(change, person_id, "active"))

    async def restart(self) -> None:
        """The worker is killed where it stands: claims and lease stay, until their time is over."""
        await self.worker.aclose()
        self.stage.clock.ahead_ms += 11_000
        self.worker = AsyncExitStack()
        worker: Worker = await self.worker.enter_async_context(another(self.stage))
        worker.wire.fault = self.fault

        async def nothing(*_: Any) -> None:
            pass

        worker.enforcement.acls._let_go = nothing  # type: ignore[assignment]
        worker.enforcement._lease.give_back = nothing  # type: ignore[method-assign]
        await self.worker.enter_async_context(worker.enforcement.running())

    async def fail(self, calls: int) -> None:
        self.broken = calls

    async def fault(self, request: Request) -> Answer | None:
        if not self.broken:
            return None
        self.broken -= 1
        return BROKEN

    async def settle(self) -> None:
        await self.stage.enforced()

    # -- the end ----------------------------------------------------------------------------------

    async def compare(self) -> None:
        await self.stage.settled()
        sessions = {one.client_id for one in self.stage.laptop.broker.sessions}
        for name in sessions:
            await until(lambda name=name: self.stage.rules(name) == self.rules(name.partition("_")[0]))  # type: ignore[misc]
        for name in sessions - {f"{CHIEF}_pc"}:
            owner = name.partition("_")[0]
            assert owner not in self.off, f"{name} is there still"
            topics = self.stage.topics(name)
            assert topics <= set(map(topic_of, self.may_hear(owner))), f"{name} hears too much"
            assert topics >= set(map(topic_of, self.heard[name])), (
                f"{name} lost what was its right throughout"
            )
        for name, client in self.there.items():
            assert client.closed == 0, f"{name} was ended and had done nothing"
        await until(lambda: {name for name in self._ruled() if name not in sessions} == set())

    def _ruled(self) -> set[str]:
        return {name for name, _ in self.stage.laptop.broker.sources.database.all("clientid")}


async def play(folder: Path, steps: list[tuple[Any, ...]]) -> None:
    database = Database.open(f"sqlite:///{folder}")
    try:
        await activate_profile(database)
        tokens = {name: await add_person(database, name) for name in (*PEOPLE, CHIEF)}
        for one in GROUPS:
            await add_group(database, one, CHIEF)
        async with stage(database) as running:
            running.tokens = tokens
            chief = await running.come(CHIEF, None, *map(topic_of, GROUPS))
            company = Company(running)
            await company.restart()
            try:
                for name, *values in steps:
                    await getattr(company, name)(*values)
                company.broken = 0
                await company.compare()
            finally:
                await company.worker.aclose()
            assert chief.closed == 0
            assert running.topics(f"{CHIEF}_pc") == set(map(topic_of, GROUPS))
    finally:
        await database.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner() as runner:
        runner.run(work)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEP, min_size=4, max_size=24))
def test_the_broker_ends_at_what_the_rights_cover(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("play") / "mchat.db"
    run(play(Path(shutil.copy(sqlite_template, folder)), steps))
