"""All processes of all services, asked for an operator. Where a name stands for several addresses, as that of a headless Service
does, each process behind it is asked."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import aiohttp
import structlog
from pydantic import BaseModel, ValidationError
from yarl import URL

from shared.bus.interface import BusError
from shared.errors import Rejected
from shared.operations.payloads import (
    RESTORED_PATH,
    DatabaseState,
    Decide,
    Decided,
    Forget,
    Forgotten,
    QueueStates,
    RestoredState,
)
from shared.operations.station import CACHES_PATH, DATABASE_PATH, QUEUES_PATH, Station
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

READ_SECONDS: Final = 2.5
"""For all services together, which are asked at once: who looks does so while something hangs, and is told what."""
ACT_SECONDS: Final = 8.0
"""As long again for what they are to do, which is not to be cut short."""
_CLEAN_UP_SECONDS: Final = 0.2
"""How much longer their own deadlines may take to end them. Who takes longer still is not waited for."""
_TRIES: Final = 2
"""Processes of a service that are asked for what any of them can say, one after the other, until one answers."""
_GATEWAY: Final = "gateway"
_SENDER: Final = "sender"

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class ServiceAway(Exception):
    """A service did not answer, or not as it should."""


@dataclass(frozen=True, slots=True)
class Answers(Generic[T]):
    """What the services said, by service, one for each process that answered; and those of which one that was asked did not."""

    by_service: Mapping[str, Sequence[T]]
    unreachable: Sequence[str]


class AllServices:
    """`urls` are base URLs by service. The gateway's own station and metrics are asked directly where the gateways are not among
    them, and this one is all that is known."""

    def __init__(
        self,
        own: Station,
        metrics: Metrics,
        session: aiohttp.ClientSession,
        urls: Mapping[str, str],
        token: str,
        metrics_token: str,
    ) -> None:
        self.own = own
        self._metrics = metrics
        self._session = session
        self._urls = urls
        self._token = token
        self._metrics_token = metrics_token

    async def queues(self) -> Answers[QueueStates]:
        """The broker says the same to all processes of a service: one of each is asked."""
        return await self._each(
            self.own.queues, lambda service, until: self._ask(service, "GET", QUEUES_PATH, QueueStates, until, first=True)
        )

    async def databases(self) -> Answers[DatabaseState]:
        return await self._each(
            self.own.database, lambda service, until: self._ask(service, "GET", DATABASE_PATH, DatabaseState, until)
        )

    async def forget(self, what: Forget) -> Answers[Forgotten]:
        body = what.model_dump_json().encode()
        return await self._each(
            lambda: self.own.forget(what),
            lambda service, until: self._ask(service, "POST", CACHES_PATH, Forgotten, until, body),
            seconds=ACT_SECONDS,
        )

    async def restored(self) -> RestoredState:
        """What waits at the sender since a restore. Raises `ServiceAway`."""
        return await self._one("GET", RestoredState, READ_SECONDS)

    async def decide(self, wish: Decide) -> Decided:
        """What becomes of it. Raises `ServiceAway`."""
        return await self._one("POST", Decided, ACT_SECONDS * _TRIES, wish.model_dump_json().encode())

    async def _one(self, method: str, model: type[M], seconds: float, body: bytes | None = None) -> M:
        """Of one sender: they say and do the same."""
        answer = (await self._ask(_SENDER, method, RESTORED_PATH, model, _now() + seconds, body, first=True))[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def metrics(self) -> Answers[bytes]:
        """Their pages for Prometheus."""
        return await self._each(self._metrics.text, self._pages)

    async def _pages(self, service: str, until: float) -> Sequence[bytes | BaseException]:
        return await self._fetch(service, "GET", "/metrics", self._metrics_token, until)

    async def _ask(
        self,
        service: str,
        method: str,
        path: str,
        model: type[M],
        until: float,
        body: bytes | None = None,
        *,
        first: bool = False,
    ) -> Sequence[M | BaseException]:
        def read(data: bytes | BaseException) -> M | BaseException:
            if isinstance(data, BaseException):
                return data
            try:
                return model.model_validate_json(data)
            except ValidationError:
                return ServiceAway(f"{service} answered something else")

        return [read(data) for data in await self._fetch(service, method, path, self._token, until, body, first=first)]

    async def _fetch(
        self, service: str, method: str, path: str, token: str, until: float, body: bytes | None = None, *, first: bool = False
    ) -> Sequence[bytes | BaseException]:
        """`until` is a moment of the loop's clock, for all of it."""
        url = URL(self._urls[service].rstrip("/"))
        addresses = await _addresses(url, until)

        async def fetch(address: str, seconds: float) -> bytes:
            return await self._fetch_one(service, url, address, method, path, token, seconds, body)

        if first:
            return [await _first_of(fetch, addresses[:_TRIES], until)]
        return await asyncio.gather(*(fetch(address, until - _now()) for address in addresses), return_exceptions=True)

    async def _fetch_one(
        self, service: str, url: URL, address: str, method: str, path: str, token: str, seconds: float, body: bytes | None
    ) -> bytes:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if address != url.host:
            headers["Host"] = url.authority
        try:
            async with (
                asyncio.timeout(seconds),  # however little is left: aiohttp takes 0 for no bound
                self._session.request(
                    method, url.with_host(address) / path.lstrip("/"), data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                data = await answer.read()
                if answer.status != 200:
                    raise ServiceAway(f"{service} answered {answer.status}")
                return data
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ServiceAway(f"{service}: {type(error).__name__}") from None

    async def _each(
        self,
        own: Callable[[], Awaitable[T]],
        other: Callable[[str, float], Awaitable[Sequence[T | BaseException]]],
        *,
        seconds: float = READ_SECONDS,
    ) -> Answers[T]:
        """Whoever has not answered in time counts as away, this process too: what it asks may hang, and may not let go of it."""
        until = _now() + seconds

        async def ask(name: str) -> Sequence[T | BaseException]:
            return await other(name, until) if name in self._urls else [await own()]

        asked = {name: asyncio.gather(ask(name), return_exceptions=True) for name in dict.fromkeys((_GATEWAY, *self._urls))}
        try:
            await asyncio.wait(asked.values(), timeout=seconds + _CLEAN_UP_SECONDS)
        finally:
            late = [answer for answer in asked.values() if not answer.done()]
            for answer in late:
                answer.add_done_callback(_unheard)
                answer.cancel()
        found: dict[str, Sequence[T]] = {}
        unreachable = []
        for name, answer in asked.items():
            heard = ServiceAway(f"{name}: TimeoutError") if answer in late else answer.result()[0]
            all_of_it = [heard] if isinstance(heard, BaseException) else heard
            if failures := [one for one in all_of_it if isinstance(one, BaseException)]:
                _note(name, failures)
                unreachable.append(name)
            if told := [one for one in all_of_it if not isinstance(one, BaseException)]:
                found[name] = told
        return Answers(found, unreachable)


async def _first_of(
    fetch: Callable[[str, float], Awaitable[bytes]], addresses: Sequence[str], until: float
) -> bytes | BaseException:
    """A name stands for a process a while longer than there is one; each has its share of the time that is left."""
    away = ServiceAway("no address")
    for tried, address in enumerate(addresses):
        try:
            return await fetch(address, (until - _now()) / (len(addresses) - tried))
        except ServiceAway as error:
            away = error
    return away


def _unheard(answer: asyncio.Future[Any]) -> None:
    """It ends when what it waits for lets go of it; nobody asks it how, which the loop would tell."""
    if not answer.cancelled():
        answer.exception()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _note(service: str, failures: Sequence[BaseException]) -> None:
    """Raises what is no failure of somebody else's."""
    for failure in failures:
        if not isinstance(failure, ServiceAway | BusError | Rejected | OSError) and not is_unavailable(failure):
            raise failure
        log.warning("operations.unreachable", of=service, error=str(failure) or type(failure).__name__)


async def _addresses(url: URL, until: float) -> Sequence[str]:
    """Only plain HTTP goes by address: a certificate is for the name. Raises `ServiceAway` where the name stands for nothing."""
    if url.scheme != "http" or url.host is None:
        return [url.host or ""]
    try:
        async with asyncio.timeout_at(until):
            found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        raise ServiceAway(f"{url.host}: {type(error).__name__}") from None
    families = {info[0] for info in found}
    family = min(families)  # one address a process: IPv4 where there is one
    return sorted({str(info[4][0]) for info in found if info[0] == family})
