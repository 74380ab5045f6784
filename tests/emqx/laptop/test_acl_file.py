"""The file of rules that EMQX comes with decides as EMQX's does; what is not understood is refused."""

from dataclasses import replace

import pytest

from emqx.laptop.acl_file import FileQuestion
from emqx.laptop.client import Client
from emqx.laptop.objects import RuleFile
from emqx.laptop.refusals import ApiRefusal
from emqx.rules import Action
from tests.contract.recordings import lines

HERE = Client("c1", "alice", ("127.0.0.1", 50_000), ("127.0.0.1", 1883), "default", 60, True)
ELSEWHERE = replace(HERE, peer=("10.1.2.3", 50_000))


def shipped() -> str:
    """The rules of a fresh EMQX, as recorded."""
    for line in lines("rest2.jsonl"):
        if line["request"]["path"] == "/api/v5/authorization/sources/file":
            rules: str = line["response"]["body"]["rules"]
            return rules
    raise AssertionError("not recorded")


async def decided(rules: str, client: Client, action: Action, topic: str) -> str | None:
    return await FileQuestion(RuleFile(type="file", rules=rules)).decide(client, action, topic, 1, False)


@pytest.mark.parametrize(
    ("client", "action", "topic", "verdict"),
    [
        (ELSEWHERE, "publish", "any/thing", "allow"),
        (ELSEWHERE, "subscribe", "a/#", "allow"),
        (ELSEWHERE, "subscribe", "#", "deny"),
        (ELSEWHERE, "subscribe", "+/#", "deny"),
        (ELSEWHERE, "subscribe", "$SYS/brokers", "deny"),
        (HERE, "subscribe", "#", "allow"),
        (HERE, "subscribe", "$SYS/brokers", "allow"),
        (replace(ELSEWHERE, username="dashboard"), "subscribe", "$SYS/brokers", "allow"),
        (replace(ELSEWHERE, username="dashboards"), "subscribe", "$SYS/brokers", "deny"),
    ],
)
async def test_the_file_that_emqx_comes_with(
    client: Client, action: Action, topic: str, verdict: str
) -> None:
    assert await decided(shipped(), client, action, topic) == verdict


async def test_what_no_rule_speaks_of_is_left_to_the_next() -> None:
    rules = '% a comment, with {allow, all}.\n{deny, {clientid, "c2"}, all, ["a/b"]}.'
    assert await decided(rules, HERE, "publish", "a/b") is None
    assert await decided(rules, replace(HERE, client_id="c2"), "publish", "a/b") == "deny"


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ("nonsense(", 400),
        ("{allow, all}", 400),
        ("{allow, all.", 400),
        ("{allow, {security_profile, legacy}}.", 501),
        ('{allow, all, subscribe, ["a/${clientid}"]}.', 501),
        ("{maybe, all}.", 501),
    ],
)
def test_what_is_not_understood_is_refused(rules: str, status: int) -> None:
    with pytest.raises(ApiRefusal) as refusal:
        FileQuestion(RuleFile(type="file", rules=rules))
    assert refusal.value.status == status
