"""``KEY=VALUE`` as the parameters of an action."""

from pathlib import Path

import pytest

from mchat.errors import CommandError
from mchat.gateway_parameters import parameters


@pytest.mark.parametrize(
    ("action", "given", "found"),
    [
        ("org.tree", [], {}),
        ("group.create", ["name=5", "member_ids=bob"], {"name": "5", "member_ids": ["bob"]}),
        ("group.create", ["name=Team A", "member_ids=a, b"], {"name": "Team A", "member_ids": ["a", "b"]}),
        ("group.create", ["name=x", 'member_ids=["a"]'], {"name": "x", "member_ids": ["a"]}),
        ("group.create", ["name=x", "member_ids="], {"name": "x", "member_ids": []}),
        ("group.list", ["all=true", "limit=5"], {"all": True, "limit": 5}),
        (
            "group.update",
            ["group_id=team", 'updates={"name":"B"}'],
            {"group_id": "team", "updates": {"name": "B"}},
        ),
        ("msg.send_private", ["to_employee_id=b", "content=1=1"], {"to_employee_id": "b", "content": "1=1"}),
        (
            "msg.send_private",
            ["to_employee_id=b", "content=@b hi"],
            {"to_employee_id": "b", "content": "@b hi"},
        ),
        ("msg.send_private", ['content={"type":"text"}'], {"content": {"type": "text"}}),
        ("msg.read_ack", ["conversation_type=group"], {"conversation_type": "group"}),
        ("department.delete", ["challenge_id=ch_1", "token=5"], {"challenge_id": "ch_1", "token": "5"}),
    ],
)
def test_values_have_the_types_that_the_action_wants(
    action: str, given: list[str], found: dict[str, object]
) -> None:
    assert parameters(action, given) == found


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes("\ufeff pä=s\r\ns@wo\rrd \r\n\n".encode())
    (tmp_path / "updates").write_text('{\n  "name": "B"\n}\n')
    given = ["for_action=x", "target=@y", f"password@{tmp_path}/secret"]
    assert parameters("auth.challenge", given) == {
        "for_action": "x",
        "target": "@y",
        "password": " pä=s\r\ns@wo\rrd ",
    }
    given = ["group_id=team", f"updates@{tmp_path}/updates"]
    assert parameters("group.update", given) == {"group_id": "team", "updates": {"name": "B"}}


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="missing: No such file"):
        parameters("auth.challenge", [f"password@{tmp_path}/missing"])
    (tmp_path / "odd").write_bytes(b"hunter2\xff")
    with pytest.raises(CommandError, match="odd: it is not UTF-8") as raised:
        parameters("auth.challenge", [f"password@{tmp_path}/odd"])
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("action", "given", "told"),
    [
        ("group.crate", [], "there is no action group.crate: choose from agent.capability_list"),
        ("group.list", ["limits=5"], "group.list has no parameter limits: it has"),
        ("group.list", ["limit"], "KEY=VALUE"),
        ("group.list", ["limit=1", "limit=2"], "limit is given twice"),
        ("group.list", ["limit=hunter2"], "limit: what is given is no JSON"),
        ("group.update", ["updates=hunter2"], "updates: what is given is no JSON"),
    ],
)
def test_what_cannot_be_is_told_and_no_value_is_shown(action: str, given: list[str], told: str) -> None:
    with pytest.raises(CommandError) as raised:
        parameters(action, given)
    assert told in str(raised.value)
    assert "hunter2" not in str(raised.value)
