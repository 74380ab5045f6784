"""What the gateway is told from outside, and how it says that it stands."""

import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import ValidationError

import gateway.actions  # noqa: F401 - registers them
from directory.schema.people import ROLES
from gateway.action_settings import ActionSettings
from gateway.health import LinkHealth
from gateway.link import Link
from gateway.packets import Greeting
from gateway.router import ROUTER
from gateway.settings import SettingError
from gateway.terms import SENSITIVE, Terms
from tests.gateway.brokers import UntouchedSettings

SECRET = "mct_do-not-show-me"


def actions(**values: object) -> ActionSettings:
    return ActionSettings(_env_file=None, **values)  # type: ignore[arg-type]


def test_the_credential_comes_from_one_place(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n")
    assert UntouchedSettings(token=SECRET).secret() == SECRET
    assert UntouchedSettings(token_file=file).secret() == SECRET
    with pytest.raises(ValidationError, match="MCHAT_GATEWAY_TOKEN and MCHAT_GATEWAY_TOKEN_FILE") as both:
        UntouchedSettings(token=SECRET, token_file=file)
    assert SECRET not in str(both.value)
    with pytest.raises(SettingError, match=r"mchat_gateway.*mchat init"):
        UntouchedSettings().secret()
    with pytest.raises(SettingError, match="MCHAT_GATEWAY_TOKEN_FILE="):
        UntouchedSettings(token_file=tmp_path / "none").secret()


def test_the_credential_is_shown_by_nothing() -> None:
    settings = UntouchedSettings(token=SECRET)
    link = Link(settings, SECRET, prefix="", clock=time.monotonic, random=lambda: 0.5)
    for shown in (repr(settings), str(settings), repr(link), str(LinkHealth(link, settings).facts())):
        assert SECRET not in shown


@pytest.mark.parametrize("instance", ["", "a_b", "a/b", "+", "x" * 33, "é"])
def test_an_instance_that_would_not_be_the_persons_own_client_id_is_refused(instance: str) -> None:
    with pytest.raises(ValidationError, match="instance"):
        UntouchedSettings(instance=instance)
    assert UntouchedSettings(instance="b-2").client_id == "mchat_gateway_b-2"


def test_without_settings_actions_have_the_terms_that_they_have_by_themselves() -> None:
    found = actions().terms(service="", version="", stale_s=2.0, grace_s=300.0)
    assert found == Terms()


def test_each_setting_of_the_actions_reaches_its_term() -> None:
    found = actions(
        client_host="mq.example",
        client_port=8883,
        client_tls=True,
        client_ws_url="wss://mq.example/mqtt",
        request_keep=120,
        sensitive_actions="group.dismiss, employee.delete",
        challenge_proof="",
        challenge_seconds=60,
        anyone_creates_groups=True,
        agents_over_http=True,
        credential_grace=3,
        revocation_wait=0.5,
    ).terms(service="s1", version="9", stale_s=1.0, grace_s=0.0)
    assert (found.broker.host, found.broker.port, found.broker.use_tls) == ("mq.example", 8883, True)
    assert found.broker.ws_url == "wss://mq.example/mqtt"
    assert found.sensitive == {"group.dismiss", "employee.delete"}
    assert (found.request_keep_ms, found.challenge_ms, found.credential_grace_ms) == (120_000, 60_000, 3_000)
    assert (found.challenge_proof, found.revocation_wait_ms) == (frozenset(), 500)
    assert (found.anyone_creates_groups, found.agents_over_http) == (True, True)
    assert (found.service, found.version, found.stale_s, found.grace_s) == ("s1", "9", 1.0, 0.0)


def test_a_name_that_protects_nothing_is_refused() -> None:
    known = ROUTER.mutating()
    assert known >= SENSITIVE
    for reading in ("audit.query", "msg.send_private", "auth.challenge"):
        with pytest.raises(SettingError, match=f"MCHAT_SENSITIVE_ACTIONS: '{reading}'"):
            actions(sensitive_actions=reading).check(known, frozenset(ROLES))
    actions(sensitive_actions="group.dismiss", challenge_proof="admin").check(known, frozenset(ROLES))
    with pytest.raises(SettingError, match=r"MCHAT_SENSITIVE_ACTIONS: 'group\.dismis'"):
        actions(sensitive_actions="group.dismis").check(known, frozenset(ROLES))
    with pytest.raises(SettingError, match="MCHAT_CHALLENGE_PROOF: 'admins'"):
        actions(challenge_proof="admins").check(known, frozenset(ROLES))


async def test_health_says_why_no_requests_come_and_what_the_broker_allows() -> None:
    settings = UntouchedSettings(token=SECRET, receive_maximum=100)
    link = Link(settings, SECRET, prefix="", clock=time.monotonic, random=lambda: 0.5)
    health = LinkHealth(link, settings)
    assert await health.broker() == "not connected yet"
    link.figures.fault = "no connection to there"
    assert await health.broker() == "no connection to there"
    link.figures.fault = ""
    link.figures.greeting = Greeting(False, receive_maximum=32, packet_size=None, shared=True)
    link.figures.refused = 3
    link.up.set()
    assert await health.broker() is None
    facts = health.facts()
    assert (facts["receive_maximum"], facts["refused"], facts["connected"]) == (32, 3, True)
    assert "no zone of its own" in facts["zone"]
    registry = CollectorRegistry()
    registry.register(health)
    text = generate_latest(registry).decode()
    assert "mchat_gateway_link_receive_maximum 32.0" in text
    assert "mchat_gateway_link_refused_total 3.0" in text
    link.figures.greeting = Greeting(False, receive_maximum=100, packet_size=None, shared=True)
    assert health.facts()["zone"] == "ok"
