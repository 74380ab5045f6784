"""A whole place to probe: hooks on a directory, the laptop broker that asks them, its REST API, and a visitor."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.laptop.server import LaptopBroker
from mchat.emqx_attempts import Outcome
from mchat.emqx_place import Place
from mchat.emqx_probe import dismiss, entitled, visitor
from mchat.emqx_trials import Trials
from tests.acl_service.serving import HOOK_SECRET, Served, activate_profile, now_ms, serving
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.conftest import laptop_settings

MARK = "a1b2c3"


@dataclass(slots=True)
class Stack:
    """What runs."""

    database: Database
    served: Served
    broker: LaptopBroker
    api: BrokerApi

    def place(self, **values: Any) -> Place:
        there: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.broker.tcp_port,
            "gateway": None,
            "inflight": 1024,
            "prefix": "",
            "excluded": "mchat/group/#",
            "has_database": True,
        }
        return Place(**{**there, **values})

    async def outcomes(
        self, clock: Callable[[], float] | None = None, patience_s: float = 5.0, **place: Any
    ) -> dict[str, Outcome]:
        """Everything that a probe tries, by the name of the trial."""
        access = self.served.service.settings
        async with visitor(self.database, now_ms) as guest:
            told = access.model_copy(update={"connect_rules": True})
            rights = await entitled(self.database, told, f"{guest.employee_id}_{MARK}", "default", now_ms())

            async def revoke() -> None:
                await dismiss(self.database, guest.credential_id, now_ms())

            options: dict[str, Any] = {"patience_s": patience_s}
            if clock is not None:
                options["clock"] = clock
            trials = Trials(
                self.place(**place), self.api, self.database, guest, rights, MARK, revoke, **options
            )
            done = await trials.run()
        return {outcome.kind.code.removeprefix("probe."): outcome for outcome in done}


@asynccontextmanager
async def stack(
    database: Database, *, laptop: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Stack]:
    """Everything running."""
    await activate_profile(database)
    async with serving(database, **settings) as served:
        options: dict[str, Any] = {
            "hook_secret": HOOK_SECRET,
            "api_bind": "127.0.0.1:0",
            "api_key": KEY,
            "api_secret": SECRET,
            **(laptop or {}),
        }
        url = str(served.hooks.base_url).rstrip("/")
        async with (
            LaptopBroker(laptop_settings(url, **options)) as broker,
            BrokerApi(api_settings(f"http://127.0.0.1:{broker.api_port}")) as api,
        ):
            yield Stack(database, served, broker, api)
