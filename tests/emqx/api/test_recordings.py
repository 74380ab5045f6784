"""Every call that EMQX 5.8.9 was recorded with, made through the client's own methods.

What goes out must equal what went out then, what came back then must come out typed.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pytest
import respx
from pydantic import SecretStr

from emqx.api.actions import Action
from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError, Broken, Conflict, NotFound, Refused, Rejected, Unsupported
from emqx.api.objects import ConfiguredObject
from emqx.api.pages import Page
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.api.replay import (
    NOT_OURS,
    NOT_SAID,
    PATTERNS,
    ROOT,
    Recorded,
    made,
    reason_not_to,
    recorded,
    without_defaults,
)

# Recorded with 5,000 clients; the answer was cut off when it was written down.
CUT = {"rest2.jsonl:328"}
BASE = "http://127.0.0.1:18083"


@dataclass(frozen=True)
class Replayed:
    """A recorded line, the request that our client sent for it, and what it made of the recorded answer."""

    line: Recorded
    request: httpx.Request
    result: object


@pytest.fixture(scope="module")
def recordings() -> list[Recorded]:
    return list(recorded())


@pytest.fixture(scope="module")
def replayed(recordings: list[Recorded]) -> list[Replayed]:
    async def replay() -> list[Replayed]:
        # The recordings hold many 500s; here none of them shall open the circuit.
        async with BrokerApi(api_settings(BASE, circuit_failures=10_000)) as api:
            return [await outcome(api, line) for line in recordings if reason_not_to(line) is None]

    return asyncio.run(replay())


async def outcome(api: BrokerApi, line: Recorded) -> Replayed:
    with respx.mock(assert_all_called=True) as router:
        route = router.route().mock(
            return_value=httpx.Response(
                line.status, content=line.content, headers={"content-type": line.answered_type}
            )
        )
        try:
            result: object = await made(api, line)
        except ApiError as error:
            result = error
        assert route.call_count == 1, f"{line.where} was sent {route.call_count} times"
        return Replayed(line, route.calls[0].request, result)


def test_what_goes_out_is_what_was_recorded(replayed: list[Replayed]) -> None:
    for one in replayed:
        line, request = one.line, one.request
        path, _, query = request.url.raw_path.decode().partition("?")
        assert (request.method, path) == (line.method, ROOT + line.path), line.where
        assert sorted(httpx.QueryParams(query).multi_items()) == sorted(line.query), line.where
        if line.accept == "text/plain" and line.method == "GET":
            assert request.headers["accept"] == "text/plain", line.where
        assert request.headers["authorization"].startswith("Basic "), line.where
        if line.body is None:
            assert request.content == b"", line.where
            assert "content-type" not in request.headers, line.where
            continue
        assert request.headers["content-type"] == line.content_type, line.where
        if line.content_type == "text/plain":
            assert request.content.decode() == line.body, line.where
        else:
            expected = without_defaults(line.body) if line.path.startswith("/publish") else line.body
            assert json.loads(request.content) == expected, line.where


def test_what_comes_back_comes_out_typed(replayed: list[Replayed]) -> None:
    for one in replayed:
        if one.line.where in CUT:
            continue
        if isinstance(one.result, ApiError):
            check_error(one.line, one.result)
        else:
            check_value(one.line, one.result)


def check_error(line: Recorded, error: ApiError) -> None:
    has_code = isinstance(line.answer, dict) and "code" in line.answer
    there = (
        "already exist" in str(line.answer)
        or "duplicated" in str(line.answer)
        or "ALREADY" in str(line.answer)
    )
    expected: type[ApiError] = {
        400: Conflict if there else Rejected,
        401: Refused,
        404: NotFound if has_code else Unsupported,
        405: Unsupported,
        409: Conflict,
        500: Broken,
    }[line.status]
    assert type(error) is expected, f"{line.where}: {error!r}"
    assert f"{line.method} {line.path}" in str(error), line.where
    assert str(line.status) in str(error), line.where
    for secret in (KEY, SECRET, "hook-secret", "Bearer"):
        assert secret not in str(error), line.where
    if has_code and line.status not in (500,):
        assert line.answer["code"] in str(error), line.where


def check_value(line: Recorded, result: object) -> None:
    if line.status == 404:
        may_be_missing = line.method == "DELETE" or line.path == "/authentication/settings"
        assert may_be_missing and not result, f"{line.where}: {result!r}"
        return
    assert 200 <= line.status < 300, f"{line.where}: {line.status} came out as {result!r}"
    if line.method == "DELETE":
        assert result is not False, line.where
    elif line.status == 204 or line.answer == "" or result is None:
        assert result is None, line.where
        assert line.method in ("PUT", "POST"), line.where
    else:
        compare(line.where, told(result), line.answer)


def told(result: object) -> Any:
    """A typed value as the JSON that it was made of."""
    if isinstance(result, SecretStr):
        return result.get_secret_value()
    if isinstance(result, ConfiguredObject):
        return result._raw
    if isinstance(result, Page):
        return {"data": [told(row) for row in result.data], "meta": told(result.meta)}
    if isinstance(result, tuple):
        return [told(one) for one in result]
    return msgspec.to_builtins(result)


def compare(where: str, ours: Any, theirs: Any) -> None:
    """What we tell is what they told; what we do not tell (unknown keys) is left aside, None = not told."""
    if isinstance(theirs, dict) and "rules" in theirs and isinstance(ours, list):
        theirs = theirs["rules"]  # of a subject: its rules
    if isinstance(theirs, dict) and "sources" in theirs and isinstance(ours, list):
        theirs = theirs["sources"]
    if isinstance(theirs, dict) and "node_metrics" in theirs and "metrics" not in ours:
        theirs = theirs["metrics"]
    if isinstance(ours, dict):
        assert ours or not theirs, where
        for name, value in ours.items():
            if name in theirs:
                compare(f"{where} {name}", value, theirs[name])
            else:
                assert value in (None, "", 0, "all", {}, [], (0, 1, 2), [0, 1, 2]), (
                    f"{where}: {name} was not told"
                )
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for mine, other in zip(ours, theirs, strict=True):
            compare(where, mine, other)
    elif ours != theirs:
        assert datetime.fromisoformat(ours) == datetime.fromisoformat(theirs), where


# Conditions of 5.9 and later, and what was recorded with its default value only.
NOT_RECORDED = {
    "BuiltInRule": {
        "ipaddr",
        "clientid_re",
        "username_re",
        "zone",
        "zone_re",
        "listener",
        "listener_re",
        "retain",
    },
    "Access": {"retain"},
    "Client": {"mountpoint"},
    "Node": {"live_connections"},
}


def structs(value: object) -> Iterator[msgspec.Struct]:
    if isinstance(value, msgspec.Struct):
        yield value
        for field in msgspec.structs.fields(value):
            yield from structs(getattr(value, field.name))
    elif isinstance(value, tuple):
        for one in value:
            yield from structs(one)


def test_every_field_is_told_by_some_recorded_answer(replayed: list[Replayed]) -> None:
    """A field under a wrong name would stay at its default for ever, and be seen nowhere else."""
    told_of: dict[str, set[str]] = {}
    fields_of: dict[str, set[str]] = {}
    for one in replayed:
        for struct in structs(one.result):
            name = type(struct).__name__
            for field in msgspec.structs.fields(struct):
                fields_of.setdefault(name, set()).add(field.encode_name)
                if getattr(struct, field.name) != field.default:
                    told_of.setdefault(name, set()).add(field.encode_name)
    untold = {name: fields - told_of.get(name, set()) for name, fields in fields_of.items()}
    assert {name: fields for name, fields in untold.items() if fields} == NOT_RECORDED
    assert {
        "Client",
        "Subscription",
        "CachedDecision",
        "Ban",
        "Published",
        "Node",
        "PageMeta",
    } <= told_of.keys()


def test_how_much_of_the_recordings_is_covered(recordings: list[Recorded], replayed: list[Replayed]) -> None:
    of_file = Counter(one.line.where.split(":")[0] for one in replayed)
    reasons = Counter(reason for line in recordings if (reason := reason_not_to(line)))
    print(dict(of_file), *sorted(reasons.items()), sep="\n")
    assert len(recordings) == 509
    assert of_file["rest.jsonl"] >= 113
    assert of_file["rest2.jsonl"] >= 341


def test_every_method_is_recorded_and_every_reason_is_needed(
    recordings: list[Recorded], replayed: list[Replayed]
) -> None:
    calls = {f"{one.line.method} {one.line.path}" for one in replayed}
    for ours, _ in PATTERNS:
        assert any(ours.fullmatch(call) for call in calls), ours.pattern
    not_made = [line for line in recordings if reason_not_to(line) is not None]
    assert NOT_SAID.keys() <= {line.where for line in not_made}
    for pattern in NOT_OURS:
        assert any(re.fullmatch(pattern, f"{line.method} {line.path}") for line in not_made), pattern


def puts_after_reads(replayed: list[Replayed]) -> Iterator[tuple[ConfiguredObject, Recorded]]:
    """Each PUT of an object, with that object as our client read it last."""
    read: dict[str, ConfiguredObject] = {}
    for one in replayed:
        if one.line.method == "PUT" and one.line.path in read and isinstance(one.line.body, dict):
            yield read[one.line.path], one.line
        if isinstance(one.result, ConfiguredObject):
            read[one.line.path] = one.result


def test_an_object_that_was_read_is_written_back_as_recorded(replayed: list[Replayed]) -> None:
    """Each PUT that EMQX took whose body is that of the GET before it, changed: writable(**changes) says the same."""
    found = Counter[str]()
    for read, line in puts_after_reads(replayed):
        if line.status in (200, 204):
            changes = {name: value for name, value in line.body.items() if read.get(name) != value}
            found[type(read).__name__] += read.writable(**changes) == line.body
    assert {"Authenticator", "AuthorizationSource", "Connector", "EngineRule", "GlobalZone"} <= {
        kind for kind, times in found.items() if times
    }, found


def test_a_read_only_key_is_what_emqx_refuses(replayed: list[Replayed]) -> None:
    """Each 400 for unknown fields on a PUT of a body as read: with writable() those fields are gone."""
    seen = set[str]()
    for read, line in puts_after_reads(replayed):
        if line.status == 400 and read._raw == line.body:
            assert line.body.keys() - read.writable().keys() == read.READ_ONLY & line.body.keys(), line.where
            named = re.search(r"unknown\W+([a-z_,]+)", line.answer["message"])
            assert named, line.where
            assert {name for name in named[1].split(",") if name} <= read.READ_ONLY, line.where
            seen.add(type(read).__name__)
    assert {"Authenticator", "Connector", "Action", "EngineRule"} <= seen


def test_an_action_is_written_back_with_what_emqx_took_and_nothing_more(replayed: list[Replayed]) -> None:
    """No PUT of an action as read was recorded as taken, so each key must be one that EMQX took in a body of ours."""
    actions = [one for one in replayed if isinstance(one.result, Action)]
    taken = {name for one in actions if one.line.method == "PUT" for name in one.line.body}
    assert taken == {"enable", "connector", "parameters", "resource_opts"}
    for one in actions:
        assert isinstance(one.result, Action)
        assert one.result.writable().keys() == taken | {"description"}, one.line.where
