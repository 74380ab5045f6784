"""``mchat up``: everything on this machine, with SQLite and the laptop broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from rich.console import Console

from acl_service.settings import AccessSettings
from emqx.settings import LaptopSettings, split_bind
from gateway.action_settings import ActionSettings
from gateway.settings import GatewaySettings
from mchat.banner import Addresses, show
from mchat.errors import CommandError
from mchat.installation import PROFILE, Installed, initialise, make_folder
from mchat.listeners import bind
from mchat.roots import now_ms
from mchat.settings import CommandSettings, access_settings, directory_settings, laptop_settings
from mchat.signals import stop_signals, until
from mchat.supervisor import Part, Supervisor, child_environment


@dataclass(frozen=True, slots=True)
class Stack:
    """Everything running: its processes, where they listen, and what was made for them."""

    supervisor: Supervisor
    addresses: Addresses
    installed: Installed


@contextlib.asynccontextmanager
async def stack(command: CommandSettings, gateway: bool | None = None) -> AsyncIterator[Stack]:
    """Everything running and ready; stopped when the block ends.

    Args:
        command: tells where everything lies.
        gateway: whether a gateway runs too; None: if the policy in force is the profile `mchat`, since the others
            let none hear requests.

    Raises:
        CommandError: an address is taken, the settings contradict each other, or a process did not become ready.
    """
    addresses = _addresses(
        access_settings(command), LaptopSettings(), GatewaySettings(), gateway is not False
    )
    installed = await initialise(command, directory_settings(command), now_ms)
    _check_secret(command)
    logs = command.var / "log"
    make_folder(logs)
    parts = [
        Part("serve", ("serve",), ready_url=f"http://{addresses.admin}/health/ready"),
        Part("laptop", ("laptop",), ready_port=split_bind(addresses.mqtt)),
    ]
    if gateway is None:
        gateway = installed.policy.name == PROFILE
    if gateway:
        ready = f"http://{addresses.gateway}/health/ready"
        parts.append(Part("gateway", ("serve", "gateway"), ready_url=ready))
    else:
        addresses = replace(addresses, gateway="")
    # Only hooks on this machine answer the laptop broker, wherever they are bound.
    environment = child_environment(
        {
            "MCHAT_LAPTOP_HOOKS_URL": f"http://{addresses.hooks}",
            "MCHAT_EMQX_URL": f"http://{addresses.api}",
            **_broker(addresses),
        }
    )
    supervisor = Supervisor(parts, logs, environment)
    await supervisor.start()
    try:
        yield Stack(supervisor, addresses, installed)
    finally:
        await supervisor.stop()


async def up(command: CommandSettings, console: Console, gateway: bool | None = None) -> None:
    """Run until Ctrl-C or SIGTERM; ``gateway`` as in `stack`.

    Raises:
        CommandError: something could not be started, or a process ended by itself.
    """
    async with stop_signals() as stop:
        await until(stop, _run(command, console, gateway))


async def _run(command: CommandSettings, console: Console, gateway: bool | None) -> None:
    async with stack(command, gateway) as running:
        show(console, command, running.addresses, running.installed)
        try:
            ended = await running.supervisor.first_end()
        except asyncio.CancelledError:
            console.print("stopping …")
            raise
        raise CommandError(ended)


def _broker(addresses: Addresses) -> dict[str, str]:
    """The laptop broker as the gateway reaches it, and as it tells clients where it is, unless that is set."""
    host, port = split_bind(addresses.mqtt)
    told = ActionSettings().model_fields_set
    seen = {
        "client_host": host,
        "client_port": str(port),
        "client_ws_url": f"ws://{addresses.websocket}/mqtt",
    }
    return {
        "MCHAT_GATEWAY_HOST": host,
        "MCHAT_GATEWAY_PORT": str(port),
        "MCHAT_GATEWAY_TLS": "false",
        "MCHAT_GATEWAY_PROTOCOL": "3.1.1",
        **{f"MCHAT_{name.upper()}": value for name, value in seen.items() if name not in told},
    }


def _addresses(
    access: AccessSettings, laptop: LaptopSettings, gateway: GatewaySettings, with_gateway: bool
) -> Addresses:
    """Where everything will listen; each is tried, before anything is made or started.

    Raises:
        CommandError: one is taken, or leaves its port open although another process must know it.
    """
    addresses = Addresses(
        access.hooks_bind,
        access.admin_bind,
        laptop.tcp_bind,
        laptop.ws_bind,
        laptop.listeners,
        laptop.api_bind,
        gateway.bind,
    )
    for address, setting in (
        (addresses.hooks, "MCHAT_HOOKS_BIND"),
        (addresses.admin, "MCHAT_ADMIN_BIND"),
        (addresses.mqtt, "MCHAT_LAPTOP_TCP_BIND"),
        (addresses.websocket, "MCHAT_LAPTOP_WS_BIND"),
        (addresses.api, "MCHAT_LAPTOP_API_BIND"),
        *((listener.bind, "MCHAT_LAPTOP_LISTENERS") for listener in laptop.listeners),
        *(((addresses.gateway, "MCHAT_GATEWAY_BIND"),) if with_gateway else ()),
    ):
        bind(address, setting).close()
        if address.endswith(":0"):
            raise CommandError(f"{setting}={address}: `mchat up` needs a port that is known: name one")
    return addresses


def _check_secret(command: CommandSettings) -> None:
    """See that the hooks will take what the broker sends, before they refuse everybody.

    Raises:
        CommandError: the laptop broker's secret is none of the hooks'.
    """
    access = access_settings(command)
    laptop = laptop_settings(command, access)
    if laptop.secret() in access.hook_secret_values():
        return
    hooks = [
        name
        for name, value in (
            ("MCHAT_HOOK_SECRETS", access.hook_secrets),
            (f"the file {access.hook_secrets_file}", access.hook_secrets_file),
        )
        if value is not None
    ]
    raise CommandError(
        f"{laptop.secret_setting} is set, and its secret is none that the hooks take ({' and '.join(hooks)}): they "
        "would refuse everybody; remove MCHAT_LAPTOP_HOOK_SECRET and MCHAT_LAPTOP_HOOK_SECRET_FILE, "
        "or add the secret to MCHAT_HOOK_SECRETS"
    )
