"""Zones with a mountpoint, over a real socket: who may connect there, and behind which mountpoint a right holds."""

from collections.abc import AsyncIterator

import pytest

from acl_service.policy import profiles
from directory.database import Database
from tests.acl_service.identity.issuer import AUDIENCE, ISSUER, SECRET, claims, token
from tests.acl_service.serving import Served, activate_profile, add_person, serving

ZONE = "mchat_chat"


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """One kind of database is enough: what is tested lies in front of it."""
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def chat(database: Database) -> AsyncIterator[Served]:
    """ann and bob, and the chat's service, of the deployment `acme`, with the profile `chat`."""
    await activate_profile(database, "chat")
    keys = {"jwt_secret": SECRET.decode(), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    async with serving(database, service="acme", **keys) as running:
        for name, role in (("ann", "employee"), ("bob", "employee"), ("chatter", "service")):
            running.tokens[name] = await add_person(database, name, role=role)
        yield running


async def asked(
    served: Served, topic: str, *, zone: str = ZONE, action: str = "subscribe", **body: str
) -> bool:
    return await served.authz("ann_pc", action, topic, zone=zone, **body)


async def test_the_user_name_leads_to_ones_own_topics(chat: Served) -> None:
    for username, zone, expected in (
        ("ann", ZONE, "allow"),
        ("ann@acme", ZONE, "deny"),
        ("ann@acme", "default", "allow"),
        ("ann@acme", "", "allow"),
        ("ann@acme", "${zone}", "allow"),
        ("bob", ZONE, "deny"),
    ):
        answer = await chat.authn("ann_pc", username, chat.tokens["ann"], zone=zone)
        assert answer["result"] == expected, (username, zone)
        if expected == "allow":
            assert answer["client_attrs"]["zone"] == ("" if zone.startswith("$") else zone)


async def test_a_jwt_without_a_user_name_leads_to_nobodys_topics(chat: Served) -> None:
    """Elsewhere the claim is enough; here the broker would leave `${username}` in the mountpoint of all who come so."""
    signed = token(claims(sub="ann"), "HS256")
    for username, zone, expected in (
        ("", "default", "allow"),
        ("", ZONE, "deny"),
        ("ann@acme", ZONE, "deny"),
        ("ann", ZONE, "allow"),
    ):
        answer = await chat.authn("ann_pc", username, signed, zone=zone)
        assert answer["result"] == expected, (username, zone)


async def test_what_is_told_at_a_connect(chat: Served) -> None:
    """Behind a mountpoint nothing: which one it is, only a question says."""
    assert "acl" not in await chat.authn("ann_pc", "ann", chat.tokens["ann"], zone=ZONE)
    for zone in (ZONE, "", "${zone}"):  # a zone that is not told may be that one
        assert "acl" not in await chat.authn("chatter_1", "chatter", chat.tokens["chatter"], zone=zone)
    answer = await chat.authn("chatter_1", "chatter", chat.tokens["chatter"], zone="default")
    assert {"permission": "allow", "action": "subscribe", "topic": "eq u/+/chat/send"} in answer["acl"]


OTHER_MOUNTPOINTS = (
    *("", "u/bob/", "u/ann", "u/Ann/", "u/ann//", "u/ann/x/", "/u/ann/", "x/u/ann/", "undefined"),
    # Without a user name; with the service behind it; from a broker that does not tell.
    *("u/${username}/", "${username}/", "u/undefined/", "u//", "u/ann@acme/", "${mountpoint}"),
)


async def test_a_right_holds_behind_its_mountpoint_only(chat: Served) -> None:
    for action, topic in (("subscribe", "chat/receive"), ("publish", "chat/send")):
        assert await asked(chat, topic, action=action, mountpoint="u/ann/")
        for mountpoint in OTHER_MOUNTPOINTS:
            assert not await asked(chat, topic, action=action, mountpoint=mountpoint), mountpoint


async def test_a_body_without_the_mountpoint_is_not_enough(chat: Served) -> None:
    body = {"clientid": "ann_pc", "action": "subscribe", "topic": "chat/receive", "zone": ZONE}
    assert await chat.answer("/emqx/authz", body) == {"result": "deny"}
    assert await chat.answer("/emqx/authz", {**body, "mountpoint": "u/ann/"}) == {"result": "allow"}


async def test_elsewhere_a_topic_is_meant_as_it_is(chat: Served) -> None:
    for topic, action in (("u/+/chat/send", "subscribe"), ("u/ann/chat/receive", "publish")):
        for zone in ("default", "", "${client_attrs.zone}", "mchat_chat2"):
            for mountpoint in ("", "${mountpoint}"):
                assert await chat.authz("chatter_1", action, topic, zone=zone, mountpoint=mountpoint)
            for mountpoint in ("u/ann/", "u/chatter/", "tenant/", "${username}/"):
                question = {"zone": zone, "mountpoint": mountpoint}
                assert not await chat.authz("chatter_1", action, topic, **question), question


async def test_people_of_another_zone_get_nothing(chat: Served) -> None:
    for zone in ("default", "", "${client_attrs.zone}"):
        for mountpoint in ("", "u/ann/"):
            assert not await asked(chat, "chat/receive", zone=zone, mountpoint=mountpoint)


async def test_a_mountpoint_that_was_stated_a_moment_ago_holds(served: Served, database: Database) -> None:
    """A policy of another process' activation: the deny is confirmed first (decision 6)."""
    question = {"zone": "inner", "mountpoint": "t/bob_pc/"}
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", zone="inner")
    assert not await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", **question)
    stated = profiles.read("mchat") + '\n[zones.inner]\nmountpoint = "t/${clientid}/"\n'
    await activate_profile(database, "mounted", stated)
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", **question)
    assert not await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", zone="inner")
    assert not await served.authz("bob_pc", "subscribe", "mchat/inbox/alice", **question)


async def test_a_mountpoint_without_the_user_name_takes_any_form_of_it(
    chat: Served, database: Database
) -> None:
    stated = profiles.read("mchat") + '\n[zones.inner]\nmountpoint = "t/${clientid}/"\n'
    await activate_profile(database, "mounted", stated)
    question = {"zone": "inner", "mountpoint": "t/ann_pc/"}
    assert await asked(chat, "acme/mchat/inbox/ann", **question)
    for username in ("ann", "ann@acme"):
        assert (await chat.authn("ann_pc", username, chat.tokens["ann"], zone="inner"))["result"] == "allow"
    assert not await asked(chat, "acme/mchat/inbox/bob", **question)


async def test_a_refusal_is_counted_as_what_it_is(chat: Served) -> None:
    tally = chat.service.tally
    before = tally.denied["authz", "mountpoint"]
    assert not await asked(chat, "chat/receive", mountpoint="")
    assert tally.denied["authz", "mountpoint"] == before + 1
