"""A generator of the gateway's benchmark: `python -m tests.benchmarks.mqtt_asker PORT NUMBER CLIENTS`.

It speaks MQTT 5 itself, just as much as is needed, because a client library would use more of the processors than what
is measured. A line of JSON on standard input is a task; a line on standard output says how it went.
"""

import json
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
DRAIN_S = 2.0


def employee_id(number: int, client: int) -> str:
    """The person of one client of one generator; the client id is the same."""
    return f"asker{number}-{client}"


def group_id(number: int) -> str:
    """The group of a generator's clients."""
    return f"askers{number}"


def packet(kind: int, body: bytes) -> bytes:
    """A control packet: its first byte, its length, its body."""
    length, left = b"", len(body)
    while True:
        left, low = left >> 7, left & 127
        length += bytes((low | (128 if left else 0),))
        if not left:
            return bytes((kind,)) + length + body


def text(value: str) -> bytes:
    """A text with its length before it."""
    encoded = value.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def packets(data: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the whole packets out of what has arrived."""
    at = 0
    while len(data) - at >= 2:
        length, shift, head = 0, 0, at + 1
        while head < len(data):
            length |= (data[head] & 127) << shift
            head, shift = head + 1, shift + 7
            if data[head - 1] < 128:
                break
        else:
            break
        if len(data) < head + length:
            break
        yield data[at], bytes(data[head : head + length])
        at = head + length
    del data[:at]


def mark(said: bytes) -> bytes:
    """Read the seq id that a request put into its content; empty where there is none, as in a push.

    Args:
        said: the properties and the payload of a PUBLISH packet: a packet id before them may have a mark's bytes.
    """
    return said.partition(b"<")[2].partition(b">")[0]


@dataclass(slots=True)
class Connection:
    """One client."""

    name: str
    socket: socket.socket
    arrived: bytearray = field(default_factory=bytearray)
    leaving: bytearray = field(default_factory=bytearray)

    def await_(self, kind: int) -> bytes:
        """Wait for a packet, while nothing else is expected."""
        while True:
            for found, body in packets(self.arrived):
                if found & 0xF0 == kind:
                    return body
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError(f"{self.name}: the broker ended the connection")
            self.arrived += data


class Asker:
    """The clients of one process.

    Args:
        port: of the broker.
        number: of this process among the generators.
        clients: how many connect.
    """

    def __init__(self, port: int, number: int, clients: int) -> None:
        self._number = number
        self._selector = selectors.DefaultSelector()
        self._clients = [self._connected(port, employee_id(number, one)) for one in range(clients)]
        self._next = 0
        self._asked: dict[bytes, float] = {}
        self._delivering: dict[bytes, float] = {}
        self.answers: list[float] = []
        self.deliveries: list[float] = []
        self.in_time = 0
        self.failed = 0

    def _connected(self, port: int, name: str) -> Connection:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        one = Connection(name, connection)
        flags = b"\x82" + (0).to_bytes(2, "big") + b"\x03\x21\xff\xff"  # user name, clean; receive maximum
        connection.sendall(packet(CONNECT, text("MQTT") + b"\x05" + flags + text(name) + text(name)))
        one.await_(CONNACK)
        topics = [f"{place}mchat/msg/resp/{name}/+" for place in ("", "echo/")]
        topics += [f"mchat/inbox/{name}", f"echo/mchat/inbox/{name}", f"mchat/group/{group_id(self._number)}"]
        body = b"\x00\x01\x00" + b"".join(text(topic) + b"\x01" for topic in topics)
        connection.sendall(packet(SUBSCRIBE, body))
        one.await_(SUBACK)
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, one)
        return one

    def run(self, place: str, action: str, outstanding: int, seconds: float) -> None:
        """Keep so many requests unanswered for so long, then wait for the rest."""
        self.answers, self.deliveries, self.in_time, self.failed = [], [], 0, 0
        self._asked.clear()
        self._delivering.clear()
        for _ in range(outstanding):
            self._ask(place, action)
        ends = time.perf_counter() + seconds
        while (now := time.perf_counter()) < ends + DRAIN_S and (self._asked or now < ends):
            self._flush()
            for key, _ in self._selector.select(0.05):
                answered = self._take(key.data)
                if time.perf_counter() < ends:
                    self.in_time += answered
                    for _ in range(answered):
                        self._ask(place, action)

    @property
    def left(self) -> int:
        """Requests that were not answered."""
        return len(self._asked)

    def _ask(self, place: str, action: str) -> None:
        self._next += 1
        client = self._clients[self._next % len(self._clients)]
        # The seq id is in the content too, so that a delivery is known as this request's.
        seq = f"q{self._number}x{self._next}"
        friend = employee_id(self._number, (self._next + 1) % len(self._clients))
        bodies: dict[str, dict[str, object]] = {
            "org.tree": {},
            "msg.send_private": {"to_employee_id": friend, "content": f"<{seq}>"},
            "msg.send_group": {"group_id": group_id(self._number), "content": f"<{seq}>"},
            "group.create": {"name": seq, "member_ids": [friend]},
        }
        topic = text(f"{place}mchat/msg/req/{client.name}/{seq}")
        payload = json.dumps({"action": action, **bodies[action]}).encode()
        mid = (self._next % 65_535 + 1).to_bytes(2, "big")
        key = seq.encode()
        self._asked[key] = self._delivering[key] = time.perf_counter()
        client.leaving += packet(PUBLISH | 2, topic + mid + b"\x00" + payload)

    def _flush(self) -> None:
        for client in self._clients:
            while client.leaving:
                try:
                    del client.leaving[: client.socket.send(client.leaving)]
                except BlockingIOError:
                    break

    def _take(self, client: Connection) -> int:
        """Take what has arrived; how many answers it was."""
        data = client.socket.recv(262_144)
        if not data:
            raise ConnectionError(f"{client.name}: the broker ended the connection")
        now = time.perf_counter()
        client.arrived += data
        answered = 0
        for kind, body in packets(client.arrived):
            if kind & 0xF0 != PUBLISH:
                continue
            ends = 2 + int.from_bytes(body[:2], "big")
            client.leaving += packet(PUBACK, body[ends : ends + 2])
            topic = body[2:ends]
            if b"/resp/" in topic:
                began = self._asked.pop(topic.rpartition(b"/")[2], None)
                if began is not None:
                    answered += 1
                    self.answers.append(now - began)
                    self.failed += b'"code":0,' not in body
                continue
            began = self._delivering.pop(mark(body[ends + 2 :]), None)
            if began is not None:
                self.deliveries.append(now - began)
        return answered


def main() -> None:
    """Do the tasks of standard input, one after another."""
    port, number, clients = map(int, sys.argv[1:4])
    asker = Asker(port, number, clients)
    print("{}", flush=True)
    for line in sys.stdin:
        asker.run(**json.loads(line))
        told = {"answers": asker.answers, "deliveries": asker.deliveries}
        counts = {"in_time": asker.in_time, "failed": asker.failed, "left": asker.left}
        print(json.dumps({**told, **counts}), flush=True)


if __name__ == "__main__":
    main()
