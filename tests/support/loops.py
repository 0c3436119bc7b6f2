"""The end of a test's event loop."""

from __future__ import annotations

import asyncio
from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any


def cut_what_is_closing() -> None:
    """Have each loop, before it closes, cut connections that their owners have closed and whose last bytes nobody reads.

    asyncio would leave them open, and tell so when they are collected: in some other test, which then fails. One that nobody has
    closed is told of as before.
    """
    loops: Any = BaseSelectorEventLoop  # its transports are told nowhere else
    close = loops.close

    def cut_and_close(loop: Any) -> None:
        if not loop.is_closed() and not loop.is_running():
            closing = [transport for transport in list(loop._transports.values()) if transport.is_closing()]
            for transport in closing:
                transport.abort()
            if closing:
                loop.run_until_complete(asyncio.sleep(0))
        close(loop)

    loops.close = cut_and_close
