"""What can go wrong for a client: one tree, told apart by what the caller can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


class ClientError(Exception):
    """Root of every error that this package raises on purpose."""


class WrongValue(ClientError):
    """A value that cannot be sent; nothing was. The message names it and what is allowed."""


class Unreachable(ClientError):
    """There is no connection to the broker; it may be tried again."""


class LinkLost(Unreachable):
    """The connection ended; the client makes a new one by itself."""


class TakenOver(ClientError):
    """Somebody else connected with the same client id: the client gives up, else both would throw each other out."""


class ConnectRefused(ClientError):
    """The broker does not let this client in.

    Attributes:
        reason: the reason code of the CONNACK in MQTT 5's numbers (MQTT 5.0, section 3.2.2.2); 0x80 if what it
            refused is the subscription to one's own answers.
    """

    def __init__(self, message: str, reason: int) -> None:
        super().__init__(message)
        self.reason = reason


class Closed(ClientError):
    """The client was closed, or was never connected."""


class SubscriptionRefused(ClientError):
    """The broker does not let this client hear a topic: no member, no shared group, another's inbox."""


class PublishRefused(ClientError):
    """The broker does not take the request: the client id in its topic is not this client's (MQTT 5 says so)."""


class TooMany(ClientError):
    """So many requests wait already that one more would only wait too; nothing was sent."""


class BadAnswer(ClientError):
    """An answer came that is none: another program speaks on the answers' topic, or another version."""


class NoAnswer(ClientError):
    """No answer within the time: whether the request had an effect is unknown.

    Asking again with the same `seq_id` and the same parameters, within the ten minutes that the gateway
    remembers, gives the answer and never a second effect.

    Attributes:
        action: that was asked for.
        seq_id: under which it was.
    """

    def __init__(self, message: str, action: str, seq_id: str) -> None:
        super().__init__(message)
        self.action = action
        self.seq_id = seq_id


class Refused(ClientError):
    """The gateway answered with another code than 0; each code has a class of its own.

    Attributes:
        action: that was asked for.
        code: 400 to 504, as docs/actions.md lists them.
        message: what the gateway says about it.
        data: what it says to programs.
        seq_id: of the request.
    """

    def __init__(self, action: str, code: int, message: str, data: Mapping[str, Any], seq_id: str) -> None:
        super().__init__(f"{action}: {code} {message}")
        self.action = action
        self.code = code
        self.message = message
        self.data = dict(data)
        self.seq_id = seq_id


class BadParameter(Refused):
    """400: the message names the parameter."""


class NoSession(Refused):
    """401: the gateway does not know this client as anybody's; `auth.bind` repairs a lost session."""


class NotAllowed(Refused):
    """403: the message names the rule."""

    @property
    def challenge_required(self) -> bool:
        """Whether a fresh `auth.challenge` for this action and target would open it."""
        return self.data.get("challenge_required") is True


class NotFound(Refused):
    """404: there is no such thing."""


class Conflict(Refused):
    """409: it contradicts what is there, or the `seq_id` was used for something else."""


class TooLarge(Refused):
    """413: more than is taken."""


class Limited(Refused):
    """429: too many requests."""

    @property
    def retry_after_ms(self) -> int:
        """Milliseconds until it is worth trying again; 0 if it was not said."""
        said = self.data.get("retry_after_ms")
        return said if type(said) is int and said > 0 else 0


class Fault(Refused):
    """500: a fault of the gateway; `data["trace_id"]` finds it in the gateway's log."""


class Overloaded(Refused):
    """503: the gateway has too much to do, or is stopping; nothing was done."""


class AgentTimeOut(Refused):
    """504: the agent did not answer in its time."""


_BY_CODE: Final[Mapping[int, type[Refused]]] = {
    400: BadParameter,
    401: NoSession,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    429: Limited,
    500: Fault,
    503: Overloaded,
    504: AgentTimeOut,
}


def refusal(action: str, code: int, message: str, data: Mapping[str, Any], seq_id: str) -> Refused:
    """The error of an answer's code; a code that is not known here is a plain `Refused`."""
    return _BY_CODE.get(code, Refused)(action, code, message, data, seq_id)
