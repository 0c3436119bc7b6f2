"""Whose secret signed a payload, and so whose it is; known before anything of the payload is believed.

On the way to all numbers the payload names those whose secrets are tried, and the signature must fit for every one of them that is
known: a tenant's secret is no authority over another's number. What names no number that is known is tried by its account, and what
names nobody at all, because it is no JSON for instance, by the secrets of all. On the way to one number its own secret comes first.
Whoever signed, the payload is taken: what it holds is a question for the reader.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson

from services.gateway.domain import webhook
from services.gateway.domain.payload import parsed
from services.gateway.domain.webhook_shares import names_only, shares
from services.gateway.numbers import NumberDirectory, WebhookSource
from services.gateway.store.webhooks import NOBODY
from services.gateway.webhooks.reach import Away, Reach
from shared.auth.signatures import verify
from shared.clock import Clock
from shared.events.values import Provider
from shared.ids import TenantId

LOOKED_UP: Final = 1_000
"""Numbers, or accounts, that are looked up at once, and in all for somebody who has not proved who they are: a payload of Meta's
has a thousand updates at most."""
TRIED: Final = 200
TRIED_BYTES: Final = 32 * 1024 * 1024
"""Secrets that are tried on a payload that names nobody, and what is hashed of it meanwhile: anybody can send such."""

T = TypeVar("T")
Share = tuple[TenantId, bytes]


class Signers:
    """`reach` says when what is remembered of the numbers must do."""

    def __init__(self, numbers: NumberDirectory, reach: Reach, clock: Clock) -> None:
        self._numbers = numbers
        self._reach = reach
        self._clock = clock

    async def of(self, body: bytes, signature: str | None) -> Sequence[Share]:
        """Whose the payload is: all of it one tenant's, or of each what speaks of them. Nobody's: it is not signed as it must be.

        Raises what the database raises where that is away and there is nothing but to wait for it.
        """
        check, payload = _Check(body, signature, self._clock), parsed(body)
        named = sorted(webhook.phone_number_ids(payload))
        if sources := await self._sources(named[:LOOKED_UP]):
            return await self._believed(check, payload, sources, named[LOOKED_UP:])
        accounts = sorted(webhook.account_ids(payload))[:LOOKED_UP]
        if known := await self._account_sources(accounts):
            signing = check.fitting(known)
            return _divided(body, payload, {}, signing) if signing else ()
        tenants = {source.tenant_id for source in check.fitting(await self._signing())}
        return [(tenants.pop() if len(tenants) == 1 else NOBODY, body)] if tenants else ()

    async def of_number(self, number_id: str, body: bytes, signature: str | None) -> Sequence[Share]:
        """The same for what came on the way to this number."""
        own = await self._look(
            lambda: self._numbers.called_back(number_id, Provider.CLOUD_API),
            lambda: self._numbers.remembered_called_back(number_id, Provider.CLOUD_API),
        )
        check = _Check(body, signature, self._clock)
        if own is None or not check.fits(own):
            return ()
        payload = parsed(body)
        named = sorted(webhook.phone_number_ids(payload) - {own.phone_number_id})
        return await self._believed(check, payload, {own.phone_number_id: own}, named)

    async def _believed(
        self, check: _Check, payload: Any, first: Mapping[str, WebhookSource], rest: Sequence[str]
    ) -> Sequence[Share]:
        """Whose it is, if who signed may speak of all that it names: of those looked up `first`, then of the `rest`."""
        sources = dict(first)
        for start in range(0, len(rest), LOOKED_UP):
            if not check.fits_all(sources.values()):
                return ()
            sources |= await self._sources(rest[start : start + LOOKED_UP])
        if not check.fits_all(sources.values()):
            return ()
        if names_only(payload, sources) and len({source.tenant_id for source in sources.values()}) == 1:
            return [(next(iter(sources.values())).tenant_id, check.body)]
        accounts = await self._account_sources(sorted(webhook.account_ids(payload))[:LOOKED_UP])
        return _divided(check.body, payload, sources, check.fitting(accounts))

    async def _sources(self, named: Collection[str]) -> Mapping[str, WebhookSource]:
        wanted = set(named)
        fresh = self._numbers.fresh(wanted)
        if fresh is not None:
            return fresh
        return await self._look(lambda: self._numbers.sources(wanted), lambda: self._numbers.remembered(wanted))

    async def _account_sources(self, accounts: Collection[str]) -> Sequence[WebhookSource]:
        if not accounts:
            return ()
        wanted = set(accounts)
        return await self._look(lambda: self._numbers.account_sources(wanted), lambda: self._numbers.remembered_of(wanted))

    async def _signing(self) -> Sequence[WebhookSource]:
        return await self._look(self._numbers.signing, self._numbers.remembered_signing)

    async def _look(self, read: Callable[[], Awaitable[T]], remembered: Callable[[], T]) -> T:
        try:
            return await self._reach.soon(read)
        except Away:
            return remembered()


class _Check:
    """A signature over a body, tried with each secret once."""

    def __init__(self, body: bytes, signature: str | None, clock: Clock) -> None:
        self.body = body
        self._signature = signature
        self._now = clock.now()
        self._known: dict[str, bool] = {}

    def fits(self, source: WebhookSource) -> bool:
        return any(self._fits(secret) for secret in source.secrets(self._now))

    def fits_all(self, sources: Iterable[WebhookSource]) -> bool:
        return all(self.fits(source) for source in sources)

    def fitting(self, sources: Iterable[WebhookSource]) -> list[WebhookSource]:
        """Those that it fits, of as many as may be tried on a body of this length."""
        return [source for source in _affordable(sources, len(self.body)) if self.fits(source)]

    def _fits(self, secret: str) -> bool:
        if secret not in self._known:
            self._known[secret] = verify(secret, self._signature, self.body)
        return self._known[secret]


def _affordable(sources: Iterable[WebhookSource], length: int) -> Iterator[WebhookSource]:
    """As many of them as may be tried on a body of this length."""
    most = max(1, min(TRIED, TRIED_BYTES // max(1, length)))
    secrets: set[str] = set()
    for source in sources:
        if source.app_secret in secrets or len(secrets) < most:
            secrets.add(source.app_secret)
            yield source


def _divided(
    body: bytes, payload: Any, numbers: Mapping[str, WebhookSource], accounts: Iterable[WebhookSource]
) -> Sequence[Share]:
    """A payload of several tenants. What is of an account that they have in common is nobody's alone."""
    of_account: dict[str, set[TenantId]] = {}
    for source in accounts:
        of_account.setdefault(source.account_id, set()).add(source.tenant_id)
    tenants = {source.tenant_id for source in numbers.values()}.union(*of_account.values())
    if len(tenants) == 1:
        return [(tenants.pop(), body)]
    try:
        parts = shares(
            payload,
            {phone_number_id: source.tenant_id for phone_number_id, source in numbers.items()},
            {account: next(iter(owners)) for account, owners in of_account.items() if len(owners) == 1},
            NOBODY,
        )
        return [(tenant_id, _written(part)) for tenant_id, part in parts.items()]
    except (ValueError, RecursionError):  # nested deeper than can be written
        return [(NOBODY, body)]


def _written(payload: Any) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # half a surrogate pair, or a number of more than 64 bits
        return json.dumps(payload).encode()
