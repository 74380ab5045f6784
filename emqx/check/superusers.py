"""Users of EMQX's own databases who pass every authorization."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emqx.api.authentication import Authenticator
from emqx.api.broker import BrokerApi

MOST_NAMED = 5
"""Names that are told; how many there are is counted to the end."""


@dataclass(frozen=True, slots=True)
class Superusers:
    """The superusers of one authenticator.

    Attributes:
        authenticator: its id.
        count: how many there are.
        names: the first of them.
    """

    authenticator: str
    count: int
    names: tuple[str, ...]


async def superusers_of(api: BrokerApi, authenticators: Iterable[Authenticator]) -> tuple[Superusers, ...]:
    """Those of every authenticator whose users EMQX keeps itself, where there is one.

    Raises:
        ApiError: the broker did not answer.
    """
    found = []
    for authenticator in authenticators:
        if authenticator.backend != "built_in_database":
            continue
        count = 0
        names: list[str] = []
        async for user in api.authentication.users(authenticator.id):
            if user.is_superuser:
                count += 1
                if len(names) < MOST_NAMED:
                    names.append(user.user_id)
        if count:
            found.append(Superusers(authenticator.id, count, tuple(names)))
    return tuple(found)
