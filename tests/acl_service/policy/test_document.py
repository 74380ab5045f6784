import pytest

from acl_service.policy.document import Document, PolicyError
from acl_service.policy.rules import Action, Effect, RuleError

GOOD = """\
name = "test"
queues = ["jobs"]

[spaces]
one = "${service}/one/${employee_id}"
two = ["${service}/two", "two/+/a"]

[roles.base]
permissions = [
  { action = "subscribe", space = "one", reason = "because" },
]

[roles.staff]
extends = ["base"]
permissions = [
  { action = "all", space = "two", effect = "deny", priority = 5, qos = [0, 1], zone = "z" },
  { action = "publish", topic = "x", retain = true, qos = 2 },
  { action = "subscribe", topic = "y/+", only = true },
]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        Document.load(text)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return list(map(str, caught.value.problems))


def test_a_document_becomes_rules_with_ids_sources_and_reasons() -> None:
    document = Document.load(GOOD, "acme")
    assert (document.name, document.queues) == ("test", frozenset({"jobs"}))
    assert document.roles["base"][0].template.levels[:2] == ("acme", "one")
    inherited, denied, denied_too, kept, very = document.roles["staff"]
    assert inherited == document.roles["base"][0]
    assert (inherited.id, inherited.source, inherited.reason) == (
        "base/1",
        "policy test, role base, rule 1, line 10",
        "because",
    )
    assert (denied.id, denied_too.id, kept.id) == ("staff/1.1", "staff/1.2", "staff/2")
    assert (denied.effect, denied.action, denied.priority) == (Effect.DENY, Action.ALL, 5)
    assert denied.qos == frozenset({0, 1})
    assert (denied.zone, denied.template.text) == ("z", "${service}/two")
    assert kept.qos == frozenset({2})
    assert (kept.effect, kept.retain, kept.only) == (Effect.ALLOW, True, False)
    assert (very.only, very.reason) == (True, "role staff has this permission")
    assert very.source == "policy test, role staff, rule 3, line 18"


def test_a_program_has_a_roles_rules_and_the_policys_queues() -> None:
    document = Document.load(GOOD)
    program = document.program("staff", 9)
    assert (program.role, program.version, program.closed) == ("staff", 9, False)
    assert program.queues == {"jobs"}
    assert program.index.rules == document.roles["staff"]


def test_a_role_that_the_policy_does_not_know_is_denied_with_the_reason() -> None:
    program = Document.load(GOOD).program("boss", 9)
    assert program.closed
    assert (
        program.refusal.reason
        == "policy 'test' version 9 does not know the role 'boss': it knows base, staff"
    )


def test_each_role_comes_once_however_often_it_is_extended() -> None:
    text = 'name = "x"\n' + "".join(
        f'[roles.{role}]\nextends = {parents}\npermissions = [{{ action = "all", topic = "{role}" }}]\n'
        for role, parents in (("d", '["b", "c"]'), ("b", '"a"'), ("c", '["a"]'), ("a", "[]"))
    )
    assert [rule.id for rule in Document.load(text).roles["d"]] == ["a/1", "b/1", "c/1", "d/1"]


@pytest.mark.parametrize(
    ("switch", "told", "seen"), [(False, None, 0), (True, None, 1), (False, True, 1), (True, False, 0)]
)
def test_the_switch_presence_public_turns_permissions_on(switch: bool, told: bool | None, seen: int) -> None:
    text = f"""name = "x"
presence_public = {str(switch).lower()}
[roles.a]
permissions = [ {{ action = "subscribe", topic = "status/+", when = "presence_public" }} ]
"""
    assert len(Document.load(text, presence_public=told).roles["a"]) == seen


def test_all_problems_are_told_with_line_role_and_rule() -> None:
    found = problems("""\
