"""The walk of a client in the field, from the first credential to the last message, with everything as it is run."""

import pytest

from tests.acceptance.enforcement.company import token_of
from tests.acceptance.gateway.field import ANSWER_S, Answer, FieldClient, cut_apart
from tests.acceptance.gateway.scene import ADMIN, Scene
from tests.emqx.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

MEMBERS = 20


def newcomer(running: Scene, made: Answer, random: str) -> FieldClient:
    """A client that knows nothing but what `employee.create` answered."""
    told, employee_id = made.data["mqtt_connection"], made.data["employee_id"]
    assert (told["broker_port"], told["use_tls"]) == (running.stage.mqtt_port, False)
    client_id = told["client_id_scheme"].format(device="node", random=random)
    assert client_id == f"{employee_id}_node_{random}"
    client = running.field.client(told["mqtt_username"], told["mqtt_password"], client_id)
    client.prefix = told["topic_prefix"]
    return client


async def deleted(admin: FieldClient, employee_id: str) -> Answer:
    """A person is deleted as it must be: for a challenge, which asks for the admin's own credential."""
    plain = await admin.asks("employee.delete", employee_id=employee_id)
    assert (plain.code, plain.data["challenge_required"]) == (403, True)
    challenge = await admin.asks(
        "auth.challenge", for_action="employee.delete", target=employee_id, password=token_of(ADMIN)
    )
    assert challenge.code == 0
    proof = {name: challenge.data[name] for name in ("challenge_id", "token")}
    return await admin.asks("employee.delete", employee_id=employee_id, **proof)


async def test_who_was_created_just_now_comes_in_chats_is_deleted_and_is_out(running: Scene) -> None:
    # An admin page: its client id is the bare user name.
    admin = await running.come(ADMIN, ADMIN)
    member = await running.come("m0")
    await member.follows("mchat/inbox/m0")

    made = await admin.asks("employee.create", name="Nora the new", employee_id="nora")
    assert (made.code, made.message) == (0, "ok")
    new = newcomer(running, made, "k3x9ab")
    assert await new.come()
    await new.follows("mchat/inbox/nora", "mchat/profile/nora", "mchat/system/notify")
    assert (await new.asks("employee.create", name="x")).code == 403

    sent = await new.asks("msg.send_private", to_employee_id="m0", content="Grüß dich, “m0”")
    assert sent.code == 0
    heard = await member.hears("mchat/inbox/m0", msg_id=sent.data["msg_id"])
    assert (heard["type"], heard["from_employee_id"], heard["content"]) == (
        "private",
        "nora",
        "Grüß dich, “m0”",
    )
    back = await member.asks(
        "msg.send_private", to_employee_id="nora", content={"type": "text", "body": "hi"}
    )
    assert (await new.hears("mchat/inbox/nora", msg_id=back.data["msg_id"]))["from_employee_id"] == "m0"
    assert (await new.asks("msg.read_ack", msg_id=back.data["msg_id"])).code == 0

    assert (await deleted(admin, "nora")).code == 0
    await until(lambda: new.mqtt.closed, ANSWER_S)
    for random in ("k3x9ab", "another"):
        assert not await newcomer(running, made, random).come()
    gone = await member.asks("msg.send_private", to_employee_id="nora", content="still there?")
    assert gone.code == 404
    # The twin: who was not deleted talks on.
    assert (await member.asks("msg.send_private", to_employee_id="m1", content="and you?")).code == 0


