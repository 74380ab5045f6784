"""``mchat listen`` and ``mchat publish``: a small MQTT client to try things with; any other one will do too."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import paho.mqtt.client as mqtt
import typer
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from emqx.settings import LaptopSettings, split_bind
from mchat.errors import CommandError
from mchat.keyboard import credential

Broker = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of the broker; when left out, the laptop broker's (MCHAT_LAPTOP_TCP_BIND)."),
]
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
Patience = Annotated[float, typer.Option(min=0.1, help="Seconds within which the broker must answer.")]

ANSWER_S = 10.0
LOOK_S = 0.1


def listen(
    topic: Annotated[str, typer.Argument(help="Topic filter to subscribe.")],
    as_: As,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: Broker = None,
    count: Annotated[int, typer.Option(min=0, help="Stop after so many messages; 0 = never.")] = 0,
    patience: Patience = ANSWER_S,
) -> None:
    """Subscribe and print what arrives; exit code 1 when the broker refuses, 2 when it does not answer."""
    exchange = _Exchange(as_, client, credential(as_, secret_file), lambda it: it.subscribe(topic, qos=1))
    seen = 0

    def arrived(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        nonlocal seen
        seen += 1
        typer.echo(f"{message.topic} {message.payload.decode(errors='replace')}")
        if seen == count:
            exchange.end()

    def subscribed(_: mqtt.Client, __: Any, ___: int, codes: list[ReasonCode], ____: Any) -> None:
        if any(code.is_failure for code in codes):
            exchange.end(refusal=f"subscribing {topic} was refused")
        else:
            exchange.answered = True
            typer.echo(f"listening to {topic} as {as_}", err=True)

    exchange.connection.on_message = arrived
    exchange.connection.on_subscribe = subscribed
    exchange.run(broker or LaptopSettings().tcp_bind, patience)


def publish(
    topic: Annotated[str, typer.Argument(help="Topic name.")],
    message: Annotated[str, typer.Argument(help="What to say.")],
    as_: As,
    secret_file: SecretFile = None,
    client: Client = None,
    broker: Broker = None,
    retain: Annotated[bool, typer.Option("--retain", help="Keep it for those who subscribe later.")] = False,
    patience: Patience = ANSWER_S,
) -> None:
    """Publish one message with QoS 1; MQTT 3.1.1 does not tell a publisher that it was refused."""
    exchange = _Exchange(
        as_,
        client,
        credential(as_, secret_file),
        lambda it: it.publish(topic, message, qos=1, retain=retain),
    )

    def published(*_: Any) -> None:
        typer.echo(
            "the broker has taken it; a refused message is dropped without a word (MQTT 3.1.1)", err=True
        )
        exchange.end()

    exchange.connection.on_publish = published
    exchange.run(broker or LaptopSettings().tcp_bind, patience)


class _Exchange:
    """One connection that asks one thing, and waits for the answer only so long.

    Args:
        employee_id: the user name.
        client_id: or None for one of the employee's with a random end.
        secret: the password.
        begin: what is asked once the broker has let the client in.
    """

    def __init__(
        self, employee_id: str, client_id: str | None, secret: str, begin: Callable[[mqtt.Client], Any]
    ) -> None:
        self.answered = False
        self._ended = False
        self._refusal: str | None = None
        self.connection = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"{employee_id}_try_{secrets.token_hex(4)}",
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        self.connection.username_pw_set(employee_id, secret)

        def connected(it: mqtt.Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
            if code.is_failure:
                self.end(refusal=f"connecting as {employee_id} was refused: {code}")
            else:
                begin(it)

        self.connection.on_connect = connected

    def end(self, *, refusal: str | None = None) -> None:
        """Nothing more is awaited."""
        self.answered = self._ended = True
        self._refusal = refusal
        self.connection.disconnect()

    def run(self, broker: str, patience_s: float) -> None:
        """Connect and go on until the end.

        Raises:
            CommandError: nobody listens there, nobody answers, or the broker ended the connection.
            typer.Exit: with code 1, what was asked was refused.
        """
        try:
            host, port = split_bind(broker)
        except ValueError as error:
            raise CommandError(f"--broker: {error}") from error
        ends = time.monotonic() + patience_s
        self.connection.connect_timeout = patience_s
        try:
            self.connection.connect(host, port, keepalive=30)
        except OSError as error:
            raise CommandError(
                f"no broker on {broker}: {error.strerror or error}; start one with `make up`"
            ) from error
        while self.connection.loop(timeout=LOOK_S) is MQTTErrorCode.MQTT_ERR_SUCCESS:
            if not self.answered and time.monotonic() > ends:
                raise CommandError(
                    f"{broker} gave no answer within {patience_s:g} s: is it an MQTT broker, and not overloaded?"
                )
        if not self._ended:
            raise CommandError(f"{broker} ended the connection")
        if self._refusal is not None:
            typer.echo(self._refusal, err=True)
            raise typer.Exit(1)
