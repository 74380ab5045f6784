"""What is killed without a word takes nothing with it, and does nothing twice; a minute of it is in `make soak`."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.gateway.killing import kill_at_mosquitto
from tests.acceptance.gateway.load import Load, Sender
from tests.emqx.mqtt import MqttClient

pytestmark = pytest.mark.timeout(180)


@pytest.mark.mosquitto
async def test_of_two_gateways_one_after_the_other_is_killed_under_load(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    assert await kill_at_mosquitto(tmp_path, database, database_url, mosquitto_port, 10, 1.0) == []


@pytest.mark.parametrize(
    ("handled", "faults"),
    [([0, 1, 2, 3], 0), ([0, 2, 1, 3], 1), ([0, 1, 1, 2], 1), ([3, 0, 1], 0), ([0, 4, 1], 0)],
    ids=["in order", "not in order", "twice", "a kill touched it", "asked again"],
)
def test_what_is_out_of_order_is_noticed(handled: list[int], faults: int) -> None:
    sender = Sender("s0", "s1", MqttClient("s0", port=1))
    sender.asked.update({0: 1, 1: 1, 2: 1, 3: 1, 4: 2})
    sender.touched.add(3)
    lines = [{"client_id": "s0", "seq_id": f"s{number}"} for number in handled]
    assert len(Load([sender], []).order_of(lines)) == faults
