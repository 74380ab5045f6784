"""Two gateways under load, of which one after the other is killed."""

import random
from pathlib import Path

from directory.database import Database
from tests.acceptance.gateway.load import Load, Sender
from tests.acceptance.gateway.plain import at_mosquitto
from tests.acceptance.gateway.process import serving_gateway
from tests.acceptance.gateway.scene import add_admins, scene
from tests.emqx.mqtt import MqttClient

SENDERS = [f"s{number}" for number in range(6)]


async def kill_at_mosquitto(
    folder: Path, database: Database, url: str, port: int, seconds: float, every: float
) -> list[str]:
    """Do so over MQTT 5 for so many seconds; what should not be, in words."""
    async with at_mosquitto(folder, database, url, port, SENDERS) as running:
        gateways = [await running.gateway() for _ in range(2)]
        senders = [await _sender(number, await running.clients.connected(name)) for number, name in _named()]
        return await _kill(Load(senders, gateways), database, seconds, every)


async def kill_at_the_laptop_broker(
    folder: Path, database: Database, url: str, seconds: float, every: float
) -> list[str]:
    """The same over MQTT 3.1.1, with the broker asking the hooks."""
    async with scene(folder, database, url, company=2) as running:
        await add_admins(database, *SENDERS)
        laptop = {"gateway_protocol": "3.1.1", "emqx_url": running.stage.rest.url}
        second = serving_gateway(folder, url, running.stage.mqtt_port, gateway_instance="2", **laptop)
        async with second as other:
            senders = []
            for number, name in _named():
                client = await running.come(name, name)
                senders.append(await _sender(number, client.mqtt))
            return await _kill(Load(senders, [running.gateway, other]), database, seconds, every)


def _named() -> list[tuple[int, str]]:
    return list(enumerate(SENDERS))


async def _sender(number: int, mqtt: MqttClient) -> Sender:
    name, to = SENDERS[number], SENDERS[(number + 1) % len(SENDERS)]
    assert await mqtt.subscribe(f"mchat/msg/resp/{name}/+", f"mchat/inbox/{name}") == [1, 1]
    return Sender(name, to, mqtt)


async def _kill(load: Load, database: Database, seconds: float, every: float) -> list[str]:
    async with load.running():
        await load.kill_by_turns(seconds, every, random.Random(7))
        await load.more(40)
    again = sum(count - 1 for sender in load.senders for count in sender.asked.values())
    twice = sum(len(answers) > 1 for sender in load.senders for answers in sender.answers.values())
    handled = [[len(process) for process in gateway.told] for gateway in load.gateways]
    print(
        f"\n{database.dialect}: {load.kills} kills, {load.answered} requests answered, {again} asked again, "
        f"{twice} answered more than once; by process {handled}"
    )
    found = await load.faults(database)
    if load.kills < 2:
        found.append(f"only {load.kills} kills")
    if not all(any(processes) for processes in handled):
        found.append(f"a gateway did nothing: {handled}")
    return found
