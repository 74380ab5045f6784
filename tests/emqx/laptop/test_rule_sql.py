import pytest

from emqx.laptop.refusals import ApiRefusal
from emqx.laptop.rule_sql import EVENT_TOPICS, select, selected


@pytest.mark.parametrize(
    ("sql", "topics"),
    [
        ('SELECT * FROM "a/+"', ("a/+",)),
        ('select *  from\n "$events/client_connected" , "a/#"', ("$events/client_connected", "a/#")),
        (select(["a", "b"]), ("a", "b")),
    ],
)
def test_what_is_selected(sql: str, topics: tuple[str, ...]) -> None:
    assert selected(sql) == topics


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("", 400),
        ("SELEC nothing", 400),
        ('SELECT * "a"', 400),
        ('SELECT * FROM "a/#/b"', 400),
        ("SELECT * FROM a", 501),
        ('SELECT payload FROM "a"', 501),
        ('SELECT * FROM "a" WHERE qos = 1', 501),
        ('SELECT * FROM ""', 501),
    ],
)
def test_what_is_not(sql: str, status: int) -> None:
    with pytest.raises(ApiRefusal) as refused:
        selected(sql)
    assert refused.value.status == status


def test_the_events_have_the_names_of_emqx() -> None:
    assert EVENT_TOPICS["client.check_authn_complete"] == "$events/client_check_authn_complete"
    assert EVENT_TOPICS["session.subscribed"] == "$events/session_subscribed"
    assert "message.publish" not in EVENT_TOPICS
