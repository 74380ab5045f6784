"""Every recorded REST call of EMQX 5.8.9, made in its order at a laptop broker as bare as EMQX was.

Status, content and shape of each answer are the recorded ones: the same keys, the same types, the same values
where a value does not hang on the moment, the machine or the version of MQTT. What differs is named with its
reason in laptop_rest.py.
"""

import json
from typing import Any

import httpx
import pytest

from tests.contract.laptop_rest import BEFORE, LAGGING, MORE, OPTIONAL, OTHER_TYPE, VARIABLE, reason_to_differ
from tests.contract.laptop_stage import Stage, bare_stage
from tests.emqx.api.conftest import KEY
from tests.emqx.api.replay import Recorded, recorded

RECORDED_SERVICE = "http://127.0.0.1:9109"
RECORDED_BIND = "127.0.0.1:1884"


def differences(ours: Any, theirs: Any, where: str, key: str = "") -> list[str]:
    """What is not alike in two answers."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing, more = theirs.keys() - ours.keys() - MORE, ours.keys() - theirs.keys() - OPTIONAL
        found = [f"{where}: without {sorted(missing)}, with {sorted(more)}"] if missing or more else []
        for name in theirs.keys() & ours.keys():
            found += differences(ours[name], theirs[name], f"{where}.{name}", name)
        return found
    if isinstance(theirs, list) and isinstance(ours, list):
        if key in ("", "data"):
            ours, theirs = sorted(ours, key=name_of), sorted(theirs, key=name_of)
        if len(ours) != len(theirs):
            return [f"{where}: {len(ours)} of {len(theirs)}"]
        return [one for pair in zip(ours, theirs, strict=True) for one in differences(*pair, where, key)]
    if key in OTHER_TYPE:
        return []
    if type(ours) is not type(theirs):
        return [f"{where}: {ours!r} is no {type(theirs).__name__} as {theirs!r}"]
    return [] if key in VARIABLE or ours == theirs else [f"{where}: {ours!r} is not {theirs!r}"]


def name_of(row: Any) -> str:
    """What a row of a list is called; lists of clients, topics and objects have no order that counts."""
    names = ("clientid", "topic", "id", "who", "name", "type")
    return "/".join(str(row[name]) for name in names if name in row) if isinstance(row, dict) else ""


def body_for(line: Recorded, stage: Stage, zone: dict[str, Any]) -> bytes:
    """The recorded body with this stage's service, free ports and its one way of sharing."""
    body = line.body
    if isinstance(body, str):
        return body.replace("shared_subscription_strategy = round_robin, ", "").encode()
    if isinstance(body, list):
        body = [one for one in body if one != {"type": "file"}]
    if line.path == "/configs/global_zone" and isinstance(body, dict) and len(body) > 1:
        kept = {name: zone["mqtt"][name] for name in body["mqtt"].keys() & (VARIABLE | OTHER_TYPE)}
        if body["mqtt"].get("shared_subscription_strategy") == "nonsense":
            kept["shared_subscription_strategy"] = "nonsense"
        body = {**body, "mqtt": body["mqtt"] | kept}
    text = "" if body is None else json.dumps(body)
    return text.replace(RECORDED_SERVICE, stage.mchat.url).replace(RECORDED_BIND, "127.0.0.1:0").encode()


async def made(stage: Stage, line: Recorded, zone: dict[str, Any]) -> httpx.Response:
    """The recorded call, made at the stage."""
    wrong_secret = line.status == 401 and line.path == "/nodes"
    return await stage.http.request(
        line.method,
        line.path,
        params=list(line.query),
        content=body_for(line, stage, zone),
        headers={"content-type": line.content_type, "accept": line.accept},
        auth=(KEY, "wrong") if wrong_secret else httpx.USE_CLIENT_DEFAULT,
    )


def compared(line: Recorded, answer: httpx.Response) -> list[str]:
    """What is wrong with our answer to a recorded call."""
    where = f"{line.where} {line.method} {line.path}"
    if answer.status_code != line.status:
        return [f"{where}: {answer.status_code} {answer.text[:200]} is not {line.status}"]
    if isinstance(line.answer, str):
        alike = answer.text[:12] == line.answer[:12]
        return [] if alike else [f"{where}: {answer.text[:80]!r} is not {line.answer[:80]!r}"]
    found = differences(answer.json(), without_file(line.answer), where)
    lagging = LAGGING.get(line.where, frozenset())
    return [one for one in found if not any(f".{name}:" in one for name in lagging)]


def without_file(answer: Any) -> Any:
    """A list of sources without that of rules in a file, which this broker does not have."""
    if isinstance(answer, dict) and answer.keys() == {"sources"}:
        return {"sources": [one for one in answer["sources"] if one["type"] != "file"]}
    return answer


@pytest.mark.parametrize(("file", "enough"), [("rest.jsonl", 108), ("rest2.jsonl", 320)])
async def test_every_recorded_call_is_answered_alike(file: str, enough: int) -> None:
    wrong: list[str] = []
    alike = 0
    async with bare_stage() as stage:
        zone = (await stage.http.get("/configs/global_zone")).json()
        for line in recorded():
            if not line.where.startswith(f"{file}:"):
                continue
            if (happening := BEFORE.get(line.where)) is not None:
                await happening(stage)
            answer = await made(stage, line, zone)
            if reason_to_differ(line.where, line.method, line.path) is not None:
                # Otherwise, but never broken.
                assert answer.status_code != 500, line.where
                continue
            found = compared(line, answer)
            wrong += found
            alike += not found
    assert not wrong, "\n".join(wrong)
    assert alike >= enough
