"""Plain amqtt in a process of its own, with a password check and a topic check: the rival of the laptop broker.

Prints its port and runs until its standard input ends.
"""

import asyncio
import logging
import sys

from amqtt.broker import Broker
from amqtt.contexts import Action
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session


class Passwords(BaseAuthPlugin):  # type: ignore[misc]
    async def authenticate(self, *, session: Session) -> bool:
        return bool(session.password != "bad")


class Topics(BaseTopicPlugin):  # type: ignore[misc]
    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        # Who may receive is another question: a will that was refused has to reach nobody at all.
        return not (action is Action.PUBLISH and (topic or "").startswith("deny/"))


async def run() -> None:
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": "127.0.0.1:0"}},
            "plugins": {f"{__spec__.name}.Passwords": {}, f"{__spec__.name}.Topics": {}},
        }
    )
    await broker.start()
    listener = broker._servers["default"].instance
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await broker.shutdown()


if __name__ == "__main__":
    logging.disable()
    asyncio.run(run())
