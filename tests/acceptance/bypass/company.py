"""Who exists on the stage, with secrets that the rows can name before anybody was added."""

import hashlib
from base64 import urlsafe_b64encode
from functools import cache
from typing import Final

from acl_service.policy import profiles
from directory import credentials, groups, people, policies, registrations, rules
from directory.changes import Change
from directory.database import Database
from directory.secret import TOKEN_PREFIX, hash_password, token_digest
from tests.acl_service.serving import now_ms

PASSWORD: Final = "correct horse battery"
EXPIRED_PASSWORD: Final = "last year's password"
QUEUE: Final = "jobs"
CHAT_ZONE: Final = "mchat_chat"
CERTIFICATE: Final = b"the DER of a certificate, which only its digest tells from another"

PEOPLE: Final = ("amy", "ben", "cy", "pia", "pat", "emp_1", "emp_10", "empX1", "amy_b")

_ZONE = f"""
[zones.{CHAT_ZONE}]
mountpoint = "u/${{username}}/"

[spaces]
chat = "chat/receive"
"""
_ZONE_RIGHT = f"""
permissions = [
  {{ action = "subscribe", space = "chat", zone = "{CHAT_ZONE}", reason = "one's own chat" }},
"""


def token_of(name: str) -> str:
    """The token of a person, or of one of a person's credentials."""
    return TOKEN_PREFIX + urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:24]).decode()


def policy() -> str:
    """The profile `mchat`, with a queue that is listed and a zone behind a mountpoint."""
    text = profiles.read("mchat").replace("queues = []", f'queues = ["{QUEUE}"]', 1)
    text = text.replace("\n[spaces]\n", _ZONE, 1)
    return text.replace("\npermissions = [\n", _ZONE_RIGHT, 1)


async def founded(database: Database) -> None:
    """Add everybody, in one transaction."""
    async with database.change("test", now_ms()) as change:
        version = await policies.add(change, name="mchat", document=policy(), reason="test")
        await policies.activate(change, version)
        for name in PEOPLE:
            await hired(change, name)
        await hired(change, "gate", role="service")
        await hired(change, "root", role="admin")
        over = now_ms() + 1
        await credentials.add_password(change, "pia", _hashed(PASSWORD))
        await credentials.add_password(change, "pia", _hashed(EXPIRED_PASSWORD), expires_at=over)
        await _add_token(change, "amy expired", expires_at=over)
        await credentials.revoke(change, await _add_token(change, "amy revoked"))
        await credentials.add_certificate(change, "pat", hashlib.sha256(CERTIFICATE).hexdigest())
        await groups.create(change, name="Team", creator="amy", group_id="team", member_ids=("ben",))
        await groups.create(change, name="Other", creator="ben", group_id="other")
        await registrations.add(change, "sensor-", "prefix", "ben")
        await registrations.add(change, "phone7", "exact", "ben")
        await registrations.add(change, "meter-", "prefix", "amy")
        for topic, conditions in (("lab/qos", {"qos": (0,)}), ("lab/zone", {"zone": "lab"})):
            await rules.add(
                change,
                subject_kind="employee",
                subject_id="amy",
                effect="allow",
                action="subscribe",
                filter=topic,
                reason="for the test",
                **conditions,
            )


async def hired(change: Change, employee_id: str, role: str = "employee") -> str:
    """Add a person with a token; returns the credential's id."""
    await people.add(change, name=employee_id, employee_id=employee_id, role=role)
    return await _add_token(change, employee_id)


async def _add_token(change: Change, name: str, expires_at: int | None = None) -> str:
    owner = name.partition(" ")[0]
    return await credentials.add_token(change, owner, token_digest(token_of(name)), expires_at=expires_at)


@cache
def _hashed(password: str) -> str:
    return hash_password(password)
