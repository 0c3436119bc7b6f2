"""The end of a test's event loop."""

from __future__ import annotations

import asyncio
from asyncio.selector_events import BaseSelectorEventLoop
from typing import Any


def cut_what_is_left() -> None:
    """Have each loop, before it closes, cut connections that their owners have closed and whose last bytes nobody reads, and those
    that a server has accepted: the handlers of a test's servers end with the loop wherever they are.

    asyncio would leave them open, and tell so when they are collected: in some other test, which then fails. One that was opened
    and that nobody has closed is told of as before.
    """
    loops: Any = BaseSelectorEventLoop  # its transports are told nowhere else
    close = loops.close

    def cut_and_close(loop: Any) -> None:
        if not loop.is_closed() and not loop.is_running():
            left = [one for one in list(loop._transports.values()) if one.is_closing() or one._server is not None]
            for transport in left:
                transport.abort()
            if left:
                loop.run_until_complete(asyncio.sleep(0))
        close(loop)

    loops.close = cut_and_close