async def test_a_group_of_twenty_hears_and_who_is_removed_hears_no_more(running: Scene) -> None:
    admin = await running.come(ADMIN, ADMIN)
    members = [await running.come(running.stage.company.member(number)) for number in range(MEMBERS)]
    for client in members:
        await client.follows(f"mchat/inbox/{client.client_id.split('_')[0]}")
    names = [client.client_id.split("_")[0] for client in members]
    made = await admin.asks("group.create", name="The twenty", member_ids=names, opts={"description": "x"})
    assert (made.code, len(made.data["member_ids"])) == (0, MEMBERS + 1)
    group_id = made.data["group_id"]
    topic = f"mchat/group/{group_id}"
    for client, name in zip(members, names, strict=True):
        told = await client.hears(f"mchat/inbox/{name}", action="group_created", group_id=group_id)
        assert (told["type"], told["group_name"], told["inviter_id"]) == ("system", "The twenty", ADMIN)
        await client.follows(topic)
    stranger = await running.come("x0")
    assert not await stranger.listens(topic)

    sent = await members[3].asks("msg.send_group", group_id=group_id, content="all of you")
    assert sent.code == 0
    for client in members:
        heard = await client.hears(topic, msg_id=sent.data["msg_id"])
        assert (heard["from_employee_id"], heard["is_ai_agent"]) == (names[3], False)

    removed, others = members[7], [*members[:7], *members[8:]]
    # The answer comes when the broker has taken the right back: nothing that is said after it is heard.
    answer = await admin.asks("group.member_remove", group_id=group_id, member_ids=[names[7]])
    assert answer.data["revocation"] == "done"
    assert (answer.code, answer.data["removed_ids"]) == (0, [names[7]])
    assert answer.data["current_member_count"] == MEMBERS
    await removed.hears(f"mchat/inbox/{names[7]}", action="member_removed", group_id=group_id)
    after = await members[3].asks("msg.send_group", group_id=group_id, content="without you")
    for client in others:
        await client.hears(topic, msg_id=after.data["msg_id"])
    # Whatever the broker had for it is there before the answer to what it asks now.
    assert (await removed.asks("msg.send_group", group_id=group_id, content="me too")).code == 403
    assert [one["msg_id"] for one in removed.told(topic)] == [sent.data["msg_id"]]
    assert not await removed.listens(topic)

    # It comes back with the session that the broker kept for it: its inbox, not the group.
    await removed.mqtt.disconnect()
    missed = await members[3].asks("msg.send_private", to_employee_id=names[7], content="while away")
    again = await running.come(names[7], removed.client_id)
    await again.hears(f"mchat/inbox/{names[7]}", msg_id=missed.data["msg_id"])
    assert again.mqtt.session_present == [True]

    ended = await admin.asks("group.dismiss", group_id=group_id)
    assert ended.code == 0
    await members[0].hears("mchat/inbox/m0", action="group_dismissed", group_id=group_id)
    assert (await members[3].asks("msg.send_group", group_id=group_id, content="anybody?")).code == 403


async def test_statuses_profiles_and_notices_reach_whom_they_are_for(running: Scene) -> None:
    admin = await running.come(ADMIN, ADMIN)
    await admin.follows("mchat/status/+")
    member = await running.come("m1", will=("mchat/status/m1", b'{"status":"offline"}', 1, True))
    await member.follows("mchat/profile/m1", "mchat/system/notify", "mchat/org/tree", "mchat/status/m2")
    stranger = await running.come("x1")
    assert not await stranger.listens("mchat/profile/m1")
    assert not await stranger.listens("mchat/status/m1")

    await admin.hears("mchat/status/m1", status="online")
    changed = await admin.asks("employee.update", employee_id="m1", updates={"name": "Emma One"})
    assert changed.code == 0
    pushed = await member.hears("mchat/profile/m1", event="updated")
    assert (pushed["fields"], pushed["profile"]["name"]) == (["name"], "Emma One")
    tree = await member.hears("mchat/org/tree", changed_ids=["m1"])
    assert set(tree) == {"version", "changed_ids"}

    noted = await admin.asks("system.notify", title="At noon", body="the broker rests")
    heard = await member.hears("mchat/system/notify", notify_id=noted.data["notify_id"])
    assert (heard["title"], heard["body"]) == ("At noon", "the broker rests")

    member.mqtt.cut()
    await until(lambda: [one["status"] for one in admin.told("mchat/status/m1")][-1:] == ["offline"], 30)


@pytest.mark.parametrize(
    "text",
    [
        '{"message":"ok","code":0,"data":{},"seq_id":"s"}',
        '{"code": 0,"message":"ok","data":{},"seq_id":"s"}',
        '{"code":0,"message":"a "quote"","data":{},"seq_id":"s"}',
        '{"code":0,"message":"ok","data":[],"seq_id":"s"}',
        '{"code":0,"message":"ok","seq_id":"s","data":{}}',
    ],
    ids=["order", "blank", "quote", "list", "seq_id first"],
)
async def test_what_field_clients_could_not_cut_apart_is_noticed(text: str) -> None:
    with pytest.raises(AssertionError):
        cut_apart(text)
    assert cut_apart('{"code":0,"message":"ok","data":{"a":1},"seq_id":"s"}') == Answer(0, "ok", {"a": 1})
