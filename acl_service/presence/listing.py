"""The broker's own list of clients, in the terms of presence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from acl_service.presence.fold import Listed
from acl_service.presence.hearing import Heard
from directory.ids import is_id
from directory.sessions import SessionRow
from emqx.api.broker import BrokerApi
from emqx.api.clients import Client, ClientField, ClientFilter

ATTRIBUTES: Final = ("employee_id", "grants_version", "credential_id")
"""What the answer to a connect gives each session (design, "How things flow"): one without all of
them is none of ours."""

PAGE: Final = 1_000
"""Clients in memory at a time."""

NAMED: Final = 40
"""Client ids of one question: they stand in its URL."""

_FIELDS: Final[tuple[ClientField, ...]] = (
    "clientid",
    "username",
    "node",
    "connected",
    "connected_at",
    "client_attrs",
    "ip_address",
    "port",
    "proto_ver",
)


async def pages(api: BrokerApi) -> AsyncIterator[Sequence[Client]]:
    """Every client, connected or away with a session, page by page, by cursor: none is passed over that stays.

    Raises:
        emqx.api.errors.ApiError: the broker did not answer, or the list does not end.
    """
    page: list[Client] = []
    async for client in api.clients.scan(PAGE):
        page.append(client)
        if len(page) >= PAGE:
            yield page
            page = []
    if page:
        yield page


async def looked_up(api: BrokerApi, client_ids: Sequence[str]) -> dict[str, Client]:
    """Look at client ids; those without a session are left out.

    Raises:
        emqx.api.errors.ApiError: the broker did not answer.
    """
    found: dict[str, Client] = {}
    for start in range(0, len(client_ids), NAMED):
        some = ClientFilter(client_ids=tuple(client_ids[start : start + NAMED]))
        async for client in api.clients.every(_FIELDS, some):
            found[client.client_id] = client
    return found


def whose(client: Client) -> str | None:
    """Whom MChat let a session in as; None: it has no attributes of ours."""
    employee_id = (client.attributes or {}).get("employee_id", "")
    return employee_id if is_id(employee_id) else None


def is_ours(client: Client) -> bool:
    """Tell whether a session has attributes that MChat gave it."""
    return all((client.attributes or {}).get(name) for name in ATTRIBUTES)


def stored_id(client_id: str) -> str:
    """A client id as events store it: at most 256 characters, without NUL."""
    return client_id.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:256]


def session_row(client: Client) -> SessionRow | None:
    """The session row that was lost, made of the attributes that MChat gave the session; None if they say too little.

    It is as old as the connection, so that it never replaces a newer one.
    """
    attributes = client.attributes or {}
    employee_id, version = whose(client), attributes.get("grants_version", "")
    if employee_id is None or not version.isascii() or not version.isdigit() or len(version) > 18:
        return None
    if stored_id(client.client_id) != client.client_id:
        # Nobody whom MChat lets in is called so, and no column holds it.
        return None
    credential = attributes.get("credential_id", "")
    return SessionRow(
        client_id=client.client_id,
        employee_id=employee_id,
        grants_version=int(version),
        updated_at=client.epoch or 0,
        # The mark of a credential that has no row holds a colon (`identity.session_credential`).
        credential_id=credential if is_id(credential) else None,
        peer=client.ip_address or "",
        zone=attributes.get("zone", ""),
    )


def listed(client: Client, begun_at: int) -> Heard:
    """The fact that the list shows a client; to be asked for one that is connected.

    Args:
        client: of the list.
        begun_at: when the list was begun, milliseconds since the epoch.
    """
    peer = "" if client.ip_address is None else f"{client.ip_address}:{client.port}"
    return Heard(
        stored_id(client.client_id),
        Listed(
            begun_at=begun_at,
            epoch=client.epoch or 0,
            node=client.node or "",
            peer=peer,
            employee_id=whose(client),
        ),
    )
