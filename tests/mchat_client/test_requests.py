"""Requests over real brokers: answers, refusals, and what is sent again."""

import asyncio
import json
from contextlib import AsyncExitStack

import msgspec
import pytest

import mchat_client as errors
from mchat_client import NoAnswer, Refused, Sent, WrongValue
from mchat_client.requests import MAX_PAYLOAD
from tests.emqx.waiting import until
from tests.mchat_client.conftest import Place, placed
from tests.mchat_client.gateway import MOMENT, Refuse


async def test_an_answer_comes_back_with_its_data(place: Place) -> None:
    alice = await place.connected("alice")
    answer = await alice.request("group.create", name="team", member_ids=["bob"], description=None)
    assert answer.data == {"group_id": "g1", "name": "team"}
    assert (answer.action, answer.message, answer.attempts) == ("group.create", "ok", 1)
    (request,) = place.gateway.requests
    assert request.client_id == alice.client_id
    assert request.seq_id == answer.seq_id
    assert request.params == {"action": "group.create", "name": "team", "member_ids": ["bob"]}


async def test_many_requests_at_once_each_get_their_own_answer(place: Place) -> None:
    alice = await place.connected("alice")
    answers = await asyncio.gather(*(alice.request("org.tree", number=number) for number in range(100)))
    assert [answer.data["number"] for answer in answers] == list(range(100))
    assert len({answer.seq_id for answer in answers}) == 100


async def test_requests_of_one_client_arrive_in_their_order(place: Place) -> None:
    alice = await place.connected("alice")
    await asyncio.gather(*(alice.request("org.tree", number=number) for number in range(100)))
    # On a busy machine one may be sent again before its answer is there.
    numbers = dict.fromkeys(request.params["number"] for request in place.gateway.requests)
    assert list(numbers) == list(range(100))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (400, errors.BadParameter),
        (401, errors.NoSession),
        (403, errors.NotAllowed),
        (404, errors.NotFound),
        (409, errors.Conflict),
        (413, errors.TooLarge),
        (500, errors.Fault),
        (504, errors.AgentTimeOut),
        (418, Refused),
    ],
)
async def test_a_refusal_is_an_error_of_its_code(mosquitto: Place, code: int, kind: type[Refused]) -> None:
    alice = await mosquitto.connected("alice")
    mosquitto.gateway.refuse = [Refuse(code, "the rule says no", why="it does")]
    with pytest.raises(Refused, match=f"group.dismiss: {code} the rule says no") as refused:
        await alice.request("group.dismiss", group_id="g1")
    assert type(refused.value) is kind
    assert (refused.value.code, refused.value.data) == (code, {"why": "it does"})
    assert refused.value.message == "the rule says no"
    assert len(mosquitto.gateway.requests) == 1
    assert (await alice.request("group.dismiss", group_id="g1")).data == {"group_id": "g1"}


async def test_a_request_that_was_lost_is_sent_again_just_the_same(place: Place) -> None:
    alice = await place.connected("alice")
    place.gateway.swallow = 2
    answer = await alice.request("group.create", name="team")
    assert answer.attempts == 3
    assert len({(request.seq_id, request.payload) for request in place.gateway.requests}) == 1
    assert len(place.gateway.requests) == 3


async def test_an_answer_that_was_lost_is_asked_for_again_and_has_one_effect(place: Place) -> None:
    alice = await place.connected("alice")
    place.gateway.mute = 2
    answer = await alice.request("group.create", name="team")
    assert answer.attempts == 3
    assert len(place.gateway.requests) == 3
    assert place.gateway.effects == [("group.create", {"name": "team"})]


async def test_without_an_answer_it_says_so_and_can_be_asked_again(place: Place) -> None:
    alice = await place.connected("alice")
    place.gateway.mute = 1_000
    with pytest.raises(
        NoAnswer, match=r"group\.create \(seq_.*was not answered within 0\.5 s \(sent 2"
    ) as lost:
        await alice.request("group.create", name="team", timeout_s=0.5)
    place.gateway.mute = 0
    again = await alice.request("group.create", name="team", seq_id=lost.value.seq_id)
    assert again.data == {"group_id": "g1", "name": "team"}
    assert len(place.gateway.effects) == 1


