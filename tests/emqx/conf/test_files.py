"""Configuration by file: made from the same values, read back to the same values, without the secret."""

from pathlib import Path

import pytest

from emqx.api.nodes import Version
from emqx.api.secrecy import MASK
from emqx.conf import files as made
from emqx.conf.text import configuration, secret_line, secret_path, tree
from emqx.desired.broker import Desired
from emqx.laptop.hocon import parse
from tests.emqx.desired.wishes import SECRET, wish

FOLDER = Path(made.__file__).parent


def without_includes(text: str, wanted: Desired, value: str) -> str:
    """What EMQX's HOCON makes of the include and the reference, which our parser refuses to guess at."""
    lines = [line for line in text.splitlines() if not line.startswith("include ")]
    return "\n".join(lines).replace(f"${{{secret_path(wanted)}}}", f'"{value}"')


@pytest.mark.parametrize("name", made.files())
def test_the_files_are_those_of_the_code(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == made.files()[name], (
        "write them anew: python -m emqx.conf.files emqx/conf"
    )


def test_no_other_file_lies_there() -> None:
    found = {file.name for file in FOLDER.iterdir() if file.suffix not in (".py", "")}
    assert found == set(made.files())


@pytest.mark.parametrize("version", [(5, 8, 0), (6, 2, 0)])
@pytest.mark.parametrize("push", [True, False])
def test_it_reads_back_to_the_same_values(version: Version, push: bool) -> None:
    wanted = wish("http://127.0.0.1:9999", service="acme", push=push, status_topics=())
    text = configuration(wanted, version)
    assert parse(without_includes(text, wanted, MASK)) == tree(wanted, version)


def test_what_the_tree_holds_is_what_apply_sets() -> None:
    wanted = wish()
    roots = tree(wanted, (5, 8, 0))
    assert roots["authentication"] == [wanted.authenticator]
    assert roots["authorization"] == wanted.authorization | {"sources": list(wanted.sources)}
    connector = roots["connectors"]["http"]["mchat"]
    assert {
        "type": "http",
        "name": "mchat",
        "headers": {"authorization": MASK},
    } | connector == wanted.connector
    assert {"type": "http", "name": "mchat_events"} | roots["actions"]["http"][
        "mchat_events"
    ] == wanted.action
    rules = roots["rule_engine"]["rules"]
    assert [{"id": name} | rule for name, rule in rules.items()] == list(wanted.rules)
    assert roots["mqtt"] == wanted.mqtt
    assert roots["zones"] == {"mchat_gateway": wanted.zone}
    listener = {"type": "tcp", "name": "mchat_gateway"} | roots["listeners"]["tcp"]["mchat_gateway"]
    assert listener == wanted.listener


def test_node_caches_are_off_where_there_are_some_and_unsaid_where_5_8_would_not_start() -> None:
    later, early = tree(wish(), (5, 9, 0)), tree(wish(), (5, 8, 9))
    assert later["authentication_settings"] == {"node_cache": {"enable": False}}
    assert later["authorization"]["node_cache"] == {"enable": False}
    assert "authentication_settings" not in early
    assert "node_cache" not in early["authorization"]


def test_without_a_gateway_there_is_neither_zone_nor_listener() -> None:
    assert not {"zones", "listeners"} & tree(wish(gateway_bind=""), (5, 8, 0)).keys()


def test_the_secret_stands_in_its_own_file_alone() -> None:
    wanted = wish()
    text = configuration(wanted, (6, 2, 0))
    assert SECRET not in text
    # Authn and authz refer to it; the connector has it from the file itself.
    assert text.count(f"authorization = ${{{secret_path(wanted)}}}") == 2
    assert MASK not in text
    read = parse(secret_line(wanted))
    assert read == {"connectors": {"http": {"mchat": {"headers": {"authorization": f"Bearer {SECRET}"}}}}}
