"""What a process tells of itself."""

from __future__ import annotations

import asyncio
import time

from shared.telemetry import runtime as module
from shared.telemetry.metrics import Metrics
from shared.telemetry.runtime import Runtime, network_bytes, read_process
from tests.support.platform import until
from tests.support.scraped import scraped

TABLE = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 9000000    1000    0    0    0     0          0         0  9000000    1000    0    0    0     0       0          0
  eth0:    1500      10    0    0    0     0          0         0      700       8    0    0    0     0       0          0
 wlan0:40     1    0    0    0     0          0         0      2       1    0    0    0     0       0          0
"""


def test_bytes_of_all_interfaces_but_loopback_are_summed() -> None:
    assert network_bytes(TABLE) == (1540, 702)
    assert network_bytes("\n".join(TABLE.splitlines()[:3])) == (0, 0)


async def test_the_process_tells_what_it_read_and_wrote() -> None:
    readings = {(reading.metric.name, *reading.labels): reading.value for reading in await read_process()}
    assert set(readings) == {
        ("chasqui_process_io_bytes_total", "read"),
        ("chasqui_process_io_bytes_total", "write"),
        ("chasqui_network_bytes_total", "receive"),
        ("chasqui_network_bytes_total", "transmit"),
    }
    assert all(value >= 0 for value in readings.values())


async def test_a_loop_that_is_held_up_lags() -> None:
    metrics = Metrics("gateway")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(Runtime(metrics).run(stop))

        async def tried(times: int) -> bool:
            return (await scraped(metrics))("chasqui_event_loop_lag_seconds_count") >= times

        await until(lambda: tried(1), "a first try")
        calm = (await scraped(metrics))("chasqui_event_loop_lag_seconds_sum")
        time.sleep(module.TRIED_EVERY_SECONDS + 1)  # what is measured: nothing else can run
        await until(lambda: tried(2), "a second try")
        stop.set()
    assert (await scraped(metrics))("chasqui_event_loop_lag_seconds_sum") - calm >= 0.9
