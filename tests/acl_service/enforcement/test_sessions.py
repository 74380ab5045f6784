"""A session as it is read from the broker's list, and its topics without the mountpoint."""

import pytest

from acl_service.enforcement.sessions import NEVER, Session
from emqx.api.clients import Client

ATTRIBUTES = {
    "employee_id": "ann",
    "role": "employee",
    "zone": "inner",
    "credential_id": "cred_1",
    "grants_version": "17",
    "told": "3:abcd",
}


def session(mountpoint: str | None = None, **attributes: str) -> Session:
    return Session.of(
        Client(client_id="ann_pc", connected=True, mountpoint=mountpoint, attributes=attributes or None)
    )


def test_what_a_connect_was_answered_with_is_read_back() -> None:
    assert session("u/ann/", **ATTRIBUTES) == Session(
        "ann_pc", "ann", "employee", "inner", "cred_1", 17, "3:abcd", "u/ann/", True
    )


@pytest.mark.parametrize("version", ["", "-3", "1.5", "٣", "new"])
def test_a_session_whose_version_cannot_be_read_is_older_than_every_change(version: str) -> None:
    assert session(**{**ATTRIBUTES, "grants_version": version}).version == NEVER


def test_a_session_without_attributes_was_let_in_by_nobody() -> None:
    found = session()
    assert (found.employee_id, found.zone, found.told, found.version) == (None, None, None, NEVER)


@pytest.mark.parametrize("told", [None, "undefined", ""])
def test_no_mountpoint_is_said_in_several_ways(told: str | None) -> None:
    assert session(told).unmounted("u/ann/chat") == "u/ann/chat"


@pytest.mark.parametrize(
    ("subscribed", "unmounted"),
    [
        ("u/ann/chat/receive", "chat/receive"),
        ("$share/g/u/ann/chat/receive", "$share/g/chat/receive"),
        # A group whose name looks like the mountpoint: only what stands behind it is mounted.
        ("$share/u/u/ann/chat/receive", "$share/u/chat/receive"),
        ("$share/u/ann/chat/receive", "$share/u/ann/chat/receive"),
        ("$queue/u/ann/chat", "$queue/chat"),
        ("$exclusive/u/ann/chat", "$exclusive/chat"),
        ("u/ann/u/ann/chat", "u/ann/chat"),
        ("u/ann/#", "#"),
        # Not behind it: nobody subscribed so through this listener.
        ("u/bob/chat", "u/bob/chat"),
        ("chat", "chat"),
        ("#", "#"),
    ],
)
def test_the_mountpoint_is_taken_off_behind_the_brokers_prefix(subscribed: str, unmounted: str) -> None:
    assert session("u/ann/").unmounted(subscribed) == unmounted
