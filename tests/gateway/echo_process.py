"""A process with a link and a handler that echoes, to be killed: `python -m tests.gateway.echo_process SETTINGS`."""

import asyncio
import json
import random
import signal
import sys
import time

import uvloop

from gateway.link import Link
from tests.gateway.brokers import UntouchedSettings
from tests.gateway.echo import Echo


async def main() -> None:
    values = json.loads(sys.argv[1])
    prefix = values.pop("prefix")
    settings = UntouchedSettings(**values)
    link = Link(settings, "ok", prefix=prefix, clock=time.monotonic, random=random.random)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    link.start(Echo())
    await link.up.wait()
    print("up", flush=True)
    await stop.wait()
    await link.stop()


if __name__ == "__main__":
    uvloop.run(main())