nam = "x"
queues = ["a/b"]
presence_public = "yes"
[spaces]
empty = []
bad = ["a/${user}", 7]
[roles.a]
extends = ["b", "a"]
permission = 1
permissions = [
  { action = "subscribe", topic = "#" },
  { action = "subscribe", space = "nowhere", qos = [3], only = 1 },

  { action = "publ", effect = "maybe", topic = "a/x${client_id}", bogus = 1 },
  { topic = "a", space = "bad", priority = "high", when = "it_rains" },
  "all",
  { action = "publish", topic = "a", only = true, zone = "" },
  { action = "publish", topic = "$delayed/1/a", wide = true },
]
[roles.c]
extends = 5
""")
    wanted = [
        "line 1: name is missing",
        "line 1: unknown key 'nam'",
        "line 2: 'a/b' cannot be the name of a queue",
        "line 3: presence_public is 'yes': write true or false",
        "line 5: space 'empty' has no topics",
        "line 6: bad is ['a/${user}', 7]: write a text or a list of texts",
        "line 6: topic 'a/${user}': unknown placeholder '${user}'",
        "line 8, role a: role 'a' extends itself through 'a'",
        "line 8, role a: there is no role 'b' to extend",
        "line 9, role a: unknown key 'permission'",
        "line 11, role a, rule 1: '#' reaches nearly everything",
        "line 12, role a, rule 2: only is 1: write true or false",
        "line 12, role a, rule 2: qos [3]: list one or more of 0, 1 and 2",
        "line 12, role a, rule 2: there is no space 'nowhere': known are empty, bad",
        "line 14, role a, rule 3: action 'publ': write one of publish, subscribe, all",
        "line 14, role a, rule 3: effect 'maybe': write one of allow, deny",
        "line 14, role a, rule 3: topic 'a/x${client_id}': a placeholder must be a whole level",
        "line 14, role a, rule 3: unknown key 'bogus'",
        "line 15, role a, rule 4: action is missing",
        "line 15, role a, rule 4: priority is 'high': write a whole number",
        "line 15, role a, rule 4: when is 'it_rains': the only switch is 'presence_public'",
        "line 15, role a, rule 4: write either space",
        "line 16, role a, rule 5: 'all' is not a table",
        "line 17, role a, rule 6: only: goes with action subscribe",
        "line 17, role a, rule 6: zone is empty",
        "line 18, role a, rule 7: topic '$delayed/1/a': $delayed is a prefix",
        "line 18, role a, rule 7: wide = true needs a reason",
        "line 18, role a, rule 7: wide = true stands beside topics that are not wide",
        "line 21, role c: extends is 5: write a text or a list of texts",
    ]
    found.sort(key=lambda text: (int(text.removeprefix("line ").partition(":")[0].partition(",")[0]), text))
    assert [text[: len(start)] for text, start in zip(found, wanted, strict=False)] == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 'x'\nroles = ", "line 2: this is no TOML"),
        ("a = [\n1\n", "this is no TOML"),
        ("name = 'x'\n", "line 1: there are no roles"),
        ("name = 'x'\nroles = 3", "line 2: roles is 3: write a table"),
        ("name = ''\n[roles.a]\n", "line 1: name is empty"),
        ("name = 3\n[roles.a]\n", "line 1: name is 3: write a text"),
        ("name = 'x'\n[roles]\na = 'b'\n", "line 3, role a: a is 'b': write a table"),
        ("name = 'x'\n[roles.a]\npermissions = 5\n", "line 3, role a: permissions is 5: write a list"),
        (
            "name = 'x'\n[roles.a]\nextends = 'b'\n[roles.b]\nextends = 'a'\n",
            "line 3, role a: role 'a' extends its",
        ),
    ],
)
def test_a_text_of_the_wrong_form_is_one_clear_problem(text: str, words: str) -> None:
    assert any(words in problem for problem in problems(text))


def test_a_wide_allow_has_to_be_meant() -> None:
    text = 'name = "x"\n[roles.a]\npermissions = [ {{ action = "all", topic = "mchat/#"{} }} ]\n'
    assert "reaches nearly everything" in problems(text.format(""))[0]
    assert "needs a reason" in problems(text.format(", wide = true"))[0]
    assert Document.load(text.format(', wide = true, reason = "an auditor reads all"')).roles["a"]
    assert Document.load(text.format(', effect = "deny"')).roles["a"]


def test_a_service_that_cannot_be_a_level_is_not_the_documents_fault() -> None:
    with pytest.raises(RuleError, match="service id 'a/b'"):
        Document.load(GOOD, "a/b")
