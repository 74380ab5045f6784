"""The gateway's topics: read and built here and nowhere else; each id is checked again when one is built."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from directory.errors import InvalidId
from directory.ids import check_client_id, check_id, client_id_fault
from gateway.errors import Unroutable

_REQUESTS: Final = "mchat/msg/req/"
_RESPONSES: Final = "mchat/msg/resp/"

MAX_SEQ_BYTES: Final = 256
"""Bytes of UTF-8 in a sequence id."""


class Route(Struct, frozen=True):
    """Who asks, and under which number of its own.

    Attributes:
        client_id: The client id: only that client may publish there (the broker sees to it).
        seq_id: The sequence id, unique for the client.
    """

    client_id: str
    seq_id: str


class Topics:
    """The topics of one deployment.

    Args:
        service: The service id that stands before every topic; empty for none.

    Raises:
        directory.errors.InvalidId: The service id is none.
    """

    def __init__(self, service: str = "") -> None:
        self.prefix: Final = f"{check_id('service', service)}/" if service else ""
        self._request: Final = self.prefix + _REQUESTS
        self._response: Final = self.prefix + _RESPONSES
        self.requests: Final = f"{self._request}+/+"
        """The filter that all requests match."""

    def route(self, topic: str) -> Route:
        """Read the topic of a request.

        Raises:
            Unroutable: It is none, or its client or sequence id is not allowed.
        """
        if not topic.startswith(self._request):
            raise Unroutable(f"topic {topic[:200]!r} is none of a request: they begin with {self._request}")
        client_id, slash, seq_id = topic[len(self._request) :].partition("/")
        if not slash:
            raise Unroutable(f"topic {topic[:200]!r} has no sequence id: add a level for it")
        for kind, value in (("client", client_id), ("sequence", seq_id)):
            fault = client_id_fault(value)
            if fault is not None:
                raise Unroutable(f"the {kind} id {value[:80]!r} of a request {fault}: choose another one")
        return Route(client_id, seq_id)

    def response(self, route: Route) -> str:
        """Build the topic of an answer.

        Raises:
            directory.errors.InvalidId: The client or sequence id is not allowed.
        """
        return f"{self._response}{check_client_id(route.client_id)}/{check_client_id(route.seq_id)}"

    def inbox(self, employee_id: str) -> str:
        """Build the topic of a person's private and system messages.

        Raises:
            directory.errors.InvalidId: The id is none.
        """
        return f"{self.prefix}mchat/inbox/{check_id('employee', employee_id)}"

    def group(self, group_id: str) -> str:
        """Build the topic of a group's messages.

        Raises:
            directory.errors.InvalidId: The id is none.
        """
        return f"{self.prefix}mchat/group/{check_id('group', group_id)}"

    def profile(self, employee_id: str) -> str:
        """Build the topic that tells of a person's changed profile.

        Raises:
            directory.errors.InvalidId: The id is none.
        """
        return f"{self.prefix}mchat/profile/{check_id('employee', employee_id)}"

    def status(self, employee_id: str) -> str:
        """Build the topic of a person's presence (presence.md).

        Raises:
            directory.errors.InvalidId: The id is none.
        """
        return f"{self.prefix}mchat/status/{check_id('employee', employee_id)}"

    def notify(self) -> str:
        """Build the topic of what everybody is told."""
        return f"{self.prefix}mchat/system/notify"

    def org_tree(self) -> str:
        """Build the topic that tells that the organisation's tree changed."""
        return f"{self.prefix}mchat/org/tree"

    def capability(self, skill: str) -> str:
        """Build the topic that tells that the agents of a skill changed.

        Raises:
            directory.errors.InvalidId: The skill cannot be a level of a topic.
        """
        fault = client_id_fault(skill)
        if fault is not None:
            raise InvalidId(f"skill {skill[:80]!r} {fault}: choose another word")
        return f"{self.prefix}mchat/agent/capability/{skill}"
