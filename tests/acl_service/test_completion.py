"""Work that outlasts the wait for it."""

import asyncio

import pytest

from acl_service.completion import completed


@pytest.mark.parametrize("fault", [None, ValueError("no")], ids=["well", "failing"])
async def test_who_is_cancelled_is_so_once_the_work_is_done(fault: Exception | None) -> None:
    began, may_end, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> str:
        began.set()
        await may_end.wait()
        done.set()
        if fault is not None:
            raise fault
        return "x"

    waiting = asyncio.create_task(completed(work()))
    await began.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done.is_set()


async def test_who_waits_gets_what_came_out() -> None:
    async def well() -> int:
        return 5

    async def badly() -> None:
        raise ValueError("no")

    assert await completed(well()) == 5
    with pytest.raises(ValueError, match="no"):
        await completed(badly())
