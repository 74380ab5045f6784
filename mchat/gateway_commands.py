"""``mchat call`` and ``mchat chat``: what clients do over MQTT, from the command line, to try the gateway with."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterable
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from emqx.settings import LaptopSettings, split_bind
from mchat.errors import CommandError
from mchat.imports import importing
from mchat.keyboard import credential
from mchat.screen import shown
from mchat.settings import CommandSettings, access_settings
from mchat.tryout import As, Client, SecretFile
from mchat_client import (
    Broker,
    ClientError,
    ConnectRefused,
    GroupMessage,
    Missed,
    NoAnswer,
    PrivateMessage,
    Refused,
    Stream,
    SubscriptionRefused,
    SystemMessage,
    Unreachable,
)
from mchat_client import Client as ChatClient

_GATEWAY: Final = "Does a gateway run (`mchat up`, `mchat serve gateway`)?"

BrokerPlace = Annotated[
    str | None,
    typer.Option(
        "--broker",
        help="HOST:PORT of the broker, or its URL (mqtt://, mqtts://, ws://, wss://); when left out, the laptop "
        "broker's (MCHAT_LAPTOP_TCP_BIND).",
    ),
]


def call(
    action: Annotated[str, typer.Argument(help="Name of the action, as in docs/actions.md: org.tree.")],
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE|KEY@FILE]...",
            help="Its parameters: a text as it is, lists as a,b or JSON, anything else as JSON; with @ from a file, "
            "as secrets should be.",
        ),
    ] = None,
    *,
    as_: As,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: BrokerPlace = None,
    seq_id: Annotated[
        str | None,
        typer.Option(
            help="Sequence id, to ask again what was asked under it by the same --client; else a new one."
        ),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=300, help="Seconds to wait for the answer.")] = 15.0,
) -> None:
    """Ask the gateway for an action and print its answer as JSON; exit code 1 when it is refused, 2 when none comes."""
    # The registry of the actions is the gateway's, with all that it imports: a chat needs none of it.
    with importing():
        from mchat.gateway_parameters import parameters

    wanted = parameters(action, given or ())
    one = _client(as_, credential(as_, secret_file), broker, client)
    _run(one, _call(one, action, wanted, seq_id, timeout))


def chat(
    person: Annotated[str | None, typer.Argument(help="Employee id of the person to write to.")] = None,
    *,
    as_: As,
    group: Annotated[str | None, typer.Option(help="Write to this group instead.")] = None,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: BrokerPlace = None,
) -> None:
    """Write to a person or a group, a line a message, and see what arrives; Ctrl-D ends."""
    if (person is None) == (group is None):
        raise CommandError("name a person to write to, or a group with --group, and not both")
    one = _client(as_, credential(as_, secret_file), broker, client)
    _run(one, _chat(one, person, group))


def _client(employee_id: str, secret: str, broker: str | None, client_id: str | None) -> ChatClient:
    """The client of these options.

    Raises:
        CommandError: one of them is none.
    """
    try:
        if broker is not None and "://" in broker:
            place = Broker.from_url(broker)
        else:
            host, port = split_bind(broker or LaptopSettings().tcp_bind)
            place = Broker(host, port)
        service = access_settings(CommandSettings()).service
        return ChatClient(employee_id, secret, place, service=service, device="cli", client_id=client_id)
    except (ClientError, ValueError) as error:
        raise CommandError(str(error)) from error


def _run(client: ChatClient, work: Coroutine[Any, Any, None]) -> None:
    """Do it.

    Raises:
        CommandError: the broker or the gateway does not answer.
        typer.Exit: with code 1, the broker refused.
    """
    try:
        asyncio.run(work)
    except (ConnectRefused, SubscriptionRefused) as error:
        remedy = (
            "the credential is wrong or has ended, the client id is not this person's, or the policy in force does not "
            "let clients ask a gateway; the log of `mchat serve` says which"
        )
        typer.echo(f"{error}: {remedy}", err=True)
        raise typer.Exit(1) from error
    except NoAnswer as error:
        again = f"the same command with --client {client.client_id} --seq-id {error.seq_id} asks again"
        raise CommandError(f"{error}; {again}. {_GATEWAY}") from error
    except Unreachable as error:
        raise CommandError(
            f"{error}; does the broker run (`mchat up`), and is --broker its address?"
        ) from error
    except ClientError as error:
        raise CommandError(str(error)) from error


async def _call(
    client: ChatClient, action: str, wanted: dict[str, Any], seq_id: str | None, timeout_s: float
) -> None:
    async with client:
        try:
            answer = await client.request(action, timeout_s=timeout_s, seq_id=seq_id, **wanted)
        except Refused as refused:
            _print(refused.code, refused.message, refused.data, refused.seq_id)
            raise typer.Exit(1) from refused
    _print(0, answer.message, answer.data, answer.seq_id)


def _print(code: int, message: str, data: dict[str, Any], seq_id: str) -> None:
    answer = {"code": code, "message": message, "data": data, "seq_id": seq_id}
    typer.echo(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())


async def _chat(client: ChatClient, person: str | None, group: str | None) -> None:
    console = Console(soft_wrap=True)
    async with client, client.inbox() as inbox:
        if group is None:
            await _converse(client, console, person, None, (inbox,))
        else:
            async with client.group(group) as messages:
                await _converse(client, console, None, group, (inbox, messages))


async def _converse(
    client: ChatClient,
    console: Console,
    person: str | None,
    group: str | None,
    streams: Iterable[Stream[Any]],
) -> None:
    """Until the keyboard ends, or a stream does."""
    typer.echo(
        f"you are {client.employee_id}, writing to {person or f'group {group}'}; Ctrl-D ends", err=True
    )
    tasks: list[asyncio.Task[Any]] = [
        asyncio.create_task(_show(console, stream, client.employee_id)) for stream in streams
    ]
    writing = asyncio.create_task(_write(client, person, group))
    tasks.append(writing)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if writing in done and writing.result():
            raise typer.Exit(1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _write(client: ChatClient, person: str | None, group: str | None) -> int:
    """Send what is typed, until it ends; returns how many lines were not sent, or not answered."""
    lines = _typed(asyncio.get_running_loop())
    failed = 0
    while (line := await lines.get()) is not None:
        if not line.strip():
            continue
        try:
            if group is None:
                await client.send_private(person or "", line)
            else:
                await client.send_group(group, line)
        except Refused as error:
            failed += 1
            typer.echo(str(error), err=True)
        except NoAnswer as error:
            failed += 1
            typer.echo(f"{error}. {_GATEWAY}", err=True)
    return failed


async def _show(console: Console, stream: Stream[Any], own: str) -> None:
    async for message in stream:
        match message:
            case GroupMessage(from_employee_id=author) if author == own:
                continue
            case PrivateMessage():
                line = f"{message.from_employee_id}: {_words(message.content)}"
            case GroupMessage():
                line = f"{message.group_id}, {message.from_employee_id}: {_words(message.content)}"
            case SystemMessage():
                line = f"({message.action} {message.group_id or ''})"
            case Missed():
                line = f"(messages are missing here: {message.why})"
            case _:
                continue
        # What others write could move the cursor or set colours.
        console.print(
            Text(f"{message.sent_at[11:19]} ") + shown(line) if hasattr(message, "sent_at") else shown(line)
        )


def _words(content: str | dict[str, Any]) -> str:
    if isinstance(content, str):
        return content
    body = content.get("body")
    return body if isinstance(body, str) else msgspec.json.encode(content).decode()


def _typed(loop: asyncio.AbstractEventLoop) -> asyncio.Queue[str | None]:
    """The lines of standard input, then None; read by a thread, since a file or a terminal would stop the loop."""
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        try:
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
            loop.call_soon_threadsafe(lines.put_nowait, None)
        except RuntimeError:
            # The chat ended first, and its loop with it.
            return

    threading.Thread(target=read, daemon=True, name="keyboard").start()
    return lines
