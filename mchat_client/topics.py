"""The topics that one client speaks and hears on (docs/client.md), each made from checked ids only."""

from __future__ import annotations

from mchat_client.identifiers import check_id, check_level, check_seq_id


class Topics:
    """Topics of one client.

    Args:
        service: the deployment's service id, the first level of every topic; empty for none.
        employee_id: whose client it is.
        client_id: of the client.

    Raises:
        WrongValue: an id cannot stand in a topic.
    """

    def __init__(self, service: str, employee_id: str, client_id: str) -> None:
        root = f"{check_id('service', service)}/mchat" if service else "mchat"
        self._root = root
        self._requests = f"{root}/msg/req/{check_level('client id', client_id)}/"
        self._responses = f"{root}/msg/resp/{client_id}/"
        self.responses = f"{self._responses}+"
        self.inbox = f"{root}/inbox/{check_id('employee', employee_id)}"
        self.profile = f"{root}/profile/{employee_id}"
        self.notices = f"{root}/system/notify"
        self.organisation = f"{root}/org/tree"

    def request(self, seq_id: str) -> str:
        """Where a request is sent."""
        return self._requests + check_seq_id(seq_id)

    def seq_id(self, topic: str) -> str | None:
        """Of which request a topic holds the answer; None if it is no topic of answers."""
        return topic.removeprefix(self._responses) if topic.startswith(self._responses) else None

    def group(self, group_id: str) -> str:
        """Where a group's messages are heard."""
        return f"{self._root}/group/{check_id('group', group_id)}"

    def status(self, employee_id: str) -> str:
        """Where a person's status is heard; `+` is everybody's, which staff may hear."""
        return (
            f"{self._root}/status/{employee_id if employee_id == '+' else check_id('employee', employee_id)}"
        )

    def skill(self, skill: str) -> str:
        """Where it is heard that agents of a skill changed; `+` is every skill."""
        return f"{self._root}/agent/capability/{skill if skill == '+' else check_level('skill', skill)}"
