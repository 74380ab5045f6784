"""Whether the credential that a session came in by still holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl_service.identity.session_credential import in_force, of_certificate, of_jwt, of_row
from acl_service.principals import Person
from directory.credentials import CredentialKind, CredentialRow
from directory.principals import PersonRow

NOW = 1_800_000_000_000


def row(credential_id: str, kind: CredentialKind = "token", **values: int | None) -> CredentialRow:
    ends = {"expires_at": None, "revoked_at": None, **values}
    return CredentialRow(credential_id, "alice", kind, "0" * 64, "", created_at=0, last_used_at=None, **ends)


def person(*rows: CredentialRow) -> Person:
    return Person(PersonRow("alice", "employee", "active", None, frozenset(), rows, ()), (), 1)


def test_a_row_holds_until_it_is_revoked_or_expired() -> None:
    assert in_force("a", person(row("a")), NOW)
    assert in_force("a", person(row("a", expires_at=NOW + 1)), NOW)
    assert not in_force("a", person(row("a", expires_at=NOW)), NOW)
    assert not in_force("a", person(row("a", revoked_at=NOW - 1)), NOW)
    assert not in_force("b", person(row("a")), NOW)
    given = of_row(row("a", expires_at=NOW + 1))
    assert (given.mark, given.row_id, given.expires_at) == ("a", "a", NOW + 1)


def test_a_jwt_holds_until_its_end() -> None:
    given = of_jwt(1_800_000_000)
    assert (given.row_id, given.expires_at) == (None, NOW)
    assert in_force(given.mark, person(), NOW - 1)
    assert not in_force(given.mark, person(), NOW)
    assert not in_force(given.mark, person(), NOW + 1)


UNREADABLE = [
    *(
        "jwt:",
        "jwt",
        "jwt:x",
        "jwt:-1",
        "jwt:+9",
        "jwt:0",
        "jwt: 1900000000",
        "jwt:1900000000 ",
        "jwt:1900000000\n",
    ),
    *(
        "jwt:01900000000",
        "jwt:1900000000.5",
        "jwt:1e12",
        "JWT:1900000000",
        "jwt:1900000000:1",
        "jwt:1_900_000_000",
    ),
    *("jwt:١٩٠٠٠٠٠٠٠٠", "jwt:1900000000000", "jwt:" + "9" * 5000, "xjwt:1900000000"),
    *("", "cert", "cert:x", "CERT:", ":"),
]


@pytest.mark.parametrize("mark", UNREADABLE, ids=lambda mark: mark[:20])
def test_a_mark_that_cannot_be_read_holds_nothing(mark: str) -> None:
    assert not in_force(mark, person(), NOW)
    assert in_force("jwt:1900000000", person(), NOW)


def test_a_certificate_without_a_row_holds_until_there_is_one() -> None:
    mark = of_certificate().mark
    assert in_force(mark, person(), NOW)
    assert in_force(mark, person(row("a"), row("b", "password")), NOW)
    assert not in_force(mark, person(row("c", "certificate")), NOW)
    assert not in_force(mark, person(row("c", "certificate", revoked_at=1)), NOW), "an ended row is a row"


@given(st.text() | st.from_regex(r"jwt:.*"))
def test_whatever_a_mark_is_nothing_is_raised(mark: str) -> None:
    assert in_force(mark, person(), NOW) in (True, False)
