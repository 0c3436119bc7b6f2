from __future__ import annotations

import aiohttp
import asyncpg
import pytest
import redis.exceptions
from asyncpg.exceptions._base import DataError as ClientDataError

from shared.errors import Permanent, Retry
from shared.unavailable import is_unavailable


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.AdminShutdownError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.QueryCanceledError(),
        asyncpg.PostgresIOError(),
        asyncpg.InvalidCachedStatementError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("cannot perform operation: connection is closed"),
        asyncpg.InterfaceError("cannot call Transaction.__aexit__(): the underlying connection is closed"),
        asyncpg.InterfaceError("cannot call Connection.fetchval(): connection has been released back to the pool"),
        asyncpg.InterfaceError("pool is closed"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InternalClientError("cannot switch to state 11; another operation (3) is in progress"),
        redis.exceptions.ConnectionError(),
        redis.exceptions.TimeoutError(),
        redis.exceptions.BusyLoadingError(),
        redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.exceptions.MasterDownError("link with the primary is down"),
        redis.exceptions.ResponseError("MISCONF Valkey is configured to save RDB snapshots, but it cannot"),
        redis.exceptions.ResponseError("BUSY Valkey is busy running a script."),
        aiohttp.ServerDisconnectedError(),
        ExceptionGroup("", [TimeoutError(), ExceptionGroup("", [ConnectionResetError()])]),
    ],
)
def test_a_dependency_away_is_told(error: Exception) -> None:
    assert is_unavailable(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        KeyError(),
        asyncpg.UniqueViolationError(),
        asyncpg.UndefinedTableError(),
        asyncpg.InsufficientPrivilegeError(),
        asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.ProtocolError("unknown message"),
        asyncpg.exceptions.DataError("invalid input for query argument $1: 'pool is closed'"),
        ClientDataError("pool is closed"),
        asyncpg.InterfaceError("query argument $1: no codec for 'Closet'"),
        redis.exceptions.ResponseError(),
        Retry("a"),
        Permanent("a"),
        ExceptionGroup("", [TimeoutError(), ValueError()]),
    ],
)
def test_a_bug_is_not(error: Exception) -> None:
    assert not is_unavailable(error)
