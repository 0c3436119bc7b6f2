"""Tells a dependency that is away from a fault in our own work.

What is away comes back by itself: the edge answers 503 and the client tries again; a consumer gives its events back without
counting an attempt. Everything else that is raised is a bug.
"""

from __future__ import annotations

import re
from typing import Final

import aiohttp
import asyncpg
import redis.exceptions

_AWAY: Final = (
    OSError,  # sockets, and builtin TimeoutError with them: pools, asyncio.timeout, asyncpg's command_timeout
    asyncpg.PostgresConnectionError,  # class 08
    asyncpg.OperatorInterventionError,  # class 57: shutting down, starting up, statement_timeout
    asyncpg.InsufficientResourcesError,  # class 53: too many connections, disk full, out of memory
    asyncpg.TransactionRollbackError,  # class 40: serialization failure, deadlock
    asyncpg.ReadOnlySQLTransactionError,  # the former primary, after a failover
    asyncpg.LockNotAvailableError,  # lock_timeout
    asyncpg.PostgresIOError,  # a disk that cannot be read
    asyncpg.InvalidCachedStatementError,  # a migration has just changed what a statement gives; the next try plans it anew
    redis.exceptions.ConnectionError,  # BusyLoadingError is its child
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,  # full, and told to drop nothing
    redis.exceptions.ClusterDownError,  # MasterDownError is its child
    redis.exceptions.TryAgainError,
    aiohttp.ClientConnectionError,
)
_OUR_FILES: Final = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)
"""OSErrors that no server's return will mend."""
_REFUSES_NOW: Final = re.compile(r"""(?:\A|caused error: \(['"])(?:MISCONF|NOREPLICAS|BUSY) """)
"""What Redis answers as long as its disk, its replicas or a script do not let it; redis-py has no class for it, and puts the
command of a pipeline before it."""
_CLOSED: Final = (
    "connection is closed",
    "connection has been released back to the pool",  # what the server ended between two statements of a block
    "pool is closing",
    "pool is closed",
)
"""How asyncpg's sentences about something closed end (0.32); those that quote an argument end otherwise."""


def is_unavailable(error: BaseException) -> bool:
    """True where `error` says that a server is away or overloaded, so that the same work may succeed later, unchanged.

    A group is unavailable where all its members are.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_unavailable(member) for member in error.exceptions)
    if isinstance(error, asyncpg.InterfaceError):
        # One class for "the connection is closed" and for misuse; only its text tells them apart. Its children are all misuse.
        return type(error) is asyncpg.InterfaceError and (str(error).endswith(_CLOSED) or _ends_block_of_away(error))
    if isinstance(error, asyncpg.InternalClientError):
        # What a connection says that the server has just ended, before it is closed (asyncpg 0.32): two of our own statements at
        # once would be an InterfaceError.
        return not isinstance(error, asyncpg.ProtocolError)
    if type(error) is redis.exceptions.ResponseError:
        return _REFUSES_NOW.search(str(error)) is not None
    return isinstance(error, _AWAY) and not isinstance(error, _OUR_FILES)


def _ends_block_of_away(error: asyncpg.InterfaceError) -> bool:
    """Whether it is what the end of a block says of a COPY that a connection refused which the server had just ended: to asyncpg
    that is in progress for ever (0.32)."""
    return (
        str(error).endswith("another operation is in progress")
        and isinstance(error.__context__, asyncpg.InterfaceError | asyncpg.InternalClientError)
        and is_unavailable(error.__context__)
    )
