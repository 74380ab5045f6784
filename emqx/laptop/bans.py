"""Who may not connect, whatever the authenticators say."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from emqx.laptop.client import Client
from emqx.laptop.moments import seconds_read, seconds_written
from emqx.laptop.objects import Json, Text, read
from emqx.laptop.refusals import already_exists, bad_request, not_emulated, not_found

BanKind = Literal["clientid", "username", "peerhost"]

_FOREVER = "infinity"


class Ban(Struct, frozen=True, kw_only=True, rename={"kind": "as"}):
    """One ban as the API takes it."""

    kind: BanKind
    who: Annotated[Text, Meta(min_length=1)]
    by: Text = "mgmt_api"
    reason: Text = ""
    at: Text | None = None
    until: Text = _FOREVER


class Bans:
    """Every ban.

    Args:
        limit: bans at most.
        clock: Unix seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._limit = limit
        self._clock = clock
        # The ban as it is told, and when it ends, in Unix seconds; None = never.
        self._bans: dict[tuple[str, str], tuple[Json, int | None]] = {}

    def covers(self, client: Client) -> bool:
        """Whether a client may not connect now."""
        names = (("clientid", client.client_id), ("username", client.username), ("peerhost", client.peer[0]))
        return any(name is not None and self._holds(kind, name) for kind, name in names)

    def all(self) -> list[Json]:
        """Every ban that holds, the newest first."""
        self._sweep()
        return [told for told, _ in reversed(self._bans.values())]

    def create(self, raw: object) -> tuple[Ban, Json]:
        """Ban somebody.

        Returns:
            The ban, and how it is told.

        Raises:
            ApiRefusal: he is banned already, a value is none or not emulated, or there are too many.
        """
        kind = raw.get("as") if isinstance(raw, Mapping) else None
        if isinstance(kind, str) and kind.endswith(("_re", "_net")):
            raise not_emulated(f"bans by pattern ({kind}): give the names")
        ban = read(Ban, raw)
        now = int(self._clock())
        try:
            begins = now if ban.at is None else seconds_read(ban.at)
            ends = None if ban.until == _FOREVER else seconds_read(ban.until)
        except ValueError as error:
            raise bad_request(str(error)) from error
        if ends is not None and ends <= now:
            raise bad_request(f"Cannot create expired banned, {ban.kind}: until {ban.until} is past")
        if self._holds(ban.kind, ban.who):
            raise already_exists(msgspec.json.encode(self._bans[ban.kind, ban.who][0]).decode())
        self._sweep()
        if len(self._bans) >= self._limit:
            raise bad_request(f"there are {self._limit} bans: lift some, or raise MCHAT_LAPTOP_MAX_BANS")
        told = {
            "as": ban.kind,
            "at": seconds_written(begins),
            "by": ban.by,
            "reason": ban.reason,
            "until": _FOREVER if ends is None else seconds_written(ends),
            "who": ban.who,
        }
        self._bans[ban.kind, ban.who] = (told, ends)
        return ban, told

    def delete(self, kind: str, who: str) -> None:
        """Lift a ban.

        Raises:
            ApiRefusal: there is none.
        """
        if not self._holds(kind, who):
            raise not_found(f"{kind}: {who} not found")
        del self._bans[kind, who]

    def clear(self) -> None:
        """Lift all."""
        self._bans.clear()

    def _holds(self, kind: str, who: str) -> bool:
        if (found := self._bans.get((kind, who))) is None:
            return False
        if found[1] is not None and found[1] <= self._clock():
            del self._bans[kind, who]
            return False
        return True

    def _sweep(self) -> None:
        for kind, who in tuple(self._bans):
            self._holds(kind, who)
