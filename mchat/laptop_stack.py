"""``mchat up``: everything on this machine, with SQLite and the laptop broker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from acl_service.settings import AccessSettings
from directory.connections import parse_url
from emqx.settings import LaptopSettings, split_bind
from mchat.errors import CommandError
from mchat.installation import ADMIN, Installed, initialise, make_folder
from mchat.listeners import bind, stop_signals
from mchat.settings import CommandSettings, access_settings, directory_settings
from mchat.supervisor import Part, Supervisor, child_environment


def now_ms() -> int:
    """Wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens."""

    hooks: str
    admin: str
    mqtt: str
    websocket: str

    @classmethod
    def read(cls, access: AccessSettings, laptop: LaptopSettings) -> Addresses:
        """The addresses that the settings say."""
        return cls(access.hooks_bind, access.admin_bind, laptop.tcp_bind, laptop.ws_bind)

    def check_free(self) -> None:
        """Raise CommandError for the first that is taken, before anything is started."""
        for address, setting in (
            (self.hooks, "MCHAT_HOOKS_BIND"),
            (self.admin, "MCHAT_ADMIN_BIND"),
            (self.mqtt, "MCHAT_LAPTOP_TCP_BIND"),
            (self.websocket, "MCHAT_LAPTOP_WS_BIND"),
        ):
            bind(address, setting).close()


@contextlib.asynccontextmanager
async def stack(
    command: CommandSettings, addresses: Addresses
) -> AsyncIterator[tuple[Supervisor, Installed]]:
    """Everything running and ready; stopped when the block ends.

    Raises:
        CommandError: an address is taken, or a process did not become ready.
    """
    addresses.check_free()
    installed = await initialise(command, directory_settings(command), now_ms)
    logs = command.var / "log"
    make_folder(logs)
    parts = [
        Part("serve", ("serve",), ready_url=f"http://{addresses.admin}/health/ready"),
        Part("laptop", ("laptop",), ready_port=split_bind(addresses.mqtt)),
    ]
    # Only hooks on this machine answer the laptop broker, wherever they are bound.
    environment = child_environment({"MCHAT_LAPTOP_HOOKS_URL": f"http://{addresses.hooks}"})
    supervisor = Supervisor(parts, logs, environment)
    await supervisor.start()
    try:
        yield supervisor, installed
    finally:
        await supervisor.stop()


async def up(command: CommandSettings, console: Console) -> None:
    """Run until Ctrl-C or SIGTERM.

    Raises:
        CommandError: something could not be started, or a process ended by itself.
    """
    async with stop_signals() as stop:
        laptop = LaptopSettings(hook_secret_file=command.secrets.hook)
        addresses = Addresses.read(access_settings(command), laptop)
        async with stack(command, addresses) as (supervisor, installed):
            console.print(banner(command, addresses, installed))
            ended = asyncio.create_task(supervisor.first_end())
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, stopped):
                task.cancel()
            if not stop.is_set():
                raise CommandError(await ended)
            console.print("stopping …")


def banner(command: CommandSettings, addresses: Addresses, installed: Installed) -> Panel:
    """What runs where, and what to try next."""
    mchat = ".venv/bin/mchat"
    host, port = split_bind(addresses.mqtt)
    text = Text()
    text.append("MQTT broker (laptop)   ", style="bold")
    text.append(f"{addresses.mqtt}, WebSocket ws://{addresses.websocket}/mqtt\n")
    text.append("Hooks for the broker   ", style="bold")
    text.append(f"http://{addresses.hooks}/emqx/…\n")
    text.append("Admin API              ", style="bold")
    text.append(f"http://{addresses.admin}   health: /health/ready   metrics: /metrics\n")
    text.append("Database, logs         ", style="bold")
    text.append(f"{parse_url(directory_settings(command).database_url)}   {command.var}/log\n")
    for employee_id, token in installed.tokens.items():
        text.append(f"Credential of {employee_id}", style="bold yellow")
        text.append(f" (shown this once): {token}\n")
    text.append("\nTry next, in another terminal:\n", style="bold")
    for line in (
        f"{mchat} person add alice --name Alice --save var/alice",
        f"{mchat} person add bob --name Bob --save var/bob",
        f"{mchat} group add team --name Team --owner alice",
        f"{mchat} listen mchat/group/team --as bob --secret-file var/bob      # refused: no member yet",
        f"{mchat} group member team bob",
        f"{mchat} explain --client bob_pc --action subscribe --topic mchat/group/team",
        f"{mchat} listen mchat/group/team --as bob --secret-file var/bob      # now it listens",
        f"{mchat} publish mchat/group/team hello --as {ADMIN}                 # refused: only the gateway may",
        f"{mchat} publish mchat/group/team hello --as mchat_gateway --secret-file {command.secrets.gateway_token}",
        f"{mchat} up --check",
    ):
        text.append(f"  {line}\n")
    text.append(f"\nAny MQTT 3.1.1 client on {host}:{port} will do. Ctrl-C stops everything.", style="dim")
    return Panel(text, title="MChat is up", expand=False)
