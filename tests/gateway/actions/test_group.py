"""group.*: who may what in groups, who is told, and what happens to rights."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from directory import groups, outbox, people
from directory.database import Database
from tests.gateway.stage import TERMS, Answer, Stage, join, staged

NOW = "2027-01-15T08:00:00.000Z"
AT_ONCE = replace(TERMS, revocation_wait_ms=0)
"""Nobody enforces anything here: there is nothing to wait for."""


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Group g: zhang owns it, li is its admin, wang a member; zhao is in none; root is admin of all."""
    await join(database, "root", role="admin")
    await join(database, "zhang", "li", "wang", "zhao")
    async with database.change("hr", 1_000) as change:
        await groups.create(change, name="Группа", creator="zhang", group_id="g", member_ids=["li", "wang"])
        await groups.set_member_role(change, "g", "li", "admin")
    async with staged(database, terms=AT_ONCE) as running:
        yield running


async def members(stage: Stage, group_id: str = "g") -> dict[str, str]:
    async with stage.database.read() as connection:
        return {one.employee_id: one.role for one in await groups.members(connection, group_id)}


def notices(stage: Stage, action: str) -> set[str]:
    """The inboxes in which something is told of group g, all with the same words."""
    found = stage.messages()
    words = {tuple(sorted(said.items())) for _, said in found}
    assert len(words) <= 1
    for _, said in found:
        assert said == {
            "msg_id": said["msg_id"],
            "type": "system",
            "action": action,
            "group_id": said["group_id"],
            "group_name": said["group_name"],
            "inviter_id": said["inviter_id"],
            "sent_at": NOW,
        }
        assert said["msg_id"].startswith("msg_")
    return {topic for topic, _ in found}


async def test_a_group_is_made_and_each_member_is_told(stage: Stage) -> None:
    made = await stage.send(
        "root",
        "group.create",
        name="Новая",
        member_ids=["li", "zhao", "li"],
        opts={"description": "of all", "avatar": "https://s/a.png", "colour": "unknown, ignored"},
        group_id="new",
    )
    assert (made.code, made.data) == (
        0,
        {"group_id": "new", "name": "Новая", "member_ids": ["root", "li", "zhao"], "created_at": NOW},
    )
    assert await members(stage, "new") == {"root": "owner", "li": "member", "zhao": "member"}
    assert notices(stage, "group_created") == {f"mchat/inbox/{one}" for one in ("root", "li", "zhao")}
    generated = await stage.send("root", "group.create", name="N", member_ids=[])
    assert generated.data["group_id"].startswith("grp_")
    seen = await stage.send("zhao", "group.get", group_id="new")
    assert (seen.data["description"], seen.data["avatar"]) == ("of all", "https://s/a.png")


async def test_only_admins_make_groups_unless_the_setting_lets_everybody(
    database: Database, stage: Stage
) -> None:
    refused = await stage.send("zhang", "group.create", name="N", member_ids=[])
    assert refused.code == 403 and "admin" in refused.message
    assert await stage.count("group") == 1
    async with staged(database, terms=replace(TERMS, anyone_creates_groups=True)) as open_to_all:
        made = await open_to_all.send("zhang", "group.create", seq="s2", name="N", member_ids=[])
    assert made.code == 0


