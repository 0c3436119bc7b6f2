"""A process: started whole or not at all, stopped in order, within its time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from shared.bus.interface import StopSignal
from shared.run import Builder, Component, ComponentEnded, Stage, run


class Part:
    """A component that notes what becomes of it in a diary shared by all."""

    def __init__(self, name: str, stage: Stage, diary: list[str]) -> None:
        self.name = name
        self.stage = stage
        self.diary = diary
        self.end_early = asyncio.Event()
        self.fault: Exception | None = None
        self.hangs = False

    async def run(self, stop: StopSignal) -> None:
        self.diary.append(f"{self.name} runs")
        early = asyncio.ensure_future(self.end_early.wait())  # noqa: TID251  # cancelled below
        stopping = asyncio.ensure_future(stop.wait())  # noqa: TID251
        try:
            await asyncio.wait((early, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self.fault is not None:
                raise self.fault
            if self.hangs:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            self.diary.append(f"{self.name} ends")
        except asyncio.CancelledError:
            self.diary.append(f"{self.name} is cut")
            raise
        finally:
            early.cancel()
            stopping.cancel()


def building(parts: Sequence[Component], diary: list[str], name: str = "pool", *, fails: bool = False) -> Builder:
    async def build(stack: AsyncExitStack) -> Sequence[Component]:
        diary.append(f"{name} opens")
        stack.callback(lambda: diary.append(f"{name} closes"))
        if fails:
            raise OSError("no server")
        return parts

    return build


def one_of_each(diary: list[str]) -> dict[Stage, Part]:
    """In another order than they stop."""
    return {stage: Part(stage.name, stage, diary) for stage in (Stage.RELAY, Stage.INTAKE, Stage.WORK, Stage.CONSUME)}


IN_ORDER = ["INTAKE ends", "CONSUME ends", "WORK ends", "RELAY ends"]


async def test_stages_stop_in_their_order_and_resources_close_after_them_last_opened_first() -> None:
    diary: list[str] = []
    stop = asyncio.Event()
    parts = [*one_of_each(diary).values()]
    builders = [building(parts[:2], diary, "pool"), building(parts[2:], diary, "bus")]
    async with asyncio.timeout(60):
        await run(builders, drain_seconds=5, stop=stop, on_started=stop.set)
    assert diary[:2] == ["pool opens", "bus opens"]
    assert diary[-6:] == [*IN_ORDER, "bus closes", "pool closes"]


async def test_a_builder_that_fails_half_way_unwinds_what_was_opened() -> None:
    diary: list[str] = []
    part = Part("never", Stage.WORK, diary)
    builders = [building([part], diary, "first"), building([], diary, "second", fails=True), building([], diary, "third")]
    started: list[bool] = []
    with pytest.raises(OSError, match="no server"):
        await run(builders, drain_seconds=5, stop=asyncio.Event(), on_started=lambda: started.append(True))
    assert diary == ["first opens", "second opens", "second closes", "first closes"]
    assert not started


@pytest.mark.parametrize("ending", list(Stage))
async def test_a_component_that_ends_early_stops_the_others_in_their_order(ending: Stage) -> None:
    diary: list[str] = []
    parts = one_of_each(diary)
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as caught:
            await run(
                [building([*parts.values()], diary)],
                drain_seconds=5,
                stop=asyncio.Event(),
                on_started=parts[ending].end_early.set,
            )
    assert caught.group_contains(ComponentEnded, match=ending.name)
    others = [line for line in IN_ORDER if not line.startswith(ending.name)]
    assert [line for line in diary if line in others] == others
    assert not [line for line in diary if line.endswith("is cut")]
    assert diary[-1] == "pool closes"


async def test_a_component_that_fails_stops_the_others_in_their_order_and_its_fault_is_raised() -> None:
    diary: list[str] = []
    parts = one_of_each(diary)
    parts[Stage.CONSUME].fault = ValueError("a bug")
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup) as caught:
            await run(
                [building([*parts.values()], diary)],
                drain_seconds=5,
                stop=asyncio.Event(),
                on_started=parts[Stage.CONSUME].end_early.set,
            )
    assert caught.group_contains(ValueError, match="a bug")
    assert [line for line in diary if line in IN_ORDER] == ["INTAKE ends", "WORK ends", "RELAY ends"]


async def test_a_fault_during_the_drain_lets_the_later_stages_end_and_is_raised() -> None:
    diary: list[str] = []
    parts = one_of_each(diary)
    parts[Stage.INTAKE].fault = ValueError("a bug")
    stop = asyncio.Event()
    async with asyncio.timeout(60):
        with pytest.raises(ExceptionGroup):
            await run([building([*parts.values()], diary)], drain_seconds=5, stop=stop, on_started=stop.set)
    assert [line for line in diary if line in IN_ORDER] == IN_ORDER[1:]


async def test_what_is_not_done_in_its_time_is_cut_and_that_is_no_failure() -> None:
    diary: list[str] = []
    parts = one_of_each(diary)
    parts[Stage.RELAY].hangs = True
    stop = asyncio.Event()
    async with asyncio.timeout(60):
        await run([building([*parts.values()], diary)], drain_seconds=0.5, stop=stop, on_started=stop.set)
    assert diary[-5:] == [*IN_ORDER[:3], "RELAY is cut", "pool closes"]


async def test_a_stage_that_hangs_leaves_the_later_ones_a_moment_to_end() -> None:
    diary: list[str] = []
    parts = one_of_each(diary)
    parts[Stage.INTAKE].hangs = True
    stop = asyncio.Event()
    async with asyncio.timeout(60):
        await run([building([*parts.values()], diary)], drain_seconds=1, stop=stop, on_started=stop.set)
    assert [line for line in diary if line in IN_ORDER] == IN_ORDER[1:]
    assert "INTAKE is cut" in diary


async def test_a_cancelled_run_cuts_its_components_and_closes() -> None:
    diary: list[str] = []
    started = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(
            run(
                [building([*one_of_each(diary).values()], diary)], drain_seconds=5, stop=asyncio.Event(), on_started=started.set
            )
        )
        await started.wait()
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert sum(line.endswith("is cut") for line in diary) == 4
    assert diary[-1] == "pool closes"


async def test_it_starts_and_stops_fifty_times_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    for _ in range(50):
        diary: list[str] = []
        stop = asyncio.Event()
        async with asyncio.timeout(60):
            await run([building([*one_of_each(diary).values()], diary)], drain_seconds=5, stop=stop, on_started=stop.set)
        assert diary[-5:] == [*IN_ORDER, "pool closes"]
    await asyncio.sleep(0)
    gc.collect()
    assert asyncio.all_tasks() == before
