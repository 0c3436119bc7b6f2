"""A broker that speaks as much AMQP as publishing takes, and whose connections end at the moment that a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import pamqp.constants
import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.body import ContentBody

CAPABILITIES: Final = {"publisher_confirms": True, "basic.nack": True}


class Peer:
    """A connection, seen from the broker."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.number = number
        """1 for the first that was made."""
        self.bodies = 0
        """Messages that came."""
        self._writer = writer

    @property
    def is_ended(self) -> bool:
        return self._writer.is_closing()

    def say(self, *frames: Frame, channel: int = 0) -> None:
        """All at once."""
        self._writer.write(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))

    def end(self) -> None:
        """In order, after what was said."""
        self._writer.close()

    def cut(self) -> None:
        self._writer.transport.abort()


React = Callable[[Peer, object, int], bool]
"""Hears each frame, with its channel; returns True where the broker is to leave it at that."""


class FakeBroker:
    """Answers what opens connections and channels, and confirms every message."""

    def __init__(self, react: React | None = None) -> None:
        self.url = ""
        self._react = react
        self._peers: list[Peer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def serving(cls, react: React | None = None) -> AsyncIterator[FakeBroker]:
        broker = cls(react)
        server = await asyncio.start_server(broker._connected, "127.0.0.1", 0)
        broker.url = f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield broker
        finally:
            server.close()
            for peer in broker._peers:
                peer.end()
            await asyncio.gather(*broker._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        peer = Peer(len(self._peers) + 1, writer)
        self._peers.append(peer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._hear(peer, reader)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def _hear(self, peer: Peer, reader: asyncio.StreamReader) -> None:
        """Until the client ends it, or we have."""
        await reader.readexactly(len(b"AMQP\x00\x00\x09\x01"))
        peer.say(commands.Connection.Start(server_properties={"capabilities": dict(CAPABILITIES)}, mechanisms="PLAIN"))
        while not peer.is_ended:
            start = await reader.readexactly(pamqp.constants.FRAME_HEADER_SIZE)
            _, channel, size = pamqp.frame.frame_parts(start)
            _, _, frame = pamqp.frame.unmarshal(start + await reader.readexactly((size or 0) + 1))
            peer.bodies += isinstance(frame, ContentBody)
            if self._react is None or not self._react(peer, frame, channel):
                _answer(peer, frame, channel)


def _answer(peer: Peer, frame: object, channel: int) -> None:
    match frame:
        case commands.Connection.StartOk():
            peer.say(commands.Connection.Tune(channel_max=2047, frame_max=131_072))
        case commands.Connection.Open():
            peer.say(commands.Connection.OpenOk())
        case commands.Connection.Close():
            peer.say(commands.Connection.CloseOk())
        case commands.Channel.Open():
            peer.say(commands.Channel.OpenOk(), channel=channel)
        case commands.Channel.Close():
            peer.say(commands.Channel.CloseOk(), channel=channel)
        case commands.Confirm.Select():
            peer.say(commands.Confirm.SelectOk(), channel=channel)
        case ContentBody():
            peer.say(commands.Basic.Ack(peer.bodies), channel=channel)
