"""The broker's questions as bytes on the wire: the keys and headers of the recordings, EMQX 5.8.9."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

from tests.acl_service.serving import BEARER
from tests.benchmarks.asker import SEPARATOR
from tests.benchmarks.company import Company


def request(path: str, body: Mapping[str, object]) -> bytes:
    """One POST as EMQX's client sends it."""
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\ncontent-length: {len(content)}\r\nhost: 127.0.0.1:8085\r\n"
        f"authorization: {BEARER['authorization']}\r\ncontent-type: application/json\r\n\r\n"
    )
    return head.encode() + content


def authn(company: Company, person: int) -> bytes:
    """The person connects with its token."""
    return request(
        "/emqx/authn",
        {
            "zone": "default",
            "username": company.employee_id(person),
            "peerhost": f"10.0.{person // 250 % 250}.{person % 250}",
            "password": company.token(person),
            "clientid": company.client_id(person),
            "cert_subject": "",
            "cert_common_name": "",
        },
    )


def authz(company: Company, person: int, action: str, topic: str, qos: int, retain: bool = False) -> bytes:
    """The person's client asks for one action; the attributes are those that authn gave the session."""
    return request(
        "/emqx/authz",
        {
            "username": company.employee_id(person),
            "topic": topic,
            "retain": "true" if retain else "false",
            "qos": str(qos),
            "proto_name": "mqtt",
            "peerhost": f"10.0.{person // 250 % 250}.{person % 250}",
            "mountpoint": "",
            "clientid": company.client_id(person),
            "cert_common_name": "",
            "action": action,
            "employee_id": company.employee_id(person),
            "grants_version": "1",
            "credential_id": f"cred_{person}",
            "zone": "default",
        },
    )


def allowed(company: Company, chance: random.Random) -> Iterator[bytes]:
    """Without end: requests, one's own status, groups of one's own, the status of who shares one."""
    for serial in count():
        person = chance.randrange(company.people)
        qos = chance.randrange(3)
        group = chance.choice(company.memberships(person))
        kind = serial % 4
        if kind == 0:
            topic = f"mchat/msg/req/{company.client_id(person)}/{chance.randrange(1 << 48):x}"
            yield authz(company, person, "publish", topic, qos)
        elif kind == 1:
            topic = f"mchat/status/{company.employee_id(person)}"
            yield authz(company, person, "publish", topic, qos, retain=chance.random() < 0.5)
        elif kind == 2:
            yield authz(company, person, "subscribe", f"mchat/group/{company.group_id(group)}", qos)
        else:
            # Whoever has the same number modulo the groups shares the first of them.
            peer = chance.randrange(company.people // company.groups) * company.groups
            peer += company.memberships(person)[0]
            yield authz(company, person, "subscribe", f"mchat/status/{company.employee_id(peer)}", qos)


def denied(company: Company, chance: random.Random) -> Iterator[bytes]:
    """Without end: other people's groups, inboxes and requests."""
    for serial in count():
        person = chance.randrange(company.people)
        other = (person + 1 + chance.randrange(company.people - 1)) % company.people
        qos = chance.randrange(3)
        kind = serial % 3
        if kind == 0:
            foreign = set(range(company.groups)) - set(company.memberships(person))
            topic = f"mchat/group/{company.group_id(chance.choice(sorted(foreign)))}"
            yield authz(company, person, "subscribe", topic, qos)
        elif kind == 1:
            yield authz(company, person, "publish", f"mchat/inbox/{company.employee_id(other)}", qos)
        else:
            topic = f"mchat/msg/req/{company.client_id(other)}/{chance.randrange(1 << 48):x}"
            yield authz(company, person, "publish", topic, qos)


def everybody(company: Company) -> Iterator[bytes]:
    """One question of each person: afterwards the service knows all of them."""
    for person in range(company.people):
        yield authz(company, person, "publish", f"mchat/status/{company.employee_id(person)}", 1)


def mixed(company: Company, chance: random.Random, denies: float) -> Iterator[bytes]:
    """Without end: a share of denies among allows."""
    yes, no = allowed(company, chance), denied(company, chance)
    while True:
        yield next(no if chance.random() < denies else yes)


def write(path: Path, requests: Iterable[bytes]) -> Path:
    """Write the requests for a generator; its owner alone may read them: they hold the hook secret."""
    path.touch(mode=0o600)
    path.write_bytes(SEPARATOR.join(requests))
    return path
