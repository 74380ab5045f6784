import tomllib
from collections.abc import Iterator

import pytest

from acl_service.policy.positions import Path, positions
from acl_service.policy.profiles import names, read

TEXT = """\
# a comment with [brackets] and "quotes"
name = "x # no comment"          # but this is one
"quoted \\u0041.key" = 1
a.b . c = 2
long = \"\"\"
[not.a.table]
key = "no" \\\"\"\" still in
\"\"\"\"\"
literal = '''
''[no]'''''
empty = ""

[[list]]
n = 1
[[list]]
n = 2
[list.sub]
m = 3
[[list.deep]]
k = 4
[[list.deep]]
k = [ 1, 2,
  # in a list
  { x = [ "]", '}' ], "y.z" = 1979-05-27 07:32:00 }, # after it
]
[table]
t = 07:32:00
[table.inner]
[ roles . "a b" ]
permissions = [ { s = 1 }, { s = 2 },
                { s = 3 } ]
"""


def leaves(value: object, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from leaves(inner, (*path, at))


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), "", *map(read, names())])
def test_every_value_has_a_position(text: str) -> None:
    assert set(positions(text)) == set(leaves(tomllib.loads(text)))


def test_positions_are_the_lines_where_things_stand() -> None:
    found = positions(TEXT)
    wanted: dict[Path, str] = {
        ("name",): "name =",
        ("quoted A.key",): '"quoted',
        ("a", "b", "c"): "a.b . c",
        ("long",): "long =",
        ("literal",): "literal =",
        ("empty",): "empty =",
        ("list", 0, "n"): "n = 1",
        ("list", 1): "[[list]]",
        ("list", 1, "n"): "n = 2",
        ("list", 1, "sub", "m"): "m = 3",
        ("list", 1, "deep", 0, "k"): "k = 4",
        ("list", 1, "deep", 1, "k", 2, "x", 1): "  { x",
        ("table", "t"): "t =",
        ("roles", "a b"): "[ roles",
        ("roles", "a b", "permissions", 1, "s"): "permissions",
        ("roles", "a b", "permissions", 2, "s"): "                { s = 3",
    }
    lines = TEXT.split("\n")
    assert {
        path: lines[found[path] - 1].startswith(start) for path, start in wanted.items()
    } == dict.fromkeys(wanted, True)
    assert found[("list", 0)] == lines.index("[[list]]") + 1 < found[("list", 1)]
