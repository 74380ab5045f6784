"""The laptop broker against the recordings of EMQX 5.8.9: same client behaviour, same requests.

Each scenario is driven with a paho client of MQTT 3.1.1; the bodies of its questions and events are compared
with the recorded ones key by key; what has to differ (moments, ports, ids, the node) by type only.
"""

from typing import Any

import pytest

from tests.contract.recordings import lines
from tests.contract.scenarios import SCENARIOS, Scenario, publish, staged
from tests.emqx.conftest import SECRET
from tests.emqx.mchat import Body
from tests.emqx.waiting import until

VARIABLE = {
    "timestamp": int,
    "connected_at": int,
    "disconnected_at": int,
    "publish_received_at": int,
    "peername": str,
    "sockname": str,
    "id": str,
    "node": str,
}
# The recorded clients speak MQTT 5 where the laptop broker's speak 3.1.1.
MQTT_5_ONLY = {"proto_ver", "expiry_interval"}


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return lines("hooks.jsonl")


def of_client(recorded: list[dict[str, Any]], client_id: str) -> tuple[list[Body], list[Body]]:
    """The questions and the events of a recorded client."""
    questions: list[Body] = []
    events: list[Body] = []
    for line in recorded:
        body = line["body"]
        if body["clientid"] != client_id:
            continue
        (events if line["path"] == "/emqx/events" else questions).append(body)
    return questions, events


def same(ours: list[Body], theirs: list[Body], ignoring: set[str]) -> None:
    def told(bodies: list[Body]) -> list[tuple[str, str]]:
        return [(body.get("event", "question"), body.get("topic", "")) for body in bodies]

    assert told(ours) == told(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert set(our) == set(their), our.get("event")
        for key, value in their.items():
            if key in VARIABLE:
                assert type(our[key]) is VARIABLE[key], key
                assert (our[key] == "undefined") == (value == "undefined"), key
            elif key in ignoring:
                assert type(our[key]) is type(value), key
            else:
                assert our[key] == value, (key, our)
                assert type(our[key]) is type(value), key


@pytest.mark.parametrize(
    ("client_id", "scenario", "options", "ignoring"), SCENARIOS, ids=[client for client, *_ in SCENARIOS]
)
async def test_same_requests_as_emqx(
    recorded: list[dict[str, Any]],
    client_id: str,
    scenario: Scenario,
    options: dict[str, Any],
    ignoring: set[str],
) -> None:
    their_questions, their_events = of_client(recorded, client_id)
    assert their_questions
    async with staged() as stage:
        if options.get("transport") == "websockets":
            options = {**options, "port": stage.broker.ws_port}
        await scenario(stage, client_id, **options)
        await until(lambda: len(stage.mchat.events(client_id=client_id)) >= len(their_events))
        our_questions = [*stage.mchat.asked("authn"), *stage.mchat.asked("authz")]
        # Authn questions first on both sides: only exp-1, c-take and c-disc have more than one.
        their_questions.sort(key=lambda body: "password" not in body)
        same(our_questions, their_questions, set())
        same(stage.mchat.events(client_id=client_id), their_events, MQTT_5_ONLY | ignoring)


async def test_requests_carry_the_recorded_headers(recorded: list[dict[str, Any]]) -> None:
    theirs = {line["path"]: set(line["headers"]) for line in recorded}
    async with staged() as stage:
        await publish(stage, "c-pub")
        await stage.mchat.event_of("client.disconnected", "c-pub")
        for request in stage.mchat.requests:
            assert set(request.headers) == theirs[request.path]
            assert request.headers["authorization"] == f"Bearer {SECRET}"
            assert request.headers["content-type"] == "application/json"


async def test_every_recorded_client_is_driven(recorded: list[dict[str, Any]]) -> None:
    clients = {line["body"]["clientid"] for line in recorded}
    assert clients - {client_id for client_id, *_ in SCENARIOS} == {"http_api"}
