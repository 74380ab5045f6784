"""What ``mchat up`` says when everything runs: where it is, the new credentials, and what to try next."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from directory.connections import parse_url
from emqx.settings import ListenerSettings
from mchat.installation import GATEWAY, PROFILE, Installed
from mchat.settings import CommandSettings, directory_settings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens, ``host:port`` each; ``listeners`` are further ones of the laptop broker, ``api`` its
    REST API, ``gateway`` the gateway's health, empty where none runs."""

    hooks: str
    admin: str
    mqtt: str
    websocket: str
    listeners: tuple[ListenerSettings, ...] = ()
    api: str = ""
    gateway: str = ""


def show(console: Console, command: CommandSettings, addresses: Addresses, installed: Installed) -> None:
    """Print it: a line is never cropped or wrapped by us, so that it can be copied at any width and from a file."""
    console.rule("MChat is up")
    for line in lines(command, addresses, installed):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    console.rule()


def lines(command: CommandSettings, addresses: Addresses, installed: Installed) -> Iterator[str]:
    """The lines between the rules; a command is a whole line behind two blanks."""
    yield f"MQTT broker (laptop)  {addresses.mqtt}, WebSocket ws://{addresses.websocket}/mqtt"
    for listener in addresses.listeners:
        kind = f"ws://{listener.bind}/mqtt" if listener.ws else listener.bind
        mountpoint = f", mountpoint {listener.mountpoint}" if listener.mountpoint else ""
        yield f"MQTT, one more        {kind}, zone {listener.zone}{mountpoint}"
    yield f"Broker's REST API     http://{addresses.api}/api/v5"
    yield f"Its key and secret    {command.secrets.api_key}, {command.secrets.api_secret}"
    yield f"Hooks for the broker  http://{addresses.hooks}/emqx/authn, authz, events"
    yield f"Admin API             http://{addresses.admin}, with /health/ready and /metrics"
    if addresses.gateway:
        yield f"Gateway               answers mchat/msg/req/+/+; http://{addresses.gateway}/health/link and /metrics"
    database = parse_url(directory_settings(command).database_url)
    yield f"Database              {database.set(drivername=database.get_backend_name())}"
    yield f"Policy                {installed.policy.name}, version {installed.policy.version}"
    yield f"Logs                  {command.var / 'log'}"
    if command.secrets.gateway_token.exists():
        yield f"The gateway's token   {command.secrets.gateway_token}"
    if installed.tokens:
        yield ""
        yield "New credentials, shown this once:"
        for employee_id, token in installed.tokens.items():
            yield f"{employee_id}: {token}"
    yield ""
    if installed.policy.name == PROFILE:
        yield from _next_steps(command)
    else:
        yield f"What to try next hangs on the policy {installed.policy.name}: `mchat explain` tells who may do what."
    yield ""
    yield f"Any MQTT 3.1.1 client on {addresses.mqtt} will do in place of listen and publish."
    yield "Ctrl-C stops everything."


def _next_steps(command: CommandSettings) -> Iterator[str]:
    mchat = _program()
    alice, bob = (shlex.quote(str(command.var / name)) for name in ("alice", "bob"))
    gateway = shlex.quote(str(command.secrets.gateway_token))
    yield "Try next, in another terminal, in this folder:"
    if given := sorted(name for name in os.environ if name.startswith("MCHAT_")):
        yield f"(with the variables that are set here: {', '.join(given)})"
    yield "two people, and a group that one of them is a member of:"
    yield f"  {mchat} person add alice --save {alice}"
    yield f"  {mchat} person add bob --save {bob}"
    yield f"  {mchat} group add team --owner alice"
    yield "bob may not listen to the group, and why:"
    yield f"  {mchat} listen mchat/group/team --as bob --secret-file {bob}"
    yield f"  {mchat} explain --client bob_pc --action subscribe --topic mchat/group/team"
    yield "now he is a member and may, until Ctrl-C:"
    yield f"  {mchat} group member team bob"
    yield f"  {mchat} listen mchat/group/team --as bob --secret-file {bob}"
    yield "in a third terminal: alice may not publish there, so bob hears nothing; the gateway may:"
    yield f"  {mchat} publish mchat/group/team forged --as alice --secret-file {alice}"
    yield f"  {mchat} publish mchat/group/team hello --as {GATEWAY} --secret-file {gateway}"
    yield "everything at once, on free ports in a temporary folder:"
    yield f"  {mchat} up --check"


def _program() -> str:
    """The ``mchat`` beside this Python, as it is called from the current folder."""
    program = Path(sys.executable).with_name("mchat")
    if not program.exists():
        return f"{shlex.quote(sys.executable)} -m mchat"
    folder = Path.cwd()
    return shlex.quote(str(program.relative_to(folder) if program.is_relative_to(folder) else program))
