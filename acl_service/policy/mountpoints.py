"""What stands before every topic of a listener's clients, as the policy states it for the listener's zone.

The broker asks about topics as the client writes them and puts the listener's mountpoint before them afterwards
(emqx-measured, "Zones and mountpoints"). So a rule about `chat/receive` means what it says only behind the
mountpoint that its author had in mind: behind another one, or none, it is about somebody else's topic.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from acl_service.policy.templates import RuleError, is_plain

_USERNAME: Final = "${username}"
_CLIENT_ID: Final = "${clientid}"


@dataclass(frozen=True, slots=True)
class Mountpoint:
    """A mountpoint in the broker's own words: levels, `${username}` and `${clientid}`, and a closing `/`.

    Attributes:
        text: as it stands in the policy and in the broker's listener.
        levels: literal text, or one of the two placeholders.
    """

    text: str
    levels: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Mountpoint":
        """Read a mountpoint.

        Raises:
            RuleError: it does not end in `/` (then `u/ann` would be the beginning of `u/anna`), a level is empty,
                has a wildcard or NUL in it or begins with `$`, or has another placeholder, or other text beside
                one, which older brokers do not render.
        """
        trunk, slash, rest = text.rpartition("/")
        if not slash or rest:
            raise RuleError(
                f"mountpoint {text!a}: must end in /, so that no name is the beginning of another"
            )
        levels = tuple(trunk.split("/"))
        for level in levels:
            if level not in (_USERNAME, _CLIENT_ID) and (not is_plain(level) or "${" in level):
                raise RuleError(
                    f"mountpoint {text!a}: {level!a} cannot be a level of it: write plain text without $ + # in it,"
                    f" or exactly {_USERNAME} or {_CLIENT_ID}"
                )
        return cls(text, levels)

    @property
    def personal(self) -> bool:
        """Whether the MQTT user name is in it, which the client chooses."""
        return _USERNAME in self.levels

    def of(self, employee_id: str, client_id: str) -> str:
        """Write the only mountpoint that is right for a client: with the employee id as its user name."""
        values: Mapping[str, str] = {_USERNAME: employee_id, _CLIENT_ID: client_id}
        return "".join(f"{values.get(level, level)}/" for level in self.levels)
