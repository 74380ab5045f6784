"""Whether a client stands behind the mountpoint that the policy states for its listener's zone.

A right in such a zone is about the topic behind that mountpoint and no other (`policy.mountpoints`). The broker
renders it from the MQTT user name, which a client chooses within what MChat accepts as its name (`E`, `E@service`,
or nothing beside a JWT or certificate): only the employee id itself leads to its own topics. Without a user name
EMQX leaves `${username}` in the mountpoint, which all who come so would share.
"""

from __future__ import annotations

from acl_service.principals import Client
from acl_service.verdict import Refusal


def refuse_user_name(client: Client, zone: str | None, username: str) -> Refusal | None:
    """Why this user name may not connect in this zone, or None; asked at a connect.

    Args:
        client: as `standing.refuse` lets it pass.
        zone: of the listener; None if the broker does not say.
        username: as the client sent it; empty if it sent none.
    """
    if client.person is None or client.grants is None or zone is None:
        return None
    stated = client.grants.program.zones.get(zone)
    if stated is None or not stated.personal or username == client.person.employee_id:
        return None
    return Refusal(
        "mountpoint",
        f"zone {zone!r} has the mountpoint {stated.text!r}: the user name must be the employee id itself there",
        confirmable=True,
    )


def refuse_mountpoint(client: Client, zone: str | None, mountpoint: str | None) -> Refusal | None:
    """Why nothing is allowed behind this mountpoint, or None; asked with each question.

    In a zone whose mountpoint the policy states, that very mountpoint is needed: a right hangs on it, and an unknown
    one may be another (decision 4). In any other zone, or an unknown one, topics are meant as they are, so there
    must be none; where the broker does not say, there is taken to be none.

    Args:
        client: as `standing.refuse` lets it pass.
        zone: of the listener; None if that is not known.
        mountpoint: as the broker rendered it, empty for none; None if that is not known.
    """
    if client.person is None or client.grants is None:
        return None
    stated = None if zone is None else client.grants.program.zones.get(zone)
    if stated is None:
        if not mountpoint:
            return None
        return Refusal(
            "mountpoint",
            f"the listener has the mountpoint {mountpoint!r}, and the policy states none for zone {zone!r}:"
            " state it under [zones], or take it off the listener",
            confirmable=True,
        )
    if mountpoint == stated.of(client.person.employee_id, client.client_id):
        return None
    found = "is not told" if mountpoint is None else f"is {mountpoint!r}"
    return Refusal(
        "mountpoint",
        f"the mountpoint {found}, and the policy states {stated.text!r} for zone {zone!r}:"
        " give the listener that one, and the authorizer's body `mountpoint`",
        confirmable=True,
    )
