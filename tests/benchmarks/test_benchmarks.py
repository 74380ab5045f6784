"""Each benchmark at toy size, so that none of them rots; its figures mean nothing there."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.acceptance.enforcement.removals import Load
from tests.benchmarks import (
    __main__,
    authn,
    authz,
    decision,
    gateway,
    generator,
    mqtt_asker,
    presence,
    revocation,
    servers,
    storm,
)
from tests.benchmarks.figures import Figure
from tests.mosquitto import find_mosquitto

KEYS = ["name", "value", "unit", "baseline", "ratio", "bar", "ok"]


def told(figures: Iterable[Figure]) -> dict[str, Figure]:
    """The figures by name; each must be a whole line, and judged if and only if it has a bar."""
    by_name: dict[str, Figure] = {}
    for figure in figures:
        line = json.loads(figure.line())
        assert list(line) == KEYS
        assert (line["bar"] is None) == (line["ok"] is None)
        assert figure.name not in by_name
        by_name[figure.name] = figure
    return by_name


@pytest.fixture
def one_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without PostgreSQL, where a benchmark has to say so."""
    monkeypatch.setattr(servers, "find_binaries", lambda: None)


@pytest.mark.usefixtures("one_database")
def test_authz_tells_the_rates_beside_the_constant_and_that_postgresql_is_missing() -> None:
    figures = told(authz.figures(authz.Size(people=100, groups=10, bodies=300, rounds=1)))
    assert {
        *("authz.rate_allow[sqlite]", "authz.p99_allow[sqlite]", "authz.rate_mixed[sqlite]"),
        *("authz.p99_mixed[sqlite]", "authz.reads[sqlite]", "authz.busy[sqlite, allow]"),
    } <= set(figures)
    assert figures["authz.rate_allow[sqlite]"].bar == 0.70
    assert figures["authz.rate_mixed[sqlite]"].bar == 0.50
    assert 0.2 < figures["authz.denied[sqlite]"].value < 0.4
    ceiling = figures["authz.ceiling[sqlite]"]
    assert ceiling.baseline is not None
    assert ceiling.ratio == pytest.approx(ceiling.value / ceiling.baseline)
    assert ceiling.value == figures["authz.rate_allow[sqlite]"].value
    assert "apt-get install" in figures["authz.unmeasured[postgresql]"].unit


@pytest.mark.usefixtures("one_database")
def test_authn_tells_its_rate_beside_the_constant_with_our_own_generator_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    figures = told(authn.figures(authn.Size(people=100, rounds=1)))
    rate = figures["authn.rate[sqlite]"]
    assert rate.bar == 0.5
    assert rate.baseline is not None
    assert rate.ratio == pytest.approx(rate.value / rate.baseline)


def test_a_storm_lets_everybody_in() -> None:
    figures = told(storm.figures(storm.Size(people=200)))
    assert figures["storm.timeouts[sqlite]"].ok
    assert {"storm.p99[sqlite]", "storm.seconds[sqlite]"} <= set(figures)


def test_decision_tells_each_size_and_the_answers_of_its_rivals_agree() -> None:
    size = decision.Size((10, 100, 500), used=100, clients=10, groups=20, questions=540, rounds=3, rivals=20)
    figures = told(decision.figures(size))
    assert {f"decide.{share}[{count}]" for share in ("p50", "p99") for count in size.rules} <= set(figures)
    assert figures["decide.flatness"].bar == 2.0
    assert figures["decide.vs_linear"].bar == 20
    assert figures["decide.vs_pycasbin"].bar == 100
    assert figures["decide.denied[100]"].value == pytest.approx(1 / 3, abs=0.01)


def test_a_rival_that_answers_otherwise_is_noticed() -> None:
    size = decision.Size((10, 10, 10), used=10, clients=2, groups=5, questions=90, rounds=1, rivals=12)
    duel = decision.Duel(lambda case: True)
    with pytest.raises(AssertionError, match="differ"):
        duel.round(decision.Bench(10, 10, size).questions[:12])