async def test_a_group_with_people_who_cannot_be_in_it_is_not_made_at_all(stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        await people.set_status(change, "zhao", "disabled")
    refused = await stage.send("root", "group.create", name="N", member_ids=["li", "nobody", "zhao"])
    assert refused.code == 400 and "nobody" in refused.message and "zhao" in refused.message
    assert "li," not in refused.message
    assert (await stage.count("group"), stage.messages()) == (1, [])
    assert (await stage.send("root", "group.create", name="N", member_ids=["li"])).code == 0


async def test_an_id_that_exists_is_a_conflict(stage: Stage) -> None:
    assert (await stage.send("root", "group.create", name="N", member_ids=[], group_id="g")).code == 409
    await stage.send("root", "group.dismiss", group_id="g")
    # Ids of groups are never used again either.
    assert (await stage.send("root", "group.create", name="N", member_ids=[], group_id="g")).code == 409


async def test_a_group_is_changed_and_what_is_not_named_stays(stage: Stage) -> None:
    changed = await stage.send("li", "group.update", group_id="g", updates={"description": "for work"})
    assert changed.data == {"group_id": "g", "updated_at": NOW}
    seen = (await stage.send("wang", "group.get", group_id="g")).data
    assert (seen["name"], seen["description"], seen["updated_at"]) == ("Группа", "for work", NOW)


async def test_people_are_added_and_told_and_those_in_it_stay(stage: Stage) -> None:
    added = await stage.send("li", "group.member_add", group_id="g", member_ids=["zhao", "wang", "zhao"])
    assert added.data == {"group_id": "g", "added_ids": ["zhao"], "current_member_count": 4}
    assert notices(stage, "member_joined") == {"mchat/inbox/zhao"}
    again = await stage.send("li", "group.member_add", group_id="g", member_ids=["zhao"])
    assert again.data == {"group_id": "g", "added_ids": [], "current_member_count": 4}
    assert stage.messages() == []


async def test_nobody_is_added_if_one_cannot_be(stage: Stage) -> None:
    refused = await stage.send("li", "group.member_add", group_id="g", member_ids=["zhao", "nobody"])
    assert refused.code == 400 and "nobody" in refused.message
    assert "zhao" not in await members(stage) and stage.messages() == []


async def test_people_are_removed_and_told_and_their_rights_end(stage: Stage) -> None:
    async with stage.database.change("hr", 2) as change:
        await groups.add_members(change, "g", ["zhao"])
    removed = await stage.send(
        "li", "group.member_remove", group_id="g", member_ids=["wang", "zhao", "nobody"]
    )
    assert removed.data == {
        "group_id": "g",
        "removed_ids": ["wang", "zhao"],
        "current_member_count": 2,
        "revocation": "pending",
    }
    assert notices(stage, "member_removed") == {"mchat/inbox/wang", "mchat/inbox/zhao"}
    work = await stage.work("enforcer", "member_removed")
    assert work == [{"group_id": "g", "employee_id": one} for one in ("wang", "zhao")]
    nobody = await stage.send("li", "group.member_remove", group_id="g", member_ids=["wang"])
    assert (nobody.data["removed_ids"], nobody.data["revocation"]) == ([], "done")


async def enforce(stage: Stage) -> None:
    """Do what the enforcer does, once there is something to do."""
    now_ms = stage.clock[0]
    async with asyncio.timeout(10):
        while not await stage.work("enforcer", "member_removed"):
            await asyncio.sleep(0.005)
    ids = [0]
    while ids:  # one piece a subject at a time
        async with stage.database.write() as connection:
            rows = await outbox.claim(connection, "enforcer", holder="e", now_ms=now_ms, hold_ms=1_000)
            ids = [row.outbox_id for row in rows]
            await outbox.enforced(connection, ids, holder="e", now_ms=now_ms, confirm_at_ms=now_ms + 1)


async def test_the_answer_waits_until_the_revocation_is_in_force(database: Database, stage: Stage) -> None:
    async with staged(database, terms=replace(TERMS, revocation_wait_ms=10_000)) as patient:
        removed, _ = await asyncio.gather(
            patient.send("li", "group.member_remove", group_id="g", member_ids=["wang"]), enforce(patient)
        )
        assert removed.data["revocation"] == "done"
        # The link sends it when it is there, and holds nothing meanwhile.
        assert removed.reply.response is None and removed.reply.after is not None


async def test_a_duplicate_says_whether_a_revocation_that_was_pending_is_in_force(stage: Stage) -> None:
    async def ask() -> object:
        params = {"group_id": "g", "member_ids": ["wang"]}
        return (await stage.send("li", "group.member_remove", seq="s1", **params)).data["revocation"]

    assert [await ask(), await ask()] == ["pending", "pending"]
    await enforce(stage)
    assert await ask() == "done"


async def test_the_owner_is_not_removed_and_cannot_leave(stage: Stage) -> None:
    for who in ("li", "root", "zhang"):
        refused = await stage.send(who, "group.member_remove", group_id="g", member_ids=["zhang"])
        assert refused.code == 409 and "hand it over" in refused.message
    assert (await members(stage))["zhang"] == "owner"


async def test_everybody_may_leave_and_take_nobody_along(stage: Stage) -> None:
    refused = await stage.send("wang", "group.member_remove", group_id="g", member_ids=["wang", "li"])
    assert refused.code == 403
    left = await stage.send("wang", "group.member_remove", group_id="g", member_ids=["wang"])
    assert (left.code, left.data["removed_ids"]) == (0, ["wang"])
    assert (await stage.send("wang", "group.get", group_id="g")).code == 403


async def test_a_group_is_handed_over(stage: Stage) -> None:
    answer = await stage.send("zhang", "group.member_role", group_id="g", employee_id="wang", role="owner")
    assert answer.data == {"group_id": "g", "employee_id": "wang", "role": "owner"}
    assert await members(stage) == {"li": "admin", "wang": "owner", "zhang": "admin"}
    # Who was the owner is one no more.
    back = await stage.send("zhang", "group.member_role", group_id="g", employee_id="zhang", role="owner")
    assert back.code == 403


async def test_the_owner_steps_down_only_by_handing_over(stage: Stage) -> None:
    refused = await stage.send("zhang", "group.member_role", group_id="g", employee_id="zhang", role="member")
    assert refused.code == 409
    missing = await stage.send("zhang", "group.member_role", group_id="g", employee_id="zhao", role="member")
    assert missing.code == 404 and "zhao" in missing.message


async def test_a_dismissed_group_is_over_and_its_members_are_told(stage: Stage) -> None:
    gone = await stage.send("zhang", "group.dismiss", group_id="g")
    assert gone.data == {"group_id": "g", "dismissed_at": NOW}
    assert notices(stage, "group_dismissed") == {f"mchat/inbox/{one}" for one in ("zhang", "li", "wang")}
    assert await stage.work("enforcer", "group_dismissed") == [
        {"group_id": "g", "employee_ids": ["li", "wang", "zhang"]}
    ]
    assert (await stage.send("zhang", "group.get", group_id="g")).code == 403
    assert (await stage.send("root", "group.get", group_id="g")).code == 404
    assert (await stage.send("root", "group.dismiss", group_id="g")).code == 404
    assert (await stage.send("zhang", "group.dismiss", group_id="g")).code == 403


async def test_dismissing_needs_a_challenge_where_the_setting_says_so(
    database: Database, stage: Stage
) -> None:
    terms = replace(TERMS, sensitive=TERMS.sensitive | {"group.dismiss"})
    async with staged(database, terms=terms) as careful:
        refused = await careful.send("zhang", "group.dismiss", group_id="g")
        assert (refused.code, refused.data) == (403, {"challenge_required": True})
        proof = await careful.challenge("zhang", "group.dismiss", "g")
        assert (await careful.send("zhang", "group.dismiss", group_id="g", **proof)).code == 0


async def test_own_groups_are_listed_with_the_role_in_each(stage: Stage) -> None:
    await stage.send("root", "group.create", name="H", member_ids=["li"], group_id="h")
    mine = await stage.send("li", "group.list")
    g, h = mine.data["groups"]
    assert g == {
        "group_id": "g",
        "name": "Группа",
        "creator_employee_id": "zhang",
        "member_count": 3,
        "role": "admin",
        "created_at": "1970-01-01T00:00:01.000Z",
    }
    assert (h["group_id"], h["role"], "next_cursor" in mine.data) == ("h", "member", False)
    first = await stage.send("li", "group.list", limit=1)
    assert ([one["group_id"] for one in first.data["groups"]], first.data["next_cursor"]) == (["g"], "g")
    second = await stage.send("li", "group.list", limit=1, cursor="g")
    assert [one["group_id"] for one in second.data["groups"]] == ["h"]
    assert "next_cursor" not in second.data


async def test_everybodys_groups_are_for_admins(stage: Stage) -> None:
    assert (await stage.send("zhang", "group.list", all=True)).code == 403
    found = await stage.send("root", "group.list", all=True)
    assert [(one["group_id"], one["role"]) for one in found.data["groups"]] == [("g", None)]
    assert (await stage.send("root", "group.list")).data["groups"] == []


async def test_members_and_admins_see_a_group(stage: Stage) -> None:
    for who in ("wang", "root"):
        seen = await stage.send(who, "group.get", group_id="g")
        assert seen.data["member_count"] == 3
        assert [(one["employee_id"], one["role"]) for one in seen.data["members"]] == [
            ("li", "admin"),
            ("wang", "member"),
            ("zhang", "owner"),
        ]
    paged = await stage.send("wang", "group.get", group_id="g", limit=2)
    assert (len(paged.data["members"]), paged.data["next_cursor"]) == (2, "wang")


ACTIONS: dict[str, dict[str, Any]] = {
    "group.update": {"updates": {"name": "N"}},
    "group.dismiss": {},
    "group.member_add": {"member_ids": ["zhao"]},
    "group.member_remove": {"member_ids": ["wang"]},
    "group.member_role": {"employee_id": "wang", "role": "admin"},
    "group.get": {},
}
ALLOWED: dict[str, set[str]] = {
    "group.update": {"root", "zhang", "li"},
    "group.dismiss": {"root", "zhang"},
    "group.member_add": {"root", "zhang", "li"},
    "group.member_remove": {"root", "zhang", "li", "wang"},  # wang leaves
    "group.member_role": {"root", "zhang"},
    "group.get": {"root", "zhang", "li", "wang"},
}


@pytest.mark.parametrize("who", ["root", "zhang", "li", "wang", "zhao"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_who_may_what_in_a_group(stage: Stage, action: str, who: str) -> None:
    before = await members(stage)
    answer = await stage.send(who, action, group_id="g", **ACTIONS[action])
    assert answer.code == (0 if who in ALLOWED[action] else 403)
    if answer.code:
        assert await members(stage) == before and stage.messages() == []


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_group_that_does_not_exist_looks_like_one_that_one_is_not_in(
    stage: Stage, action: str
) -> None:
    def words(answer: Answer) -> tuple[int, str]:
        return answer.code, answer.message.replace("nowhere", "g")

    there = await stage.send("zhao", action, group_id="g", **ACTIONS[action])
    nowhere = await stage.send("zhao", action, group_id="nowhere", **ACTIONS[action])
    assert words(there) == words(nowhere) and there.code == 403
    admins = await stage.send("root", action, group_id="nowhere", **ACTIONS[action])
    assert admins.code == 404 and "nowhere" in admins.message


MALFORMED: list[tuple[str, dict[str, Any], str]] = [
    ("group.create", {"member_ids": []}, "name"),
    ("group.create", {"name": "N"}, "member_ids"),
    ("group.create", {"name": "N", "member_ids": "li"}, "member_ids"),
    ("group.create", {"name": "N", "member_ids": ["#"]}, "member_ids"),
    ("group.create", {"name": "N", "member_ids": ["li"] * 501}, "member_ids"),
    ("group.create", {"name": "N", "member_ids": [], "group_id": "a/b"}, "group_id"),
    ("group.create", {"name": "N", "member_ids": [], "group_id": "#"}, "group_id"),
    ("group.create", {"name": "N", "member_ids": [], "opts": "x"}, "opts"),
    ("group.create", {"name": "N", "member_ids": [], "opts": {"avatar": 7}}, "opts.avatar"),
    ("group.update", {"group_id": "g"}, "updates"),
    ("group.update", {"group_id": "g", "updates": {}}, "updates"),
    ("group.update", {"group_id": "g", "updates": {"owner": "li"}}, "updates.owner"),
    ("group.update", {"group_id": "g", "updates": {"__proto__": {}}}, "updates.__proto__"),
    ("group.update", {"group_id": "g", "updates": {"name": None}}, "updates.name"),
    ("group.dismiss", {}, "group_id"),
    ("group.dismiss", {"group_id": ["g"]}, "group_id"),
    ("group.member_add", {"group_id": "g"}, "member_ids"),
    ("group.member_add", {"group_id": "g", "member_ids": []}, "member_ids"),
    ("group.member_add", {"group_id": "g", "member_ids": [None]}, "member_ids"),
    ("group.member_remove", {"group_id": "g", "member_ids": {"li": 1}}, "member_ids"),
    ("group.member_role", {"group_id": "g", "employee_id": "li", "role": "king"}, "role"),
    ("group.member_role", {"group_id": "g", "role": "admin"}, "employee_id"),
    ("group.list", {"all": 1}, "all"),
    ("group.list", {"limit": 501}, "limit"),
    ("group.get", {"group_id": "g", "cursor": 7}, "cursor"),
]


@pytest.mark.parametrize(
    ("action", "params", "field"),
    MALFORMED,
    ids=[f"{number}-{one[0]}" for number, one in enumerate(MALFORMED)],
)
async def test_what_is_malformed_is_refused_by_name(
    stage: Stage, action: str, params: dict[str, Any], field: str
) -> None:
    before = await members(stage)
    refused = await stage.send("root", action, **params)
    assert refused.code == 400 and field in refused.message
    assert refused.data["field"].startswith(field.partition("[")[0])
    assert (await members(stage), await stage.count("group"), stage.messages()) == (before, 1, [])


DUPLICATES: dict[str, dict[str, Any]] = {
    "group.create": {"name": "N", "member_ids": ["li"]},
    "group.update": {"group_id": "g", "updates": {"name": "N"}},
    "group.dismiss": {"group_id": "g"},
    "group.member_add": {"group_id": "g", "member_ids": ["zhao"]},
    "group.member_remove": {"group_id": "g", "member_ids": ["wang"]},
    "group.member_role": {"group_id": "g", "employee_id": "wang", "role": "admin"},
}


@pytest.mark.parametrize("action", DUPLICATES)
async def test_a_duplicate_has_no_second_effect_and_the_same_answer(stage: Stage, action: str) -> None:
    first = await stage.send("root", action, seq="s1", **DUPLICATES[action])
    told, audited = len(stage.messages()), len(await stage.audited())
    stage.clock[0] += 5_000
    second = await stage.send("root", action, seq="s1", **DUPLICATES[action])
    assert (second.raw, first.code) == (first.raw, 0)
    assert (stage.messages(), len(await stage.audited())) == ([], audited)
    assert (told > 0) == (action not in ("group.update", "group.member_role"))


async def test_removing_is_audited_with_whom_and_by_which_client(stage: Stage) -> None:
    await stage.send("li", "group.member_remove", group_id="g", member_ids=["wang"])
    (row,) = await stage.audited()
    assert (row.action, row.target, row.author, row.client_id, row.code) == (
        "group.member_remove",
        "g",
        "li",
        "li",
        0,
    )
    assert "wang" in str(row.detail)
