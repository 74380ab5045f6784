import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.api.circuit import Circuit
from emqx.api.errors import CircuitOpen
from tests.emqx.api.conftest import Moments


def opened(moments: Moments, threshold: int = 2) -> Circuit:
    circuit = Circuit(threshold, 5, moments)
    for _ in range(threshold):
        circuit.enter("GET /x").failed("why")
    return circuit


def test_success_forgets_the_failures_before_it(moments: Moments) -> None:
    circuit = Circuit(2, 5, moments)
    for _ in range(5):
        circuit.enter("GET /x").failed("why")
        circuit.enter("GET /x").succeeded()
    assert circuit.state.well


def test_a_call_from_before_it_opened_says_nothing(moments: Moments) -> None:
    circuit = Circuit(1, 5, moments)
    early, late = circuit.enter("GET /x"), circuit.enter("GET /x")
    circuit.enter("GET /x").failed("why")
    moments.now += 4
    late.failed("later")
    early.succeeded()
    assert (circuit.state.phase, circuit.state.reason, circuit.state.seconds) == ("open", "why", 1)
    early.abandoned()


def test_an_early_call_does_not_end_the_trial(moments: Moments) -> None:
    circuit = Circuit(1, 5, moments)
    early = circuit.enter("GET /x")
    circuit.enter("GET /x").failed("why")
    moments.now += 5
    trial = circuit.enter("GET /x")
    early.abandoned()
    early.succeeded()
    with pytest.raises(CircuitOpen):
        circuit.enter("GET /x")
    trial.succeeded()
    assert circuit.state.well


def test_a_failed_trial_rests_again(moments: Moments) -> None:
    circuit = opened(moments)
    moments.now += 5
    circuit.enter("GET /x").failed("still")
    assert (circuit.state.phase, circuit.state.seconds, circuit.state.reason) == ("open", 5, "still")
    with pytest.raises(CircuitOpen, match=r"GET /y: not sent.*3 times in a row, last: still.*in 5\.0 s"):
        circuit.enter("GET /y")


WORDS = st.sampled_from(["succeeded", "failed", "abandoned"])


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "wait"]), WORDS, st.integers(0, 5))))
def test_it_can_always_be_entered_again(steps: list[tuple[str, str, int]]) -> None:
    """Whatever happened: when all have left and time has passed, one may enter, and its success closes."""
    moments = Moments()
    circuit = Circuit(2, 5, moments)
    inside = []
    for step, word, number in steps:
        if step == "enter":
            try:
                inside.append(circuit.enter("GET /x"))
            except CircuitOpen:
                assert not circuit.state.well
        elif step == "leave" and inside:
            permit = inside.pop(number % len(inside))
            permit.failed("why") if word == "failed" else getattr(permit, word)()
        else:
            moments.now += number
    for permit in inside:
        permit.abandoned()
    moments.now += 5
    circuit.enter("GET /x").succeeded()
    assert circuit.state.well
