"""Work on the clock, with waits that no test could sit out: what runs again was woken, or had a reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared import every as module
from shared.every import Every

NEVER = 3600.0
SOON = 0.001


class Action:
    """Notes each run and does what it is told for it: return a value or raise."""

    def __init__(self, *outcomes: bool | Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.runs = asyncio.Semaphore(0)
        self.count = 0

    async def __call__(self) -> bool | None:
        self.count += 1
        self.runs.release()
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def ran(self, times: int) -> None:
        for _ in range(times):
            await self.runs.acquire()


async def while_running(every: Every, check: Callable[[], Awaitable[object]]) -> None:
    """Run it until the check has passed; ends it and waits for its end."""
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(every.run(stop))
        await check()
        stop.set()


async def test_it_runs_at_once_and_again_after_its_wait() -> None:
    action = Action()
    await while_running(Every("test", SOON, action), lambda: action.ran(4))


async def test_a_wake_cuts_the_wait_short() -> None:
    action = Action()
    every = Every("test", NEVER, action)

    async def woken() -> None:
        for _ in range(3):
            await action.ran(1)
            every.wake()
        await action.ran(1)

    await while_running(every, woken)
    assert action.count == 4


async def test_a_wake_during_the_action_is_not_lost() -> None:
    gate, entered = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> None:
        entered.release()
        await gate.wait()

    every = Every("test", NEVER, slow)

    async def woken() -> None:
        await entered.acquire()
        every.wake()
        gate.set()
        await entered.acquire()

    await while_running(every, woken)


async def test_an_action_that_found_work_runs_again_at_once() -> None:
    action = Action(True, True, True, False)
    await while_running(Every("test", NEVER, action), lambda: action.ran(4))
    assert action.count == 4


async def test_a_dependency_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNAVAILABLE_SECONDS", SOON)
    action = Action(ConnectionRefusedError(), TimeoutError(), None)
    await while_running(Every("test", NEVER, action), lambda: action.ran(3))


async def test_any_other_error_ends_it() -> None:
    action = Action(None, ValueError("a bug"))
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as caught:
            await Every("test", SOON, action).run(asyncio.Event())
    assert caught.group_contains(ValueError, match="a bug")


async def test_a_stop_ends_the_wait_at_once_and_lets_the_action_end() -> None:
    gate, entered, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await gate.wait()
        ended.set()

    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        run = group.create_task(Every("test", NEVER, slow).run(stop))
        await entered.wait()
        stop.set()
        await asyncio.sleep(0)
        assert not run.done()
        gate.set()
    assert ended.is_set()


async def test_a_stop_that_is_set_already_lets_nothing_run() -> None:
    action, stop = Action(), asyncio.Event()
    stop.set()
    await Every("test", NEVER, action).run(stop)
    assert action.count == 0
