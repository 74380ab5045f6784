import pytest

from emqx.laptop.templates import BodyTemplate

KNOWN = frozenset({"username", "topic"})
VALUES = {"username": "e1", "client_attrs.role": "${topic}", "zone": "z"}


@pytest.mark.parametrize(
    ("body", "rendered"),
    [
        ({"u": "${username}"}, {"u": "e1"}),
        ({"u": "a ${username}/${topic} b"}, {"u": "a e1/ b"}),
        ({"r": "${client_attrs.role}"}, {"r": "${topic}"}),
        ({"r": "${client_attrs.none}"}, {"r": ""}),
        ({"r": "${client_attrs.role}", "z": "${zone}"}, {"r": "${client_attrs.role}", "z": "${zone}"}),
        ({"u": "${username}", "z": "${zone}"}, {"u": "e1", "z": "${zone}"}),
        ({"u": "plain $ { } text"}, {"u": "plain $ { } text"}),
        ({}, {}),
    ],
)
def test_a_body_is_rendered(body: dict[str, str], rendered: dict[str, str]) -> None:
    assert BodyTemplate(body, KNOWN).rendered(VALUES) == rendered
