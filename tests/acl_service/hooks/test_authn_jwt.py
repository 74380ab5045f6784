"""JWTs in the password field, asked over a real socket; each refusal beside the token that differs only in it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from acl_service.identity.jwts import MAX_JWT_BYTES
from directory import people, sessions
from directory.database import Database
from tests.acl_service.identity.issuer import (
    AUDIENCE,
    ISSUER,
    SECRET,
    claims,
    jwk,
    jwk_set,
    public_pem,
    segment,
    signed,
    token,
)
from tests.acl_service.identity.jwks_server import JwksServer, answer, eventually, jwks_server
from tests.acl_service.serving import Served, add_person, now_ms, serving

EXPECTED: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
BY_SECRET: dict[str, Any] = {**EXPECTED, "jwt_secret": SECRET.decode()}
INBOX = ("alice_pc", "subscribe", "mchat/inbox/alice")


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """One kind of database is enough: what is tested lies in front of it."""
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


async def allowed(served: Served, sent: str, username: str = "alice", client_id: str = "alice_pc") -> bool:
    return bool((await served.authn(client_id, username, sent))["result"] == "allow")


def by_secret(**changes: Any) -> str:
    return token(claims(**changes), "HS256")


def metric(text: str, name: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def test_a_token_lets_its_person_in_until_its_end(database: Database, company: dict[str, str]) -> None:
    ends = int(time.time()) + 600
    async with serving(database, **BY_SECRET) as served:
        sent = by_secret(
            exp=ends, role="admin", groups=["board"], acl=[{"topic": "#"}], client_attrs={"role": "admin"}
        )
        answer = await served.authn("alice_pc", "alice", sent)
        assert answer["result"] == "allow"
        assert answer["expire_at"] == ends
        assert answer["is_superuser"] is False
        attributes = answer["client_attrs"]
        assert attributes["credential_id"] == f"jwt:{ends}"
        assert (attributes["employee_id"], attributes["role"]) == ("alice", "employee"), (
            "rights never come from claims"
        )
        assert not any("board" in rule["topic"] or rule["topic"] == "#" for rule in answer["acl"])
        await eventually(lambda: served.service.sessions.waiting == 0)
    async with database.read() as connection:
        row = (await sessions.of_clients(connection, ["alice_pc"]))["alice_pc"]
    assert (row.employee_id, row.credential_id, row.expires_at) == ("alice", None, ends * 1000)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_of_each_kind_verifies_its_tokens(
    database: Database, company: dict[str, str], tmp_path: Path, algorithm: str
) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(public_pem(algorithm))
    async with serving(database, **EXPECTED, jwt_public_key_file=file) as served:
        assert await allowed(served, token(claims(), algorithm))
        assert await allowed(served, token(claims(), algorithm, kid="any"))
        assert not await allowed(served, token(claims(), algorithm, "another"))
        assert not await allowed(served, by_secret())


async def test_where_nothing_is_configured_a_token_is_refused_and_never_tried_as_a_password(
    served: Served,
) -> None:
    assert not await allowed(served, by_secret())
    assert served.service.ways_in.pool.pending == 0
    assert served.service.tally.denied["authn", "credential"] == 1


def refused() -> dict[str, str]:
    """A token for each flaw, made now: only the flaw can be why it is refused."""
    now = int(time.time())
    return {
        "no signature": by_secret().rsplit(".", 1)[0] + ".",
        "alg none": f"{segment({'alg': 'none', 'typ': 'JWT'})}.{segment(claims())}.",
        "another key": token(claims(), "HS256", "another"),
        "another algorithm": signed({"alg": "HS512"}, claims(), "HS256"),
        "an asymmetric one": token(claims(), "RS256"),
        "expired": by_secret(exp=now - 1),
        "about to expire": by_secret(exp=now + 3),
        "no end": by_secret(exp=None),
        "an end in a text": by_secret(exp=str(now + 600)),
        "an end in milliseconds": by_secret(exp=now * 1000 + 600_000),
        "not yet valid": by_secret(nbf=now + 3600),
        "issued tomorrow": by_secret(iat=now + 86_400),
        "another issuer": by_secret(iss="https://other.example"),
        "no issuer": by_secret(iss=None),
        "another audience": by_secret(aud="other"),
        "no audience": by_secret(aud=None),
        "no subject": by_secret(sub=None),
        "another subject": by_secret(sub="bob"),
        "a subject that is no id": by_secret(sub="alice/x"),
        "nobody": by_secret(sub="nobody"),
        "critical": signed({"alg": "HS256", "crit": ["exp"], "exp": 1}, claims(), "HS256"),
        "a payload that is a list": signed({"alg": "HS256"}, b"[]", "HS256"),
        "another prefix": "mct_" + by_secret(),
        "padded": by_secret() + "=",
        "a space": by_secret() + " ",
        "a newline": by_secret() + "\n",
        "NUL": by_secret() + "\0",
        "four segments": by_secret() + ".x",
        "Bearer": "Bearer " + by_secret(),
    }


async def test_each_flaw_of_a_token_refuses_it(database: Database, company: dict[str, str]) -> None:
    async with serving(database, **BY_SECRET) as served:
        for name, sent in refused().items():
            assert not await allowed(served, sent), name
        assert await allowed(served, by_secret())


@pytest.mark.parametrize("realm", ["", "here"])
async def test_the_user_name_is_empty_or_the_subject(
    database: Database, company: dict[str, str], realm: str
) -> None:
    async with serving(database, **BY_SECRET, service=realm) as served:
        assert await allowed(served, by_secret(), "")
        assert await allowed(served, by_secret(), "alice")
        assert await allowed(served, by_secret(), "alice@here") == bool(realm)
        for username in (
            "bob",
            "alice@there",
            "alice@",
            "Alice",
            "alice_pc",
            "$alice",
            "alice/",
            "alice#",
            "a" * 201,
        ):
            assert not await allowed(served, by_secret(), username), username
        assert not await allowed(served, by_secret(), "", "bob_pc"), "the client id is somebody else's"
        assert await allowed(served, by_secret(sub="bob"), "", "bob_pc")
        assert not await allowed(served, "", ""), "no secret at all"


async def test_the_directory_decides_who_is_let_in(database: Database, company: dict[str, str]) -> None:
    async with serving(database, **BY_SECRET) as served:
        assert await allowed(served, by_secret())
        async with database.change("test", now_ms()) as change:
            await people.set_status(change, "alice", "disabled")
        async with asyncio.timeout(20):
            while await allowed(served, by_secret()):
                pass
        async with database.change("test", now_ms()) as change:
            await people.set_status(change, "alice", "active")
        assert await allowed(served, by_secret()), "a deny is confirmed (decision 6)"
        assert not await allowed(served, by_secret(sub="dora"), "dora", "dora_pc")
        await add_person(database, "dora")
        assert await allowed(served, by_secret(sub="dora"), "dora", "dora_pc"), (
            "so is that of an unknown person"
        )


async def test_a_token_of_4096_bytes_is_read_and_other_secrets_stay_at_1024(
    database: Database, company: dict[str, str]
) -> None:
    def of(size: int) -> str:
        """A token of that many bytes: base64 reaches any length but every fourth, where the header makes the rest."""
        for filler in range(size):
            for name in ("", "k", "kk", "kkk"):
                sent = token(claims(filler="x" * (size * 3 // 4 - 300 + filler)), "HS256", x=name)
                if len(sent) == size:
                    return sent
        raise AssertionError(size)

    async with serving(database, **BY_SECRET) as served:
        assert await allowed(served, of(MAX_JWT_BYTES))
        assert not await allowed(served, of(MAX_JWT_BYTES + 1))
        assert not await allowed(served, "x" * 1025)
        assert not await allowed(served, served.tokens.get("alice", company["alice"]) + "x" * 1000)
    async with serving(database) as without:
        assert not await allowed(without, of(MAX_JWT_BYTES))


async def test_tokens_are_neither_locked_out_nor_hashed(database: Database, company: dict[str, str]) -> None:
    async with serving(database, **BY_SECRET, lockout_pair=2, lockout_peer=2) as served:
        for _ in range(5):
            assert not await allowed(served, token(claims(), "HS256", "another"))
        assert await allowed(served, by_secret())
        for number in range(5):
            assert not await allowed(served, f"guess number {number}")
        assert served.service.tally.denied["authn", "lockout"] > 0
        assert await allowed(served, by_secret()), "the lock is for passwords"


async def test_a_session_ends_in_authz_with_its_token(database: Database, company: dict[str, str]) -> None:
    async with serving(database, **BY_SECRET) as served:
        attributes = (await served.authn("alice_pc", "alice", by_secret()))["client_attrs"]
        assert await served.authz(*INBOX, **attributes)
        now = int(time.time())
        for mark in (
            "",
            "jwt:",
            f"jwt:{now}",
            f"jwt:{now - 600}",
            f"jwt:{now + 600}x",
            "jwt:x",
            "jwt:9999999999999",
            "cert",
        ):
            assert not await served.authz(*INBOX, **{**attributes, "credential_id": mark}), mark
        assert await served.authz(*INBOX, **{**attributes, "credential_id": f"jwt:{now + 600}"})


async def test_mqtt_takes_no_admin_token_and_the_admin_api_no_mqtt_token(
    database: Database, company: dict[str, str]
) -> None:
    """Both over their own sockets; once with nothing in common, once with rules that ask for nothing."""
    for rules in (EXPECTED, {"jwt_audience": ""}):
        settings = {**rules, "jwt_secret": SECRET.decode(), "admin_token_key": "k" * 32}
        async with serving(database, **settings) as served:
            response = await served.admin.post(
                "/admin/login", json={"username": "root", "password": company["root"]}
            )
            admin = response.json()["access_token"]
            mine = by_secret(sub="root", **({} if rules is EXPECTED else {"aud": None}))
            like_admin = by_secret(sub="root", iss="mchat", aud="mchat-admin", cid="cred_x")

            assert await allowed(served, mine, "root", "root_pc")
            assert not await allowed(served, admin, "root", "root_pc")
            assert not await allowed(served, like_admin, "root", "root_pc")

            async def me(sent: str) -> int:
                headers = {"authorization": f"Bearer {sent}"}
                return (await served.admin.get("/admin/me", headers=headers)).status_code

            assert await me(admin) == 200
            assert await me(mine) == 401
            assert await me(like_admin) == 401
            log_in = await served.admin.post("/admin/login", json={"username": "root", "password": mine})
            assert log_in.status_code == 401, "nor is one exchanged for the other"


# -- a key set behind a URL -----------------------------------------------------------------------


@asynccontextmanager
async def behind(database: Database, server: JwksServer, **settings: Any) -> AsyncIterator[Served]:
    async with serving(database, **EXPECTED, jwt_jwks_url=server.url, **settings) as served:
        yield served


async def known(served: Served) -> None:
    """Wait until the first fetch has ended."""
    jwks = served.service.ways_in.jwks
    assert jwks is not None
    await eventually(lambda: jwks.age_s < 3600)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_published_key_verifies_and_an_unknown_kid_does_not(
    database: Database, company: dict[str, str], algorithm: str
) -> None:
    async with jwks_server() as server:
        server.page = answer(jwk_set(jwk(algorithm, kid="k1"), jwk(algorithm, "second", kid="k2")))
        async with behind(database, server) as served:
            await known(served)
            assert await allowed(served, token(claims(), algorithm, kid="k1"))
            assert await allowed(served, token(claims(), algorithm, "second", kid="k2"))
            assert not await allowed(served, token(claims(), algorithm, kid="k2")), "the name of another key"
            assert not await allowed(served, token(claims(), algorithm, kid="k3"))
            assert not await allowed(served, token(claims(), algorithm)), "two fit: it must name one"
            assert len(server.requests) == 1, "one fetch in thirty seconds, the first one was just now"


async def test_a_symmetric_key_in_a_set_is_never_used(database: Database, company: dict[str, str]) -> None:
    async with jwks_server() as server:
        oct_key = {"kty": "oct", "k": segment(SECRET), "kid": "k1", "alg": "HS256"}
        server.page = answer(jwk_set(oct_key, jwk("ES256", kid="k2")))
        async with behind(database, server) as served:
            await known(served)
            assert not await allowed(served, token(claims(), "HS256", kid="k1"))
            assert await allowed(served, token(claims(), "ES256", kid="k2"))


async def test_the_start_waits_for_no_endpoint_and_a_new_key_is_fetched_for_who_needs_it(
    database: Database, company: dict[str, str]
) -> None:
    async with jwks_server() as server:
        server.gate.clear()
        async with behind(database, server) as served:
            assert await allowed(served, company["alice"]), "the hooks answer"
            asked = asyncio.create_task(served.authn("alice_pc", "alice", token(claims(), kid="k1")))
            await eventually(lambda: len(server.requests) == 1)
            server.gate.set()
            assert (await asked)["result"] == "allow", "it waited for the fetch under way"
            assert len(server.requests) == 1


BROKEN: dict[str, bytes] = {
    "HTML": answer(b"<!doctype html><title>Sign in</title>", "200 OK", "content-type: text/html"),
    "huge": answer(jwk_set(jwk(kid="k9")) + b" " * 2**20),
    "an error": answer(b"", "503 Service Unavailable"),
    "a redirect": answer(b"", "302 Found", "location: http://127.0.0.1:9/"),
    "gone": b"",
}  # fmt: skip


async def test_with_a_broken_endpoint_known_keys_go_on_and_unknown_ones_are_denied(
    database: Database, company: dict[str, str]
) -> None:
    async with jwks_server() as server, behind(database, server) as served:
        await known(served)
        jwks = served.service.ways_in.jwks
        assert jwks is not None
        for number, (name, page) in enumerate(BROKEN.items()):
            server.page = page
            jwks._begun_at -= 31  # half a minute later
            assert not await allowed(served, token(claims(), kid="k9")), name
            assert await allowed(served, token(claims(), kid="k1")), name
            assert len(server.requests) == number + 2
        metrics = (await served.hooks.get("/metrics")).text
        assert metric(metrics, "mchat_jwks_failures_total") == len(BROKEN)
        assert 0 <= metric(metrics, "mchat_jwks_age_seconds") < 3600
        server.page = answer(jwk_set(jwk(kid="k9")))
        jwks._begun_at -= 31
        assert await allowed(served, token(claims(), kid="k9"))
        assert not await allowed(served, token(claims(), kid="k1")), "it was withdrawn"


async def test_a_slow_endpoint_holds_up_unknown_keys_for_a_moment_and_nobody_else(
    database: Database, company: dict[str, str]
) -> None:
    """The endpoint does not answer at all; what is compared are orders of events, not times."""
    async with jwks_server() as server, behind(database, server, patience=1) as served:
        await known(served)
        jwks = served.service.ways_in.jwks
        assert jwks is not None
        server.gate.clear()
        jwks._begun_at -= 31
        held = [asyncio.create_task(allowed(served, token(claims(), kid="k9"))) for _ in range(20)]
        await eventually(lambda: len(server.requests) == 2)
        answers = await asyncio.gather(
            *(allowed(served, sent) for sent in (token(claims(), kid="k1"), company["alice"]) * 5)
        )
        assert all(answers), "known keys and tokens go on meanwhile"
        assert not any(await asyncio.gather(*held))
        assert not await allowed(served, token(claims(), kid="k9")), "still under way: denied without waiting"
        assert len(server.requests) == 2, "one fetch for all of them"
        assert served.service.tally.denied["authn", "jwt"] == 21


async def test_who_was_disabled_while_a_key_was_fetched_stays_out(
    database: Database, company: dict[str, str]
) -> None:
    """Decision 16: the rows are looked at after the waiting."""
    async with jwks_server() as server, behind(database, server) as served:
        await known(served)
        assert await allowed(served, token(claims(), kid="k1"))
        jwks = served.service.ways_in.jwks
        assert jwks is not None
        server.gate.clear()
        server.page = answer(jwk_set(jwk(kid="k1"), jwk(name="second", kid="k2")))
        jwks._begun_at -= 31
        sent = [token(claims(sub=name), "ES256", "second", kid="k2") for name in ("alice", "bob")]
        asked = [
            asyncio.create_task(allowed(served, one, name, f"{name}_pc"))
            for one, name in zip(sent, ("alice", "bob"), strict=True)
        ]
        await eventually(lambda: len(server.requests) == 2)
        async with database.change("test", now_ms()) as change:
            await people.set_status(change, "alice", "disabled")
        await served.service.feed.catch_up()
        server.gate.set()
        assert await asyncio.gather(*asked) == [False, True]


async def test_no_token_is_logged(
    database: Database, company: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(database, **BY_SECRET) as served:
        for sent in (by_secret(), *refused().values()):
            await served.authn("alice_pc", "alice", sent)
    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert "denied" in text
    assert SECRET.decode() not in text
    assert "eyJ" not in text
