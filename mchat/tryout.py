"""``mchat listen`` and ``mchat publish``: a small MQTT client to try things with; any other one will do too."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Any

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from emqx.settings import split_bind
from mchat.errors import CommandError

Broker = Annotated[str, typer.Option(help="HOST:PORT of the broker.", envvar="MCHAT_LAPTOP_TCP_BIND")]
As = Annotated[str, typer.Option("--as", help="Employee id to log in as.")]
Client = Annotated[
    str | None, typer.Option(help="Client id; the employee id with a random end when left out.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the credential; else MCHAT_SECRET of the environment, else it is asked for."
    ),
]
ANSWER_S = 10.0


def listen(
    topic: Annotated[str, typer.Argument(help="Topic filter to subscribe.")],
    as_: As,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: Broker = "127.0.0.1:1883",
    count: Annotated[int, typer.Option(help="Stop after so many messages; 0 = never.")] = 0,
) -> None:
    """Subscribe and print what arrives; exit code 1 when the broker refuses."""
    seen = 0

    def arrived(connection: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal seen
        seen += 1
        typer.echo(f"{message.topic} {message.payload.decode(errors='replace')}")
        if seen == count:
            connection.disconnect()

    def subscribed(connection: mqtt.Client, _: Any, __: int, codes: list[ReasonCode], ___: Any) -> None:
        if any(code.is_failure for code in codes):
            connection.user_data_set(f"subscribing {topic} was refused")
            connection.disconnect()
        else:
            typer.echo(f"listening to {topic} as {as_}", err=True)

    connection = _connection(as_, client, _secret(as_, secret_file), lambda it: it.subscribe(topic, qos=1))
    connection.on_message = arrived
    connection.on_subscribe = subscribed
    _run(connection, broker)


def publish(
    topic: Annotated[str, typer.Argument(help="Topic name.")],
    message: Annotated[str, typer.Argument(help="What to say.")],
    as_: As,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: Broker = "127.0.0.1:1883",
    retain: Annotated[bool, typer.Option("--retain")] = False,
) -> None:
    """Publish one message with QoS 1; MQTT 3.1.1 does not tell a publisher that it was refused."""

    def published(connection: mqtt.Client, *_: Any) -> None:
        typer.echo(
            "the broker has taken it; a refused message is dropped without a word (MQTT 3.1.1)", err=True
        )
        connection.disconnect()

    connection = _connection(
        as_, client, _secret(as_, secret_file), lambda it: it.publish(topic, message, qos=1, retain=retain)
    )
    connection.on_publish = published
    _run(connection, broker)


def _connection(employee_id: str, client_id: str | None, secret: str, begin: Any) -> mqtt.Client:
    connection = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id or f"{employee_id}_try_{secrets.token_hex(4)}",
        protocol=mqtt.MQTTv311,
    )
    connection.username_pw_set(employee_id, secret)

    def connected(it: mqtt.Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
        if code != ReasonCode(PacketTypes.CONNACK, "Success"):
            it.user_data_set(f"connecting as {employee_id} was refused: {code}")
            it.disconnect()
        else:
            begin(it)

    connection.on_connect = connected
    return connection


def _run(connection: mqtt.Client, broker: str) -> None:
    host, port = split_bind(broker)
    try:
        connection.connect(host, port, keepalive=30)
    except OSError as error:
        raise CommandError(
            f"no broker on {broker}: {error.strerror or error}; start one with `make up`"
        ) from error
    connection.loop_forever(retry_first_connection=False)
    refusal = connection.user_data_get()
    if refusal:
        typer.echo(refusal, err=True)
        raise typer.Exit(1)


def _secret(employee_id: str, file: Path | None) -> str:
    """The credential, from a file, the environment or the keyboard; never from an argument that `ps` shows."""
    if file is not None:
        try:
            return file.read_text().strip()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from error
    given = os.environ.get("MCHAT_SECRET")
    return given if given else str(typer.prompt(f"Credential of {employee_id}", hide_input=True))
