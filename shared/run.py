"""One process: components started together, stopped in order, within a bounded time.

A component is anything with a `name`, a `stage` and `async def run(stop)` that returns once `stop` is set. One that returns
earlier or raises ends the process: the orchestrator restarts a whole thing, not half of one.

On SIGTERM or SIGINT the stages stop in their order: INTAKE (servers: no new requests, those in hand end), CONSUME (no new
deliveries, those in hand end), WORK (loops and sends in flight), RELAY (the outbox). All of that has `drain_seconds`, of which each
stage leaves a share to every later one; what is not done by then is cancelled - its deliveries and rows come back elsewhere. Then
the resources close, last opened first.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from enum import IntEnum
from typing import Final, Protocol

import structlog

from shared.bus.interface import StopSignal

log = structlog.get_logger(__name__)

WATCHDOG_GRACE_SECONDS: Final = 5.0
GC_THRESHOLDS: Final = (50_000, 20, 50)
STAGE_SHARE: Final = 0.1
"""Of `drain_seconds`, what a stage that hangs must leave to each later one."""


class Stage(IntEnum):
    """Order of stopping; the earlier feed the later."""

    INTAKE = 0
    CONSUME = 1
    WORK = 2
    RELAY = 3


class Component(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def stage(self) -> Stage: ...

    async def run(self, stop: StopSignal) -> None: ...


Builder = Callable[[AsyncExitStack], Awaitable[Sequence[Component]]]
"""Opens a service's resources on the stack, in order, and returns its components, not yet running."""


class ComponentEnded(Exception):
    """A component returned although nobody asked it to."""


async def run(
    builders: Sequence[Builder],
    *,
    drain_seconds: float,
    stop: asyncio.Event,
    on_started: Callable[[], None] | None = None,
) -> None:
    """Run the services until `stop` is set or a component ends; then `stop` is set in any case.

    `on_started` is called once, when all components have been started. Raises what ended a component, as an ExceptionGroup, or
    what a builder raised; either way everything that was opened is closed.
    """
    async with AsyncExitStack() as resources:
        try:
            components: list[Component] = []
            for build in builders:
                components.extend(await build(resources))
            await _run_components(components, drain_seconds, stop, on_started)
        finally:
            stop.set()  # whatever ended it: from here on everything closes, and whoever watches over the stop should know


async def _run_components(
    components: Sequence[Component], drain_seconds: float, stop: asyncio.Event, on_started: Callable[[], None] | None
) -> None:
    stops = {stage: asyncio.Event() for stage in Stage}
    failures: list[Exception] = []

    async def guard(component: Component, component_stop: asyncio.Event) -> None:
        """Run a component. One that fails or ends early stops the others in their order, so that work in flight still ends."""
        try:
            await component.run(component_stop)
            if not component_stop.is_set():
                raise ComponentEnded(component.name)
        except asyncio.CancelledError:
            if not component_stop.is_set():
                raise
        except Exception as error:  # kept and raised below, once the others have drained
            log.error("component.failed", component=component.name, exc_info=error)
            failures.append(error)
            stop.set()

    async with asyncio.TaskGroup() as group:
        tasks = {
            group.create_task(guard(component, stops[component.stage]), name=component.name): component
            for component in components
        }
        if on_started is not None:
            on_started()
        await stop.wait()
        log.info("process.draining", components=len(tasks))
        deadline = asyncio.get_running_loop().time() + drain_seconds
        for stage in Stage:
            stops[stage].set()
            staged = [task for task, component in tasks.items() if component.stage is stage]
            if not staged:
                continue
            later = len({component.stage for component in components if component.stage > stage})
            left = max(0.0, deadline - later * STAGE_SHARE * drain_seconds - asyncio.get_running_loop().time())
            _, late = await asyncio.wait(staged, timeout=left)
            for task in late:
                log.warning("component.drain_timed_out", component=task.get_name())
                task.cancel()
    if failures:
        raise ExceptionGroup("components failed", failures)


def main(builders: Sequence[Builder], *, drain_seconds: float, on_started: Callable[[], None] | None = None) -> int:
    """Run the services as this process's work, on uvloop, until SIGTERM or SIGINT. Returns the exit code.

    A second signal ends the process at once, and so does, past its time, a drain or a closing that hangs.
    """
    import uvloop  # noqa: PLC0415  # only a process needs it, tests run on the loop they choose

    async def run_until_signal() -> None:
        stop = _WatchedStop(drain_seconds + WATCHDOG_GRACE_SECONDS)
        loop = asyncio.get_running_loop()

        def on_signal() -> None:
            if stop.is_set():
                os._exit(130)
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        await run(builders, drain_seconds=drain_seconds, stop=stop, on_started=on_started)

    # What was imported lives as long as the process; batches make and drop tens of thousands of objects, which the usual thresholds
    # would search for cycles again and again.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        uvloop.run(run_until_signal())
    except ExceptionGroup:
        return 1  # each was logged where it happened
    except Exception as error:  # a builder failed: nothing has run yet
        log.error("process.failed", exc_info=error)
        return 1
    return 0


class _WatchedStop(asyncio.Event):
    """Whatever sets it first, a signal or a fault, starts the watchdog in the same breath: the loop may not turn again."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def set(self) -> None:
        if not self.is_set():
            start_watchdog(self._seconds)
        super().set()


def start_watchdog(seconds: float) -> threading.Timer:
    """End the process in `seconds` whatever the loop does, showing where it hung. A daemon: it keeps nothing alive."""

    def bite() -> None:
        sys.stderr.write(f"shutdown took over {seconds:.0f} s; where each thread stood:\n")
        faulthandler.dump_traceback()
        os._exit(70)

    timer = threading.Timer(seconds, bite)
    timer.daemon = True
    timer.start()
    return timer
