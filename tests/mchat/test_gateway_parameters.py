"""``KEY=VALUE`` as the parameters of an action."""

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
        ("msg.send_private", ['content={"type":"text"}'], {"content": {"type": "text"}}),
        ("msg.read_ack", ["conversation_type=group"], {"conversation_type": "group"}),
        ("department.delete", ["challenge_id=ch_1", "token=5"], {"challenge_id": "ch_1", "token": "5"}),
    ],
)
def test_values_have_the_types_that_the_action_wants(
    action: str, given: list[str], found: dict[str, object]
) -> None:
    assert parameters(action, given) == found


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
