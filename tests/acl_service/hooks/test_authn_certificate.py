"""Client certificates, asked over a real socket; each refusal beside the question that differs only in it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from directory import credentials, people, sessions
from directory.database import Database
from directory.secret import hash_password
from tests.acl_service.identity.certificate_authority import client_certificate, der
from tests.acl_service.identity.issuer import SECRET, claims, token
from tests.acl_service.serving import Served, now_ms, serving, until

INBOX = ("alice_pc", "subscribe", "here/mchat/inbox/alice")
MINE, OTHER = client_certificate(), client_certificate()


def fingerprint(certificate: Any = MINE) -> str:
    return str(certificate.fingerprint(hashes.SHA256()).hex())


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """One kind of database is enough: what is tested lies in front of it."""
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def served(database: Database, company: dict[str, str]) -> AsyncIterator[Served]:
    async with serving(database, certificate_zones="tls, office", service="here") as running:
        running.tokens = company
        yield running


async def ask(
    served: Served,
    username: str = "alice",
    *,
    secret: str = "",
    client_id: str = "alice_pc",
    zone: str = "tls",
    common_name: str = "alice",
    subject: str = "CN=alice",
    **more: str,
) -> dict[str, Any]:
    return await served.authn(
        client_id, username, secret, zone=zone, cert_common_name=common_name, cert_subject=subject, **more
    )


async def allowed(served: Served, username: str = "alice", **how: str) -> bool:
    return bool((await ask(served, username, **how))["result"] == "allow")


async def pin(database: Database, certificate: Any = MINE, **values: Any) -> str:
    async with database.change("test", now_ms()) as change:
        return await credentials.add_certificate(change, "alice", fingerprint(certificate), **values)


async def test_a_verified_certificate_lets_its_person_in(served: Served, database: Database) -> None:
    answer = await ask(served)
    assert answer["result"] == "allow"
    assert answer["client_attrs"]["employee_id"] == "alice"
    assert answer["client_attrs"]["credential_id"] == "cert:"
    assert answer["client_attrs"]["zone"] == "tls"
    assert "expire_at" not in answer
    await until(lambda: served.service.sessions.waiting == 0)
    async with database.read() as connection:
        row = (await sessions.of_clients(connection, ["alice_pc"]))["alice_pc"]
    assert (row.employee_id, row.credential_id) == ("alice", None)


async def test_a_certificate_counts_only_where_listeners_verify_it(
    served: Served, database: Database
) -> None:
    """Any client may show any certificate to a listener that verifies none."""
    for zone in ("default", "", "${zone}", "TLS", "tls ", "tls, office", "tl"):
        assert not await allowed(served, zone=zone), zone
    assert await allowed(served, zone="office")
    async with serving(database) as without:
        assert not await allowed(without), "nowhere, by default"
        for zone in ("", "default", "${zone}"):
            assert not await allowed(without, zone=zone), zone


async def test_the_user_name_is_empty_or_whom_the_certificate_names(served: Served) -> None:
    for username in ("", "alice", "alice@here"):
        assert await allowed(served, username), username
    for username in (
        "bob",
        "alice@there",
        "Alice",
        "alice@",
        "root",
        "alice/x",
        "alice+",
        "$alice",
        "alice ",
    ):
        assert not await allowed(served, username), username


UNCLEAR = [
    *(("", ""), ("", "CN=alice"), ("bob", "CN=alice"), ("alice", "CN=bob"), ("alice", "CN=alice,CN=alice")),
    *(
        ("alice", "CN=alice+OU=x"),
        ("alice", "no subject"),
        ("alice,bob", "CN=alice,CN=bob"),
        ("alice,bob", ""),
    ),
    *(
        ("alice+UID=x", ""),
        ("CN=alice", ""),
        ("${cert_common_name}", ""),
        ("${cert_common_name}", "CN=alice"),
    ),
    *(("${cert_common_name}", "${cert_subject}"), ("alice ", ""), ("аlice", ""), ("alice\0", ""), ("#", "")),
    ("dora", "CN=dora"),
]
"""Common names and subjects that name nobody, or two."""


async def test_what_names_nobody_or_two_lets_nobody_in(served: Served) -> None:
    for common_name, subject in UNCLEAR:
        for username in ("alice", "", "${cert_common_name}"):
            how = {"common_name": common_name, "subject": subject}
            assert not await allowed(served, username, **how), (username, how)
    assert await allowed(served, subject=""), "the twin: a broker that sends no subject"
    assert await allowed(served, subject="${cert_subject}"), "nor one that does not know it"


async def test_the_name_comes_from_nowhere_else(served: Served) -> None:
    """Not from the user name, the client id, attributes of the client, or keys that the broker does not send."""
    nothing = {"common_name": "", "subject": ""}
    assert not await allowed(served, "alice", **nothing)
    assert not await allowed(served, 'alice","cert_common_name":"alice', **nothing)
    assert not await allowed(served, "alice", client_id='alice_","cert_common_name":"alice', **nothing)
    for name in (
        "cn",
        "CN",
        "client_attrs",
        "client_attrs.cert_common_name",
        "cert_common_name ",
        "Cert_Common_Name",
    ):
        assert not await allowed(served, "alice", **nothing, **{name: "alice"}), name
    bobs = {"common_name": "bob", "subject": "CN=bob"}
    assert not await allowed(served, "alice", **bobs)
    assert not await allowed(served, "", **bobs), "a client id of alice's"
    assert await allowed(served, "", client_id="bob_pc", **bobs)
    assert not await allowed(served, "", client_id="bob_pc"), "nor the other way round"


async def test_a_key_that_comes_twice_is_refused(served: Served) -> None:
    body = (
        '{{"clientid":"alice_pc","username":"alice","password":"","peerhost":"10.0.0.1","zone":"tls",'
        '"cert_subject":"",{}"cert_common_name":"alice"}}'
    )
    for extra, expected in (
        ("", "allow"),
        ('"cert_common_name":"bob",', "deny"),
        ('"zone":"default",', "deny"),
    ):
        response = await served.hooks.post("/emqx/authn", content=body.format(extra))
        assert response.json()["result"] == expected, extra


async def test_a_secret_that_was_sent_is_judged_as_what_it_is(served: Served, database: Database) -> None:
    assert await allowed(served)
    assert not await allowed(served, secret="a wrong password")
    assert not await allowed(served, secret="mct_" + "x" * 32)
    assert not await allowed(served, secret=token(claims(), "HS256"))
    assert await allowed(served, secret=served.tokens["alice"])
    assert not await allowed(served, secret=served.tokens["bob"])
    async with database.change("test", now_ms()) as change:
        await credentials.add_password(change, "alice", hash_password("correct horse"))
    assert await allowed(served, secret="correct horse")


async def test_the_admin_api_takes_no_certificate(served: Served) -> None:
    response = await served.admin.post(
        "/admin/login",
        json={
            "username": "root",
            "password": "",
            "zone": "tls",
            "cert_common_name": "root",
            "cert_subject": "CN=root",
        },
    )
    assert response.status_code == 401
    good = await served.admin.post(
        "/admin/login", json={"username": "root", "password": served.tokens["root"]}
    )
    assert good.status_code == 200


async def test_a_disabled_person_stays_out(served: Served, database: Database) -> None:
    assert await allowed(served)
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "disabled")
    async with asyncio.timeout(20):
        while await allowed(served):
            pass
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "active")
    assert await allowed(served), "a deny is confirmed (decision 6)"


async def test_a_pinned_person_needs_that_very_certificate(served: Served, database: Database) -> None:
    assert await allowed(served, cert_pem=der(MINE))
    credential_id = await pin(database)
    answer = await _until_pinned(served)
    assert answer["client_attrs"]["credential_id"] == credential_id
    for cert_pem in (der(OTHER), "", "${cert_pem}", "AAAA", der(MINE)[:-4], der(MINE) + "\n"):
        assert not await allowed(served, cert_pem=cert_pem), cert_pem[:20]
    assert not await allowed(served), "a broker that does not send it"
    assert not await allowed(served, common_name="bob", subject="CN=bob", cert_pem=der(MINE))
    assert await allowed(served, cert_pem=der(MINE))
    assert await allowed(served, secret=served.tokens["alice"]), "other credentials are as good as before"


async def _until_pinned(served: Served) -> dict[str, Any]:
    """An allow may come from memory until the feed has told of the pin."""
    async with asyncio.timeout(20):
        while True:
            answer = await ask(served, cert_pem=der(MINE))
            if answer["client_attrs"]["credential_id"] != "cert:":
                return answer


async def test_the_end_of_a_pin_is_the_end_of_the_session_and_a_revoked_one_lets_nobody_in(
    served: Served, database: Database
) -> None:
    ends = now_ms() + 3_600_000
    credential_id = await pin(database, expires_at=ends)
    answer = await _until_pinned(served)
    assert answer["expire_at"] == ends // 1000
    attributes = answer["client_attrs"]
    assert await served.authz(*INBOX, **attributes)
    async with database.change("test", now_ms()) as change:
        await credentials.revoke(change, credential_id)
    async with asyncio.timeout(20):
        while await allowed(served, cert_pem=der(MINE)):
            pass
    assert not await served.authz(*INBOX, **attributes)
    assert not await allowed(served, cert_pem=der(OTHER)), "revoking the only pin opens nothing"
    assert not await allowed(served)
    second = await pin(database, OTHER)
    assert (await ask(served, cert_pem=der(OTHER)))["client_attrs"]["credential_id"] == second
    assert not await allowed(served, cert_pem=der(MINE))


async def test_a_session_without_a_pin_ends_when_there_is_one(served: Served, database: Database) -> None:
    attributes = (await ask(served))["client_attrs"]
    assert await served.authz(*INBOX, **attributes)
    await pin(database)
    async with asyncio.timeout(20):
        while await served.authz(*INBOX, **attributes):
            pass
    pinned = (await _until_pinned(served))["client_attrs"]
    assert await served.authz(*INBOX, **pinned)
    bobs = (await ask(served, "bob", client_id="bob_pc", common_name="bob", subject="CN=bob"))["client_attrs"]
    assert await served.authz("bob_pc", "subscribe", "here/mchat/inbox/bob", **bobs)


async def test_another_field_of_the_subject_may_name_the_person(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database, certificate_zones="tls", certificate_field="UID") as served:
        assert await allowed(served, common_name="Alice Doe", subject="UID=alice,CN=Alice Doe,O=Doe\\, Inc.")
        assert await allowed(served, common_name="bob", subject="UID=alice,CN=bob")
        for subject in ("CN=alice", "", "${cert_subject}", "UID=bob,CN=alice", "CN=x\\,UID=alice", "UID=alice+CN=alice",
                        "UID=alice,UID=alice"):  # fmt: skip
            assert not await allowed(served, common_name="alice", subject=subject), subject


async def test_certificates_and_jwts_stand_beside_each_other(
    database: Database, company: dict[str, str]
) -> None:
    settings = {"certificate_zones": "tls", "jwt_secret": SECRET.decode(), "jwt_audience": "mchat"}
    async with serving(database, **settings) as served:
        assert await allowed(served)
        assert await allowed(served, secret=token(claims(), "HS256"))
        assert not await allowed(served, secret=token(claims(sub="bob"), "HS256")), "the JWT is what counts"
        assert not await allowed(served, "", secret=token(claims(), "HS256", "another"))