async def test_what_is_too_much_for_the_moment_is_asked_again_after_the_pause_that_it_names(
    mosquitto: Place,
) -> None:
    alice = await mosquitto.connected("alice")
    loop = asyncio.get_running_loop()
    mosquitto.gateway.refuse = [Refuse(503), Refuse(429, retry_after_ms=700)]
    began = loop.time()
    answer = await alice.request("group.create", name="team")
    assert answer.attempts == 3
    assert loop.time() - began >= 0.9
    assert len({request.seq_id for request in mosquitto.gateway.requests}) == 1


async def test_what_stays_too_much_is_told_as_it_was_answered(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    mosquitto.gateway.refuse = [Refuse(429, "slowly", retry_after_ms=60_000)]
    with pytest.raises(errors.Limited, match="429 slowly") as limited:
        await alice.request("org.tree", timeout_s=0.5)
    assert limited.value.retry_after_ms == 60_000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"code":"0","message":"ok","data":{},"seq_id":"x"}',
        b'{"code":true,"message":"ok","data":{},"seq_id":"x"}',
        b'{"code":0,"message":"ok","data":null,"seq_id":"x"}',
        b'{"code":0,"message":"ok","data":{},"seq_id":"anothers"}',
        b"[" * 100_000,
    ],
    ids=["empty", "utf8", "list", "null", "text-code", "bool-code", "null-data", "other-seq", "deep"],
)
async def test_an_answer_that_is_none_is_said_to_be_none(mosquitto: Place, payload: bytes) -> None:
    alice = await mosquitto.connected("alice")
    mosquitto.gateway.raw = [payload]
    with pytest.raises(errors.BadAnswer, match=r"org\.tree"):
        await alice.request("org.tree")
    assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}


async def test_a_second_answer_and_one_to_nobody_do_no_harm(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    answer = await alice.request("org.tree")
    for seq_id in (answer.seq_id, "seq_nobody", "a/b"):
        await mosquitto.gateway.published(f"msg/resp/{alice.client_id}/{seq_id}", {"code": 500})
    assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}


async def test_answers_to_others_are_not_heard(mosquitto: Place) -> None:
    alice, bob = await mosquitto.connected("alice"), await mosquitto.connected("bob")
    mosquitto.gateway.mute = 1
    asking = asyncio.create_task(alice.request("org.tree", seq_id="seq_1", timeout_s=0.2))
    await until(lambda: mosquitto.gateway.requests)
    forged = {"code": 0, "message": "ok", "data": {"forged": True}, "seq_id": "seq_1"}
    await mosquitto.gateway.published(f"msg/resp/{bob.client_id}/seq_1", forged)
    with pytest.raises(NoAnswer):
        await asking


@pytest.mark.parametrize(
    "params",
    [{"action": "x"}, {"content": "\ud800"}, {"content": object()}, {"content": "x" * MAX_PAYLOAD}],
    ids=["action", "surrogate", "object", "large"],
)
async def test_what_cannot_be_written_is_not_sent(mosquitto: Place, params: dict[str, object]) -> None:
    alice = await mosquitto.connected("alice")
    with pytest.raises(WrongValue):
        await alice.request("msg.send_private", **params)  # type: ignore[arg-type]
    await alice.request("msg.send_private", to_employee_id="bob", content="x" * (MAX_PAYLOAD - 200))
    assert len(mosquitto.gateway.requests) == 1


@pytest.mark.parametrize("seq_id", ["a/b", "+", "#", "a b", "x" * 129])
async def test_a_sequence_id_that_could_change_the_topic_is_refused(mosquitto: Place, seq_id: str) -> None:
    alice = await mosquitto.connected("alice")
    with pytest.raises(WrongValue, match="seq_id"):
        await alice.request("org.tree", seq_id=seq_id)
    assert (await alice.request("org.tree", seq_id="x" * 128)).seq_id == "x" * 128


@pytest.mark.parametrize("seconds", [0, -1, 301])
async def test_a_time_out_beyond_what_the_gateway_remembers_is_refused(
    mosquitto: Place, seconds: float
) -> None:
    alice = await mosquitto.connected("alice")
    with pytest.raises(WrongValue, match="time-out"):
        await alice.request("org.tree", timeout_s=seconds)


