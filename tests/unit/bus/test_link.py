"""What becomes of the exceptions of a connection that goes."""

from __future__ import annotations

import asyncio

import pytest
from aio_pika.exceptions import AMQPConnectionError, ChannelInvalidStateError

from shared.bus.interface import Uncertain
from shared.bus.link import losses_as
from tests.contract.bus.harness import started


@pytest.mark.parametrize(
    "error",
    [
        AMQPConnectionError("gone"),
        ChannelInvalidStateError("closed"),
        TimeoutError(),
        ConnectionResetError(),
        Exception(),  # aiormq, whose reader came to an end in order
        RuntimeError('<Connection: "amqp://broker/?heartbeat=5" at 0x7f0102030405> closed'),  # aiormq
        RuntimeError("Connection was not opened"),  # aio-pika
        RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed"),  # uvloop
    ],
    ids=repr,
)
async def test_a_loss_is_uncertain(error: Exception) -> None:
    with pytest.raises(Uncertain) as raised, losses_as(Uncertain):
        raise error
    assert raised.value.__cause__ is error


async def test_a_cancellation_that_nobody_asked_for_is_a_loss() -> None:
    pending = asyncio.get_running_loop().create_future()
    pending.cancel()
    with pytest.raises(Uncertain), losses_as(Uncertain):
        await pending


async def test_a_cancellation_passes_through() -> None:
    async def wait() -> None:
        with losses_as(Uncertain):
            await asyncio.Event().wait()

    task = started(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("error", [KeyError(), RuntimeError("Lock is not acquired."), Exception("said by us")], ids=repr)
async def test_a_bug_passes_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, losses_as(Uncertain):
        raise error
    assert raised.value is error