def test_every_benchmark_of_the_issue_has_its_name_and_another_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(__main__.BENCHMARKS) == [
        "decision",
        "authz",
        "authn",
        "storm",
        "revocation",
        "presence",
        "gateway",
    ]
    assert __main__.main(["speed"]) == 2
    assert (
        "choose from decision, authz, authn, storm, revocation, presence, gateway" in capsys.readouterr().err
    )


@pytest.mark.usefixtures("one_database")
def test_revocation_tells_when_the_last_message_came_and_who_was_let_back() -> None:
    load = Load(people=10, removals=10, every_s=0.02, changes=5)
    size = revocation.Size(load, company=24)
    figures = told(revocation.figures(size))
    assert figures["revocation.p99"].bar == 1.0
    assert figures["revocation.removed[sqlite]"].value == 10
    assert figures["revocation.let_back"].ok
    assert 0 <= figures["revocation.p50"].value <= figures["revocation.p99"].value
    assert figures["revocation.confirmed_p99"].value > figures["revocation.p50"].value
    assert figures["grant.p99"].value > 0
    assert figures["push.rate"].value > 0
    assert figures["exact.share"].value > 0.9


@pytest.mark.usefixtures("one_database")
def test_presence_tells_the_rates_of_events_and_what_a_reconciliation_takes() -> None:
    figures = told(
        presence.figures(presence.Size(facts=2_000, coming=40, listed=1_500, listeners=3, changes=5))
    )
    assert figures["fold.us"].value > 0
    for name in ("events.rate[sqlite]", "events.answered[sqlite]"):
        assert figures[name].bar == 2_000
        assert figures[name].value > 0
    assert figures["events.behind[sqlite]"].value > 0
    assert "apt-get install" in figures["events.unmeasured[postgresql]"].unit
    assert figures["reconcile.100k_seconds"].value > 0
    assert 0 < figures["reconcile.100k_mib"].value < 100
    assert 0 < figures["sse.200_listeners_p50"].value <= figures["sse.200_listeners_p99"].value
    assert figures["sse.heard"].value == 1


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed: apt-get install mosquitto")
def test_gateway_tells_rates_times_and_costs_beside_the_echo() -> None:
    size = gateway.Size(generators=2, clients=3, outstanding=(1, 4), seconds=0.5, rounds=1)
    figures = told(gateway.figures(size))
    for name in ("org.tree", "send_private", "send_group", "group.create", "echo"):
        for outstanding in size.outstanding:
            assert figures[f"{name}.rate@{outstanding}"].value > 0
            p50, p95 = (figures[f"{name}.p{share}@{outstanding}"].value for share in (50, 95))
            assert 0 < p50 <= p95
            assert figures[f"{name}.cpu_us@{outstanding}"].value > 0
            # Nothing was refused: such a figure is there only then.
            assert f"{name}.failed@{outstanding}" not in figures
    for name in ("send_private", "send_group", "echo"):
        assert figures[f"{name}.delivered_p50@4"].value > 0
    assert figures["send_private.vs_echo"].bar == 0.7
    assert figures["send_private.cpu_vs_echo@4"].bar == 2
    assert figures["send_private.p50_vs_echo@1"].bar == 2
    for name in ("gateway", "echo", "mosquitto", "generator 0", "generator 1"):
        assert figures[f"gateway.busy[{name}]"].value > 0


@pytest.mark.parametrize(
    ("said", "seq"),
    [
        (b'\0{"content":"<q0x12>"}', b"q0x12"),
        (b'\0{"type":"private","content":"<q1x3>","quote":"<no>"}', b"q1x3"),
        (b'\0{"event":"group_member_added"}', b""),
        (b"\0<", b""),
    ],
)
def test_a_delivery_is_known_by_the_mark_in_its_content(said: bytes, seq: bytes) -> None:
    """A packet id before it that has the bytes of a mark once ended a generator."""
    assert mqtt_asker.mark(said) == seq


async def test_a_generator_that_fails_is_an_error_and_no_figure(tmp_path: Path) -> None:
    nothing = tmp_path / "requests"
    nothing.write_bytes(b"")
    with pytest.raises(RuntimeError, match="ended with"):
        await generator.askers(1, [nothing])
