"""What is wanted of a broker, held against what EMQX 5.8.9 was recorded to have and to know."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from acl_service.hooks.wire import AuthnQuestion, AuthzQuestion
from emqx.api.secrecy import MASK
from emqx.desired.broker import SecretUnfit, desired
from emqx.laptop.rule_sql import selected
from tests.contract.recordings import lines
from tests.emqx.desired.wishes import SECRET, UntouchedSettings, wish

AUTHN_OF_5_8 = {
    "username",
    "clientid",
    "password",
    "peerhost",
    "cert_subject",
    "cert_common_name",
    "cert_pem",
}
AUTHZ_OF_5_8 = {
    *("username", "clientid", "peerhost", "proto_name", "mountpoint", "topic", "action", "access"),
    *("qos", "retain", "cert_subject", "cert_common_name", "cert_pem"),
}


def read(path: str) -> dict[str, Any]:
    """The body of the first recorded GET of this path."""
    for name in ("rest.jsonl", "rest2.jsonl"):
        for line in lines(name):
            asked, told = line["request"], line["response"]
            if (asked["method"], asked["path"], told["status"]) == ("GET", f"/api/v5{path}", 200):
                body: dict[str, Any] = told["body"]
                return body
    raise AssertionError(f"GET {path} was not recorded")


def names(value: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield path + name
        if isinstance(inner, Mapping) and name not in ("body", "headers"):
            yield from names(inner, f"{path}{name}.")


def placeholders(body: Mapping[str, str]) -> set[str]:
    return {name for text in body.values() for name in re.findall(r"\$\{([^}]*)\}", text)}


def test_every_field_is_one_that_emqx_tells() -> None:
    wanted = wish()
    recorded = read("/authentication")[0]  # type: ignore[index]
    assert set(names(wanted.authenticator)) <= set(names(recorded))
    assert set(names(wanted.sources[1])) <= set(names(read("/authorization/sources")["sources"][0]))
    assert set(names(wanted.connector)) <= set(names(read("/connectors/http:mchat")))
    assert set(names(wanted.action)) <= set(names(read("/actions/http:mchat_events")))
    assert set(names(wanted.rules[0])) <= set(names(read("/rules/mchat_events")))
    assert set(names(wanted.authorization)) <= set(names(read("/authorization/settings")))
    zone = read("/configs/global_zone")
    assert set(names({"mqtt": wanted.mqtt})) | set(names(wanted.zone)) <= set(names(zone))


def test_authn_is_told_all_that_the_hooks_read_and_nothing_that_5_8_does_not_know() -> None:
    body = wish(send_certificate=True).authenticator["body"]
    assert body.keys() == set(AuthnQuestion.__struct_fields__)
    # 5.8.9 was measured to render ${zone}; it was documented for 5.9.
    assert placeholders(body) - {"zone"} <= AUTHN_OF_5_8
    assert "cert_pem" not in wish().authenticator["body"]


def test_authz_is_told_all_that_the_hooks_read_and_no_placeholder_that_5_8_does_not_know() -> None:
    body = wish().sources[1]["body"]
    assert body.keys() == {*AuthzQuestion.__struct_fields__, "peerhost"}
    known = {name for name in placeholders(body) if not name.startswith("client_attrs.")}
    assert known <= AUTHZ_OF_5_8
    assert placeholders(body) - known == {
        f"client_attrs.{name}" for name in ("employee_id", "grants_version", "credential_id", "zone")
    }


def test_sources_are_exactly_the_built_in_database_and_http() -> None:
    assert [one["type"] for one in wish().sources] == ["built_in_database", "http"]
    assert [one["type"] for one in wish(push=False).sources] == ["http"]
    assert all(one["enable"] for one in wish().sources)


def test_what_no_source_decides_is_denied_and_changing_rights_are_not_remembered() -> None:
    assert wish().authorization == {
        "no_match": "deny",
        "deny_action": "ignore",
        "cache": {"excludes": ["mchat/group/#", "mchat/status/#"]},
    }


def test_the_service_stands_before_every_topic() -> None:
    wanted = wish(service="acme")
    assert wanted.authorization["cache"]["excludes"] == ["acme/mchat/group/#", "acme/mchat/status/#"]
    assert selected(wanted.rules[1]["sql"]) == ("acme/mchat/status/+",)


def test_events_are_those_that_the_hooks_store() -> None:
    events, status = wish().rules
    assert selected(events["sql"]) == (
        "$events/client_connected",
        "$events/client_disconnected",
        "$events/session_subscribed",
        "$events/session_unsubscribed",
    )
    assert selected(status["sql"]) == ("mchat/status/+",)
    assert events["actions"] == status["actions"] == [wish().action_id]


def test_events_wait_for_minutes_and_go_on_after_two_seconds() -> None:
    wanted = wish()
    assert wanted.action["resource_opts"] == {"request_ttl": "5m", "health_check_interval": "2s"}
    assert wanted.connector["resource_opts"] == {"health_check_interval": "2s"}


def test_the_gateway_has_a_zone_and_a_listener_of_its_own() -> None:
    wanted = wish(gateway_bind="10.0.0.1:1900")
    assert wanted.zone == {
        "mqtt": {"max_inflight": 1_024, "max_mqueue_len": 20_000},
        "force_shutdown": {"max_heap_size": "1GB", "max_mailbox_size": 100_000},
    }
    assert wanted.listener is not None
    assert (wanted.listener["zone"], wanted.listener["bind"]) == ("mchat_gateway", "10.0.0.1:1900")
    assert wanted.share_strategy == "hash_clientid"
    assert wish(gateway_bind="").listener is None


def test_the_mark_of_the_zone_changes_with_it() -> None:
    assert wish().connector["description"] == wish().connector["description"]
    assert wish().connector["description"] != wish(gateway_inflight=512).connector["description"]


def test_the_secret_is_in_nothing_but_what_is_sent() -> None:
    wanted = wish()
    shown = [repr(wanted)] + [
        json.dumps(one) for one in (wanted.authenticator, wanted.connector, *wanted.sources, wanted.action)
    ]
    assert not any(SECRET in text for text in shown)
    for one in (wanted.authenticator, wanted.connector, wanted.sources[1]):
        assert one["headers"]["authorization"] == MASK
        assert wanted.with_secret(one)["headers"]["authorization"] == f"Bearer {SECRET}"
        assert one["headers"]["authorization"] == MASK


@pytest.mark.parametrize(
    "secret", ["", "two words", MASK, "näive-secret-of-sorts", "a${b}cdefghijklmnop", 'q"uote']
)
def test_a_secret_that_emqx_would_send_otherwise_is_refused_unnamed(secret: str) -> None:
    with pytest.raises(SecretUnfit) as error:
        desired(UntouchedSettings(), SecretStr(secret))
    assert not secret or secret not in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hooks_url": "http://mchat:8085"}, "in clear over the network"),
        ({"hooks_url": "https://mchat:8085"}, "HOOKS_CA_FILE"),
        ({"hooks_url": "http://u:p@127.0.0.1"}, "holds credentials"),
        ({"hooks_url": "ftp://127.0.0.1"}, "no address"),
        ({"gateway_bind": "1884"}, "host:port"),
        ({"changing_topics": ('a"b',)}, "no topic filter"),
        ({"events_rule": "x", "status_rule": "x"}, "name two"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        UntouchedSettings(**values)


def test_settings_that_can() -> None:
    assert UntouchedSettings(hooks_url="http://mchat:8085", hooks_allow_http=True).hooks_allow_http
    tls = wish("https://mchat:8085", hooks_ca_file="/etc/emqx/ca.pem").authenticator["ssl"]
    assert tls == {
        "enable": True,
        "verify": "verify_peer",
        "cacertfile": "/etc/emqx/ca.pem",
        "versions": ["tlsv1.3"],
    }
