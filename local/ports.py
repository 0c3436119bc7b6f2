"""TCP ports that nobody on this machine listens on."""

from __future__ import annotations

import secrets
import socket
from collections import deque
from typing import Final

# Below Linux's range for outgoing connections (32768 and up, net.ipv4.ip_local_port_range): no client's socket can take the
# port between this answer and the server's bind.
CANDIDATES: Final = range(20_000, 32_000)
TRIES: Final = 200
_given: Final[deque[int]] = deque(maxlen=500)
"""The last ones: whoever has been given one may not listen on it yet."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that could be bound just now, and that this process has not been given lately. Nothing reserves it from others, so a
    server that starts on it may have to ask for another."""
    for _ in range(TRIES):
        port = secrets.choice(CANDIDATES)
        if port not in _given and is_free(port, host):
            _given.append(port)
            return port
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now; connections in TIME_WAIT do not count."""
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
