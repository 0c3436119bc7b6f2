"""Group commit: nobody waits for company, everybody gets his own result."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from shared.batching import Batcher, Full


class Flushes:
    """Doubles what it is given; notes each flush; waits at the gate while it is shut."""

    def __init__(self) -> None:
        self.taken: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Semaphore(0)
        self.running = self.most_running = 0

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.taken.append(list(items))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.entered.release()
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        if -1 in items:
            raise RuntimeError("flush failed")
        return [2 * item for item in items]


@asynccontextmanager
async def serving(batcher: Batcher[int, int]) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(batcher.run(stop))
        yield stop
        stop.set()


async def test_a_lone_item_leaves_at_once() -> None:
    flushes = Flushes()
    batcher = Batcher("test", flushes)
    async with serving(batcher):
        assert await batcher.submit(1) == 2
        assert await batcher.submit(2) == 4
    assert flushes.taken == [[1], [2]]


async def test_what_comes_during_a_flush_is_the_next_one_in_order_and_no_larger_than_allowed() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_items=3)
    async with serving(batcher), asyncio.TaskGroup() as group:
        first = group.create_task(batcher.submit(0))
        await flushes.entered.acquire()
        others = [group.create_task(batcher.submit(n)) for n in range(1, 8)]
        await asyncio.sleep(0)
        flushes.gate.set()
    assert flushes.taken == [[0], [1, 2, 3], [4, 5, 6], [7]]
    assert [task.result() for task in (first, *others)] == [0, 2, 4, 6, 8, 10, 12, 14]


async def test_who_comes_when_too_many_wait_is_turned_away() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_waiting=2)
    async with serving(batcher), asyncio.TaskGroup() as group:
        group.create_task(batcher.submit(0))
        await flushes.entered.acquire()
        waiting = [group.create_task(batcher.submit(n)) for n in (1, 2)]
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await batcher.submit(3)
        flushes.gate.set()
        assert await asyncio.gather(*waiting) == [2, 4]
        assert await batcher.submit(3) == 6


async def test_a_failed_flush_reaches_its_own_submitters_only() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_items=2)
    async with serving(batcher):
        submits = asyncio.gather(*(batcher.submit(n) for n in (-1, 1, 2, 3)), return_exceptions=True)
        await flushes.entered.acquire()
        flushes.gate.set()
        failed, with_it, *others = await submits
        assert isinstance(failed, RuntimeError)
        assert isinstance(with_it, RuntimeError)
        assert others == [4, 6]
        assert await batcher.submit(4) == 8


async def test_an_item_whose_submitter_was_cancelled_is_flushed_all_the_same() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes)
    async with serving(batcher), asyncio.TaskGroup() as group:
        group.create_task(batcher.submit(0))
        await flushes.entered.acquire()
        gone, stays = group.create_task(batcher.submit(1)), group.create_task(batcher.submit(2))
        await asyncio.sleep(0)
        gone.cancel()
        flushes.gate.set()
        assert await stays == 4
    assert flushes.taken == [[0], [1, 2]]
    assert gone.cancelled()


async def test_a_submitter_cancelled_during_its_flush_harms_nobody() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes)
    async with serving(batcher), asyncio.TaskGroup() as group:
        gone, stays = group.create_task(batcher.submit(1)), group.create_task(batcher.submit(2))
        await flushes.entered.acquire()
        gone.cancel()
        flushes.gate.set()
        assert await stays == 4


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_waits_at_the_stop_is_flushed_before_the_end(concurrency: int) -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_items=2, concurrency=concurrency)
    async with serving(batcher) as stop:
        submits = asyncio.gather(*(batcher.submit(n) for n in range(9)))
        await flushes.entered.acquire()
        stop.set()
        flushes.gate.set()
        assert await submits == [2 * n for n in range(9)]
    assert sorted(item for taken in flushes.taken for item in taken) == list(range(9))


async def test_as_many_flushes_run_at_once_as_allowed_and_no_more() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_items=1, concurrency=3)
    async with serving(batcher):
        submits = asyncio.gather(*(batcher.submit(n) for n in range(10)))
        for _ in range(3):
            await flushes.entered.acquire()
        flushes.gate.set()
        await submits
    assert flushes.most_running == 3


async def test_a_batcher_that_is_cancelled_lets_nobody_wait_for_ever() -> None:
    flushes = Flushes()
    flushes.gate.clear()
    batcher = Batcher("test", flushes, max_items=1)
    async with asyncio.timeout(60):
        run = asyncio.gather(batcher.run(asyncio.Event()), return_exceptions=True)
        in_hand, waiting = (asyncio.gather(batcher.submit(n), return_exceptions=True) for n in (1, 2))
        await flushes.entered.acquire()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        for submit in (in_hand, waiting):
            (result,) = await submit
            assert isinstance(result, asyncio.CancelledError)
