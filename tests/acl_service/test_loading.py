import asyncio

import pytest

from acl_service.errors import Overloaded
from acl_service.loading import CROWD, Loader, Round
from directory.errors import Unavailable


class Reads:
    """Rounds that wait until the test lets them go."""

    def __init__(self) -> None:
        self.rounds: list[Round] = []
        self.gate = asyncio.Event()
        self.fault: Exception | None = None

    async def __call__(self, wanted: Round) -> None:
        self.rounds.append(wanted)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault


async def test_names_that_come_during_a_read_share_the_next_one() -> None:
    reads = Reads()
    loader = Loader(reads)
    first = asyncio.create_task(loader.load(["a"]))
    while not reads.rounds:
        await asyncio.sleep(0)
    others = [asyncio.create_task(loader.load([name], [f"{name}_pc"])) for name in "bcd"]
    await asyncio.sleep(0)
    assert len(reads.rounds) == 1
    reads.gate.set()
    await asyncio.gather(first, *others)
    assert [sorted(one.people) for one in reads.rounds] == [["a"], ["b", "c", "d"]]
    assert sorted(reads.rounds[1].clients) == ["b_pc", "c_pc", "d_pc"]


@pytest.mark.parametrize("crowd", [CROWD, CROWD - 1])
async def test_behind_a_round_of_a_storm_those_who_come_back_one_by_one_are_waited_for(crowd: int) -> None:
    reads = Reads()
    reads.gate.set()
    loader = Loader(reads, gather_s=0.2)

    async def twice(number: int) -> None:
        await loader.load([f"first {number}"])
        for _ in range(number):
            await asyncio.sleep(0)
        await loader.load([f"second {number}"])

    await asyncio.gather(*(twice(number) for number in range(crowd)))
    sizes = [len(one) for one in reads.rounds]
    assert sizes[0] == crowd
    assert (len(sizes) == 2) == (crowd == CROWD), sizes
    assert sum(sizes) == 2 * crowd


async def test_a_batch_is_bounded_and_so_is_what_waits() -> None:
    reads = Reads()
    loader = Loader(reads, batch=2, waiting=4)
    held = [asyncio.create_task(loader.load(["first"]))]
    while not reads.rounds:
        await asyncio.sleep(0)
    held += [asyncio.create_task(loader.load([str(number)])) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="4 names"):
        await loader.load(["one too many"])
    reads.gate.set()
    await asyncio.gather(*held)
    assert [len(one) for one in reads.rounds] == [1, 2, 2]
    await loader.load(["again"])


async def test_a_failed_read_fails_those_who_waited_for_it_and_nobody_else() -> None:
    reads = Reads()
    reads.gate.set()
    reads.fault = Unavailable("away")
    loader = Loader(reads)
    with pytest.raises(Unavailable):
        await loader.load(["a"])
    reads.fault = None
    await loader.load(["a"])


async def test_one_who_gives_up_does_not_take_the_read_from_the_others() -> None:
    reads = Reads()
    loader = Loader(reads)
    impatient = asyncio.create_task(loader.load(["a"]))
    patient = asyncio.create_task(loader.load(["a"]))
    while not reads.rounds:
        await asyncio.sleep(0)
    impatient.cancel()
    reads.gate.set()
    await patient
    assert len(reads.rounds) == 1
