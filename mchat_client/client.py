"""The client: one person's device, connected for as long as it is wanted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from mchat_client import messages
from mchat_client.answers import Answer, Sent
from mchat_client.backoff import Backoff
from mchat_client.broker import Broker
from mchat_client.errors import ClientError, Closed, WrongValue
from mchat_client.identifiers import SeqIds, check_id, new_client_id
from mchat_client.keeper import Door, Keeper
from mchat_client.link import Link
from mchat_client.messages import Content, GroupMessage, PrivateMessage
from mchat_client.repeats import Repeats
from mchat_client.requests import Requests
from mchat_client.streams import SIZE, Stream
from mchat_client.subscriptions import Subscriptions
from mchat_client.topics import Topics

TIMEOUT_S: Final = 15.0
REPEAT_S: Final = 5.0
OUTSTANDING: Final = 1_000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Client:
    """A client of MChat: ``async with Client("alice", secret, Broker("mqtt.example")) as alice: …``.

    Entering connects, leaving says goodbye. While it is connected it keeps itself connected: after a cut it comes
    back with pauses that grow, subscribes again, and sends again what was not answered, under the same `seq_id`.

    Args:
        employee_id: whose client it is.
        secret: token, password or JWT; never shown.
        broker: where the broker is.
        service: the deployment's service id, the first level of every topic; empty for none.
        device: a word for the device, which stands in the client id.
        client_id: a client id of one's own, in place of a new one at each start: `{employee_id}`, or that with `_`
            and anything behind it. Needed where a session shall be found again.
        username: of the connect, where it is not the employee id.
        session_expiry_s: seconds that the broker keeps what arrives while this client is away (MQTT 3.1.1: any
            number means for as long as the broker does); 0: nothing.
        timeout_s: seconds that a request waits for its answer, if it does not say itself.
        repeat_s: seconds without an answer after which a request is sent again; twice as long each time.
        outstanding: requests that wait for an answer at once, at most.
        backoff: pauses between attempts to come back.
        clock: seconds that never go back.
        now_ms: wall clock, milliseconds since the epoch: for sequence ids.
        chance: gives that many random bytes as hex digits: for client ids and sequence ids.

    Attributes:
        employee_id: whose client it is.
        client_id: under which it connects.
        topics: on which it speaks and hears.

    Raises:
        WrongValue: one of these is none.
    """

    def __init__(
        self,
        employee_id: str,
        secret: str,
        broker: Broker | None = None,
        *,
        service: str = "",
        device: str = "py",
        client_id: str | None = None,
        username: str | None = None,
        session_expiry_s: int = 0,
        timeout_s: float = TIMEOUT_S,
        repeat_s: float = REPEAT_S,
        outstanding: int = OUTSTANDING,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = _now_ms,
        chance: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        if session_expiry_s and client_id is None:
            raise WrongValue(
                "session_expiry_s needs a client_id of its own, by which the session is found again"
            )
        if session_expiry_s < 0 or repeat_s <= 0 or outstanding < 1:
            raise WrongValue("session_expiry_s from 0 on, repeat_s over 0, outstanding 1 at least")
        self.employee_id = check_id("employee", employee_id)
        self.client_id = client_id or new_client_id(employee_id, device, chance)
        self.topics = Topics(service, employee_id, self.client_id)
        door = Door(broker or Broker(), self.client_id, username or employee_id, secret, session_expiry_s)
        self._keeper = Keeper(
            door,
            self.topics.responses,
            self._renew,
            self._heard,
            self._over,
            backoff or Backoff(),
            clock=clock,
            chance=lambda: int(chance(4), 16) / 2**32,
        )
        self._seq_ids = SeqIds(chance, now_ms)
        self._timeout_s = timeout_s
        self._requests = Requests(self.topics, self._keeper.link, repeat_s=repeat_s, most=outstanding)
        self._subscriptions = Subscriptions(self._keeper.link, Repeats(clock), timeout_s)

    @classmethod
    def from_connection(
        cls, connection: Mapping[str, Any], broker: Broker | None = None, **options: Any
    ) -> Self:
        """The client of an `mqtt_connection`, as `employee.create` and `employee.reset_credential` give it.

        Args:
            connection: that field.
            broker: in place of the broker that it names: a WebSocket, MQTT 5, authorities of one's own.
            options: further arguments of `Client`.

        Raises:
            WrongValue: a field is missing or of another type. The message shows no value.
        """
        names = ("auth_bind_employee_id", "mqtt_password", "mqtt_username")
        employee_id, secret, username = (connection.get(name) for name in names)
        prefix = connection.get("topic_prefix") or ""
        if not all(isinstance(text, str) for text in (employee_id, secret, username, prefix)):
            raise WrongValue(f"mqtt_connection: {', '.join(names)} are needed, each a text")
        place = broker or Broker.from_connection(connection)
        told = {"service": prefix.strip("/"), "username": username, **options}
        return cls(str(employee_id), str(secret), place, **told)

    @property
    def connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._keeper.connected

    async def connect(self) -> None:
        """Connect, and stay so until `close`; once only.

        Raises:
            ConnectRefused: the broker does not let this client in.
            Unreachable: it cannot be reached.
            Closed: it was connected before.
        """
        await self._keeper.start()

    async def wait_connected(self) -> None:
        """Wait until there is a connection.

        Raises:
            Closed, ConnectRefused, TakenOver: there will be none any more, and why.
        """
        await self._keeper.link()

    async def close(self) -> None:
        """Say goodbye; whoever waits for an answer is told, and streams end. A second time does nothing."""
        await self._keeper.stop(Closed(f"the client {self.client_id} was closed"))

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def new_seq_id(self) -> str:
        """A sequence id for a request that somebody wants to be able to ask again, after a crash too."""
        return self._seq_ids.new()

    async def request(
        self, action: str, /, *, timeout_s: float | None = None, seq_id: str | None = None, **params: Any
    ) -> Answer:
        """Ask the gateway for an action (docs/actions.md) and wait for its answer.

        Without an answer it is sent again, with the same `seq_id`, so that it has one effect however often it
        arrives; an answer 429 or 503 too, after the pause that it names, as long as there is time.

        Args:
            action: its name, like `group.create`.
            timeout_s: seconds until it is given up, at most 300; the client's own if left out.
            seq_id: of a request that was not answered, to ask it again; a new one if left out.
            params: its parameters; one that is None is left out.

        Raises:
            Refused: the answer's code is not 0; each code has a class of its own.
            NoAnswer: none came within the time: whether it had an effect is unknown.
            WrongValue, TooMany, BadAnswer, PublishRefused: as they say.
            Closed, ConnectRefused, TakenOver: the client was closed, or gave up, meanwhile.
        """
        seconds = self._timeout_s if timeout_s is None else timeout_s
        return await self._requests.ask(action, params, seq_id or self._seq_ids.new(), seconds)

    async def send_private(self, to: str, content: Content, *, quote_msg_id: str | None = None) -> Sent:
        """Write to somebody; raises what `request` raises."""
        answer = await self.request(
            "msg.send_private", to_employee_id=to, content=content, quote_msg_id=quote_msg_id
        )
        return answer.as_(Sent)

    async def send_group(
        self,
        group_id: str,
        content: Content,
        *,
        quote_msg_id: str | None = None,
        mentions: Sequence[str] | None = None,
    ) -> Sent:
        """Write to a group; raises what `request` raises."""
        answer = await self.request(
            "msg.send_group", group_id=group_id, content=content, quote_msg_id=quote_msg_id, mentions=mentions
        )
        return answer.as_(Sent)

    async def acknowledge(self, message: PrivateMessage | GroupMessage) -> None:
        """Tell the author that one has read a message; raises what `request` raises."""
        where: dict[str, Any] = {"conversation_type": "private", "peer_employee_id": message.from_employee_id}
        if isinstance(message, GroupMessage):
            author = message.from_employee_id
            where = {"conversation_type": "group", "group_id": message.group_id, "author_employee_id": author}
        await self.request("msg.read_ack", msg_id=message.msg_id, **where)

    def inbox(self, size: int = SIZE) -> Stream[messages.Inbox]:
        """What others write to oneself, acknowledgements, and what happens to one's groups."""
        return self._stream((self.topics.inbox,), messages.typed, size)

    def group(self, group_id: str, size: int = SIZE) -> Stream[messages.Group]:
        """What is written to a group, one's own messages too; members only."""
        return self._stream((self.topics.group(group_id),), messages.typed, size)

    def presence(self, *employee_ids: str, size: int = SIZE) -> Stream[messages.Presence]:
        """Who is online: the present status of each, where there is one, then each change.

        Args:
            employee_ids: of people with whom one shares a group or department; `+` is everybody, for staff.
            size: changes that wait for a slow reader at most.
        """
        if not employee_ids:
            raise WrongValue("presence of nobody: name somebody")
        topics = tuple(dict.fromkeys(map(self.topics.status, employee_ids)))
        return self._stream(topics, messages.status, size, state=True)

    def notices(self, size: int = SIZE) -> Stream[messages.Notices]:
        """Notices to everybody."""
        return self._stream((self.topics.notices,), messages.notice, size)

    def profile(self, size: int = SIZE) -> Stream[messages.Profile]:
        """Changes of one's own profile."""
        return self._stream((self.topics.profile,), messages.profile, size)

    def organisation(self, size: int = SIZE) -> Stream[messages.Changes]:
        """That the organisation was changed: `org.tree` tells to what."""
        return self._stream((self.topics.organisation,), messages.organisation, size)

    def agents(self, skill: str = "+", size: int = SIZE) -> Stream[messages.Changes]:
        """That the agents of a skill, or of any, were changed: `agent.capability_list` tells to what."""
        return self._stream((self.topics.skill(skill),), messages.agents, size)

    def _stream(
        self,
        topics: tuple[str, ...],
        reader: Callable[[str, bytes], messages.Message],
        size: int,
        *,
        state: bool = False,
    ) -> Stream[Any]:
        enter, leave = self._subscriptions.enter, self._subscriptions.leave
        return Stream(topics, reader, size, state=state, enter=enter, leave=leave)

    async def _renew(self, link: Link) -> None:
        await self._subscriptions.renew(link)

    def _over(self, why: ClientError) -> None:
        self._subscriptions.end(None if isinstance(why, Closed) else why)

    def _heard(self, topic: str, payload: bytes) -> None:
        seq_id = self.topics.seq_id(topic)
        if seq_id is None:
            self._subscriptions.heard(topic, payload)
        else:
            self._requests.answered(seq_id, payload)
