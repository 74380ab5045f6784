"""Listeners to presence: ``python -m tests.benchmarks.listeners PORT COUNT LAST``, tokens on standard input.

The tokens stand in one line, and take turns: nobody may open all streams alone.

Opens COUNT streams of ``GET /admin/presence/stream``; prints ``ready`` when each has its snapshot, and one JSON object
when each has heard of the change with number LAST: the number and the moment, nanoseconds of the monotonic clock, of
each change that each heard of. Imports nothing of ours.
"""

import asyncio
import json
import sys
import time
from contextlib import ExitStack
from itertools import cycle

import uvloop

PATIENCE_S = 30.0


class Listener:
    """One stream."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.heard: dict[int, int] = {}

    async def listen(self, port: int, token: str, last: int) -> None:
        """Read until the change with number `last`.

        Raises:
            RuntimeError: the stream was refused, or ended.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with ExitStack() as stack:
            stack.callback(writer.close)
            head = f"GET /admin/presence/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}"
            writer.write(f"{head}\r\naccept: text/event-stream\r\n\r\n".encode())
            status = await reader.readline()
            if b" 200 " not in status:
                raise RuntimeError(f"the stream was answered {status.decode().strip()!r}")
            number = 0
            async for line in reader:
                at = time.monotonic_ns()
                if line.startswith(b"id: "):
                    number = int(line[4:])
                elif line.startswith(b"event: snapshot"):
                    self.begun.set()
                elif line.startswith(b"event: change"):
                    self.heard[number] = at
                    if number >= last:
                        return
                elif line.startswith(b"event: end"):
                    break
            raise RuntimeError(f"the stream ended after change {number}")


async def main(port: int, count: int, last: int, tokens: list[str]) -> list[list[tuple[int, int]]]:
    """Listen with all of them."""
    listeners = [Listener() for _ in range(count)]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as listening:
        for one, token in zip(listeners, cycle(tokens), strict=False):
            listening.create_task(one.listen(port, token, last))
        for one in listeners:
            await one.begun.wait()
        print("ready", flush=True)
    return [list(one.heard.items()) for one in listeners]


if __name__ == "__main__":
    port, count, last = map(int, sys.argv[1:])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(main(port, count, last, sys.stdin.readline().split()))))
