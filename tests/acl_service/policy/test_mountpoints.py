import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl_service.policy.connect import connect_rules
from acl_service.policy.document import Document, PolicyError
from acl_service.policy.grants import Program
from acl_service.policy.mountpoints import Mountpoint
from acl_service.policy.templates import RuleError
from directory.ids import is_id
from tests.acl_service.policy.profiled import client

POLICY = """\
name = "test"

[zones.inner]
mountpoint = "u/${username}/"

[zones."the other"]
mountpoint = "${clientid}/"

[roles.employee]
permissions = [{ action = "publish", topic = "a/b" }]
"""


@pytest.mark.parametrize(
    ("text", "personal", "rendered"),
    [
        ("u/${username}/", True, "u/ann/"),
        ("${clientid}/", False, "ann_pc/"),
        ("a/${clientid}/${username}/b/", True, "a/ann_pc/ann/b/"),
        ("tenant/", False, "tenant/"),
    ],
)
def test_a_mountpoint_is_rendered_for_a_client(text: str, personal: bool, rendered: str) -> None:
    mountpoint = Mountpoint.parse(text)
    assert (mountpoint.text, mountpoint.personal) == (text, personal)
    assert mountpoint.of("ann", "ann_pc") == rendered


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "u", "u/${username}", "/u/", "u//", "u/+/", "u/#/", "$share/", "u/$x/", "u/\0/"),
        *("u/${employee_id}/", "u/x${username}/", "u/${username}x/", "u/${zone}/", "u/a+b/", "u/x${/"),
    ],
)
def test_what_can_be_no_mountpoint(text: str) -> None:
    with pytest.raises(RuleError, match="mountpoint"):
        Mountpoint.parse(text)


IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True).filter(is_id)


@given(one=IDS, other=IDS, topic=st.text("ab/", min_size=1, max_size=4))
def test_no_two_people_share_a_topic(one: str, other: str, topic: str) -> None:
    mountpoint = Mountpoint.parse("u/${username}/")
    mine, yours = (mountpoint.of(name, "c") for name in (one, other))
    assert (mine + topic).startswith(yours) == (one == other)


def test_a_document_states_the_mountpoints_of_its_zones() -> None:
    document = Document.load(POLICY)
    assert {zone: stated.text for zone, stated in document.zones.items()} == {
        "inner": "u/${username}/",
        "the other": "${clientid}/",
    }
    assert document.program("employee", 1).zones is document.zones
    assert document.program("nobody", 1).zones == {}
    assert Document.load('name = "x"\n[roles.x]\n').zones == {}


def test_nothing_is_told_at_a_connect_behind_a_mountpoint() -> None:
    program: Program = Document.load(POLICY).program("employee", 1)
    grants = client("mchat", "employee")
    object.__setattr__(grants, "program", program)
    assert [rule.topic for rule in connect_rules(grants, "default", 0)] == ["a/b"]
    # A zone that the broker does not tell may be one of those stated.
    assert connect_rules(grants, "inner", 0) == connect_rules(grants, None, 0) == ()
    unmounted = POLICY.partition("[zones")[0] + POLICY[POLICY.index("[roles") :]
    plain: Program = Document.load(unmounted).program("employee", 1)
    object.__setattr__(grants, "program", plain)
    assert [rule.topic for rule in connect_rules(grants, None, 0)] == ["a/b"]


@pytest.mark.parametrize(
    ("zones", "line", "words"),
    [
        ('[zones.z]\nmountpoint = "u/${username}"', 3, "must end in /"),
        ('[zones.z]\nmountpoint = "u/${user}/"', 3, "cannot be a level"),
        ('[zones.z]\nmountpoint = ""', 3, "mountpoint is empty"),
        ("[zones.z]\nmountpoint = 1", 3, "write a text"),
        ("[zones.z]", 2, "has no mountpoint"),
        ('[zones.z]\nmount = "u/"', 3, "unknown key 'mount'"),
        ('[zones.""]\nmountpoint = "u/"', 2, "the name of a zone is empty"),
        ("zones = 1", 2, "write a table"),
    ],
)
def test_what_is_wrong_with_a_zone_is_said(zones: str, line: int, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Document.load(f'name = "x"\n{zones}\n[roles.x]\n')
    first = next(problem for problem in caught.value.problems if words in problem.message)
    assert first.line == line
