"""Pieces of work in turns: all of them have one, and none is left when the worker stops."""

import asyncio
import inspect

import pytest

from acl_service.enforcement.turns import AT_ONCE, in_turns


async def test_all_have_their_turn_although_one_fails_and_a_few_are_at_work_at_once() -> None:
    done: list[int] = []
    at_work = most = 0

    async def piece(number: int) -> None:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0)
        at_work -= 1
        if number == 1:
            raise ValueError("the first")
        done.append(number)

    with pytest.raises(ValueError, match="the first"):
        await in_turns(piece(number) for number in range(30))
    assert sorted(done) == [number for number in range(30) if number != 1]
    assert most == AT_ONCE


async def test_those_whose_turn_never_came_are_closed_when_the_worker_stops() -> None:
    begun = asyncio.Event()

    async def piece() -> None:
        begun.set()
        await asyncio.Event().wait()

    pieces = [piece() for _ in range(3 * AT_ONCE)]
    work = asyncio.create_task(in_turns(pieces))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert {inspect.getcoroutinestate(one) for one in pieces} == {inspect.CORO_CLOSED}
