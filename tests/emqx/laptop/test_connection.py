from tests.emqx.mchat import FakeMChat, deny
from tests.emqx.mqtt import Clients


async def test_publish_reaches_subscriber(mchat: FakeMChat, clients: Clients) -> None:
    a = await clients.connected("a")
    b = await clients.connected("b")
    assert await b.subscribe("t/+", qos=2) == [2]
    for qos in (0, 1, 2):
        await a.publish(f"t/{qos}", b"hello", qos)
    got = await b.gets(3)
    assert [(m.topic, m.qos) for m in got] == [("t/0", 0), ("t/1", 1), ("t/2", 2)]


async def test_denied(mchat: FakeMChat, clients: Clients) -> None:
    mchat.authn = lambda body: deny()
    a = clients.make("a")
    assert await a.connect() == 5
