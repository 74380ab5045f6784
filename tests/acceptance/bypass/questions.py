"""Attempts on the hooks, asked as EMQX 5.8.9 was recorded to ask."""

from dataclasses import dataclass, field
from typing import Any

from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.row import ALLOWED, DENIED, Attempt
from tests.acceptance.bypass.stage import Stage


@dataclass(frozen=True, slots=True)
class Question(Attempt):
    """A question with a JSON object for a body; each field is one key of it.

    Attributes:
        service: whether the deployment that is asked has a service id: `named`, or not: `plain`.
    """

    service: str = field(default="plain", kw_only=True)

    @property
    def path(self) -> str:
        """Which hook is asked."""
        raise NotImplementedError

    def body(self) -> dict[str, str]:
        """What is sent."""
        raise NotImplementedError

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        served = stage.plain if self.service == "plain" else stage.named
        answer: dict[str, Any] = await served.answer(self.path, self.body())
        if answer["result"] == "allow":
            return ALLOWED
        assert answer == {"result": "deny"}
        return DENIED


@dataclass(frozen=True, slots=True)
class LogIn(Question):
    """A connect."""

    client_id: str = "amy_pc"
    username: str = "amy"
    secret: str = token_of("amy")
    peer: str = "10.0.0.1"
    zone: str = "default"
    cert_common_name: str = ""
    cert_subject: str = ""
    cert_pem: str = ""

    @property
    def path(self) -> str:
        """See Question."""
        return "/emqx/authn"

    def body(self) -> dict[str, str]:
        """See Question."""
        return {
            "clientid": self.client_id,
            "username": self.username,
            "password": self.secret,
            "peerhost": self.peer,
            "zone": self.zone,
            "cert_common_name": self.cert_common_name,
            "cert_subject": self.cert_subject,
            "cert_pem": self.cert_pem,
        }


@dataclass(frozen=True, slots=True)
class Ask(Question):
    """A publish or subscribe of a session; an attribute that is None is a key that is not sent."""

    topic: str = "mchat/inbox/amy"
    action: str = "subscribe"
    client_id: str = "amy_pc"
    qos: str = "1"
    retain: str = "false"
    username: str = "amy"
    mountpoint: str | None = ""
    employee_id: str | None = None
    credential_id: str | None = None
    zone: str | None = None

    @property
    def path(self) -> str:
        """See Question."""
        return "/emqx/authz"

    def body(self) -> dict[str, str]:
        """See Question."""
        attributes = {
            "mountpoint": self.mountpoint,
            "employee_id": self.employee_id,
            "credential_id": self.credential_id,
            "zone": self.zone,
        }
        return {
            "username": self.username,
            "topic": self.topic,
            "retain": self.retain,
            "qos": self.qos,
            "proto_name": "mqtt",
            "peerhost": "10.0.0.1",
            "clientid": self.client_id,
            "cert_common_name": "",
            "action": self.action,
            **{name: value for name, value in attributes.items() if value is not None},
        }


def publish(topic: str, **fields: str) -> Ask:
    """A publish of amy's."""
    return Ask(topic, "publish", **fields)