async def test_one_sequence_id_waits_once_and_only_so_many_wait(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice", outstanding=2)
    mosquitto.gateway.swallow = 2
    waiting = [asyncio.create_task(alice.request("org.tree", seq_id=f"seq_{number}")) for number in (1, 2)]
    await until(lambda: len(mosquitto.gateway.requests) == 2)
    with pytest.raises(WrongValue, match="waits"):
        await alice.request("org.tree", seq_id="seq_1")
    with pytest.raises(errors.TooMany, match="2 requests"):
        await alice.request("org.tree")
    await asyncio.gather(*waiting)
    await alice.request("org.tree")


async def test_a_request_that_is_broken_off_leaves_nothing_behind(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice", outstanding=1)
    mosquitto.gateway.swallow = 1
    asking = asyncio.create_task(alice.request("org.tree", seq_id="seq_1"))
    await until(lambda: mosquitto.gateway.requests)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await alice.request("org.tree", seq_id="seq_1")).attempts == 1


async def test_an_answer_can_be_had_as_a_type(mosquitto: Place) -> None:
    class Group(msgspec.Struct):
        group_id: str

    alice = await mosquitto.connected("alice")
    answer = await alice.request("group.create", name="team")
    assert answer.as_(Group) == Group("g1")
    with pytest.raises(errors.BadAnswer, match=r"group\.create is no Sent"):
        answer.as_(Sent)


async def test_a_withheld_secret_is_said_to_be_withheld(mosquitto: Place) -> None:
    mosquitto.gateway.handlers["employee.create"] = lambda *_: {"secret_withheld": True}
    alice = await mosquitto.connected("alice")
    assert (await alice.request("employee.create", name="Bob")).secret_withheld
    assert not (await alice.request("org.tree")).secret_withheld


async def test_a_sensitive_action_says_that_it_wants_a_challenge(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    for data in ({"challenge_required": True}, {"challenge_required": "no"}, {}):
        mosquitto.gateway.refuse = [Refuse(403, "no", **data)]
        with pytest.raises(errors.NotAllowed) as refused:
            await alice.request("employee.delete", employee_id="bob")
        assert refused.value.challenge_required is (data.get("challenge_required") is True)


async def test_sending_says_what_became_of_it(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    private = await alice.send_private("bob", "hello", quote_msg_id="msg_0")
    group = await alice.send_group("g1", {"type": "text", "body": "hello"}, mentions=["bob"])
    assert (private, group) == (Sent("msg_0000000000000001", MOMENT), Sent("msg_0000000000000002", MOMENT))
    assert [json.loads(request.payload) for request in mosquitto.gateway.requests] == [
        {
            "action": "msg.send_private",
            "to_employee_id": "bob",
            "content": "hello",
            "quote_msg_id": "msg_0",
        },
        {
            "action": "msg.send_group",
            "group_id": "g1",
            "content": {"type": "text", "body": "hello"},
            "mentions": ["bob"],
        },
    ]


async def test_behind_a_service_prefix_everything_is_the_same(mosquitto_port: int) -> None:
    async with AsyncExitStack() as stack:
        place = await placed(stack, mosquitto_port, service="acme")
        alice = await place.connected("alice", service="acme")
        assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}
        with pytest.raises(NoAnswer):
            await (await place.connected("bob")).request("org.tree", timeout_s=0.2)


async def test_mqtt_5_tells_at_once_that_nobody_serves_and_the_gateway_that_comes_back_is_found(
    mosquitto: Place,
) -> None:
    alice = await mosquitto.connected("alice", version="5", repeat_s=20.0)
    mosquitto.gateway.stop()
    asking = asyncio.create_task(alice.request("org.tree", depth=1))
    # Twice, so that the first was answered "no matching subscribers".
    await until(
        lambda: alice._requests._waiting and next(iter(alice._requests._waiting.values())).attempts == 2
    )
    back = await type(mosquitto.gateway)(mosquitto.gateway.port).start()
    mosquitto.stack.callback(back.stop)
    assert (await asking).data == {"depth": 1}
