"""Two agreements of systemd's between a process and whoever starts it: a listening socket that is handed over, and word that it is
ready (sd_listen_fds(3), sd_notify(3)).

With the first a process takes the place of another on one port: the socket stays open while they change, and no connection is
refused. Any supervisor can keep them; `make stack` does.
"""

from __future__ import annotations

import os
import socket
from typing import Final

FIRST_DESCRIPTOR: Final = 3


def inherited_socket(port: int) -> socket.socket | None:
    """The listening socket on `port` that this process was started with, not blocking; None where there is none. It is the caller's
    to close."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None  # meant for one of our ancestors
    count = os.environ.get("LISTEN_FDS", "")
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count if count.isdecimal() else 0)):
        try:
            given = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            continue  # not open, or no socket
        if given.family in {socket.AF_INET, socket.AF_INET6} and given.getsockname()[1] == port:
            given.setblocking(False)
            return given
        given.close()
    return None


def notify(state: str) -> None:
    """Tell the supervisor, as `READY=1`; nothing happens where none listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
        except OSError:
            pass  # it is gone: then nobody wants to know
