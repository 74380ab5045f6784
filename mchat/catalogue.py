"""The commands by name: a command's module is imported when that command is said, and no other's.

Together they import nearly everything that there is, which took a second of every ``mchat person list``.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from mchat.imports import importing


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what is said of it before it is imported.

    Attributes:
        module: of the command.
        attribute: the command's function there, or the `typer.Typer` of its sub-commands.
        help: what ``mchat --help`` shows: the command's own help, word for word.
    """

    module: str
    attribute: str
    help: str


COMMANDS: Final = {
    "listen": Entry(
        "mchat.tryout",
        "listen",
        "Subscribe and print what arrives; exit code 1 when the broker refuses, 2 when it does not answer.",
    ),
    "publish": Entry(
        "mchat.tryout",
        "publish",
        "Publish one message with QoS 1; MQTT 3.1.1 does not tell a publisher that it was refused.",
    ),
    "call": Entry(
        "mchat.gateway_commands",
        "call",
        "Ask the gateway for an action and print its answer as JSON; exit code 1 when it is refused, 2 when none "
        "comes.",
    ),
    "chat": Entry(
        "mchat.gateway_commands",
        "chat",
        "Write to a person or a group, a line a message, and see what arrives; Ctrl-D ends.",
    ),
    "revocations": Entry(
        "mchat.revocation_commands",
        "revocations",
        "Show the changes of rights that are being carried out in the broker, and how long the last ones took.",
    ),
    "init": Entry(
        "mchat.installation_commands",
        "init",
        "Make the database, the secrets, the first people and the first policy; what is there stays.",
    ),
    "serve": Entry(
        "mchat.process_commands",
        "serve",
        "Answer the broker (hooks), serve the admin API (admin), do the background work (worker); answer people over\n"
        "MQTT (gateway).",
    ),
    "laptop": Entry(
        "mchat.process_commands",
        "laptop",
        "Run the laptop broker: MQTT 3.1.1 on loopback, asking the hooks as EMQX does.",
    ),
    "up": Entry(
        "mchat.process_commands",
        "up",
        "Run everything on this machine: hooks, admin API, worker, a gateway, and a laptop broker in place of EMQX.",
    ),
    "explain": Entry(
        "mchat.explanation_commands",
        "explain",
        "Say what a client may do and why: every rule that spoke, the winner, and whether the broker asks.",
    ),
    "person": Entry("mchat.person_commands", "app", "People: add, list, disable, give credentials."),
    "group": Entry("mchat.group_commands", "app", "Groups: add, list, members."),
    "client": Entry(
        "mchat.client_commands", "app", "Client ids beside people's own: register, remove, list."
    ),
    "policy": Entry("mchat.policy_commands", "app", "Policy documents."),
    "emqx": Entry(
        "mchat.emqx_commands",
        "emqx_app",
        "The broker's configuration: check it, apply it, remove it, write it as a file.",
    ),
    "acl": Entry("mchat.acl_commands", "app", "Rules that stand in the broker: show those of a client."),
    "presence": Entry(
        "mchat.presence_commands", "app", "Who is online, and what became of a person's devices."
    ),
}


def load(name: str) -> Any:
    """Import a command of the table, as typer makes it: a command, or a group of them.

    Raises:
        KeyError: there is none of that name.
    """
    entry = COMMANDS[name]
    with importing():
        found = getattr(import_module(entry.module), entry.attribute)
    shelf = typer.Typer()
    if isinstance(found, typer.Typer):
        shelf.add_typer(found, name=name)
    else:
        shelf.command(name)(found)
    return typer.main.get_group(shelf).commands[name]


class Catalogue(TyperGroup):
    """All commands of the table, each in name and help only until it is said."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=entry.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that was said, and import it."""
        name, known, rest = super().resolve_command(ctx, args)
        return name, known if name is None else load(name), rest
