"""The accounts' templates, read from the provider: every ten minutes, and when somebody asks.

An access token goes to an origin that the operator allows and nowhere else: redirects are not followed, and the next page is asked
for by its cursor, never by the address that an answer names. Source: WhatsApp Cloud API, message templates, read 2026-11.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
import structlog
from pydantic import HttpUrl
from yarl import URL

from services.gateway.domain.origins import Origins
from services.gateway.domain.template import status_of
from services.gateway.store import templates as store
from services.gateway.templates import Described, take_reading
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.free_json import json_faults
from shared.ids import TenantId

log = structlog.get_logger(__name__)

API_VERSION: Final = "v23.0"
FIELDS: Final = "id,name,language,status,category,quality_score,rejected_reason,parameter_format,components"
SYNC_SECONDS: Final = 600.0
AWAY_SECONDS: Final = 60.0
"""Until a provider that could not be reached is asked again. One that refuses is asked again no sooner than usual: calls made while
it throttles prolong that."""
READING_SECONDS: Final = 60.0
"""Longest time that a whole reading may take."""
LEASE_SECONDS: Final = 120.0
PAGE: Final = 100
MAX_TEMPLATES: Final = 10_000
MAX_PAGE_BYTES: Final = 8 * 1024 * 1024
_LONGEST: Final = 512
_LONGEST_WORD: Final = 64
_LARGEST_CODE: Final = 10**9


class Unreadable(Exception):
    """An account's templates could not be read. `code` says why."""

    def __init__(self, code: str, *, is_away: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.is_away = is_away


@dataclass(frozen=True, slots=True, repr=False)
class TemplateSync:
    """Reads what is due. `origins` are the places that a token may be sent to, `sealer` opens the tokens."""

    pool: Pool
    outbox: Outbox
    session: aiohttp.ClientSession
    sealer: Sealer
    origins: Origins
    clock: Clock

    async def read_due(self) -> bool:
        """Read the account that is due first; True where there may be more."""
        claimed = await store.claim_account(self.pool, lease_seconds=LEASE_SECONDS)
        if claimed is None:
            return False
        await self.read_account(*claimed)
        return True

    async def read_account(self, tenant_id: TenantId, account_id: str) -> None:
        """Read an account's templates and keep what is new. Where that fails the account's record says why, and nothing changes."""
        as_of = self.clock.now()
        try:
            async with asyncio.timeout(READING_SECONDS):
                described = await self._read_all(tenant_id, account_id)
        except (Unreadable, TimeoutError) as error:
            code, is_away = (error.code, error.is_away) if isinstance(error, Unreadable) else ("provider.timeout", True)
            log.warning("templates.not_read", tenant_id=tenant_id, account_id=account_id, code=code)
            wait = AWAY_SECONDS if is_away else SYNC_SECONDS
            await store.settle_account(self.pool, tenant_id, account_id, again_seconds=wait, synced_at=None, fault=code)
            return
        async with self.outbox.transaction() as unit:
            await take_reading(unit, tenant_id, account_id, described, as_of)
            await store.settle_account(
                unit.connection, tenant_id, account_id, again_seconds=SYNC_SECONDS, synced_at=as_of, fault=None
            )
        log.info("templates.read", tenant_id=tenant_id, account_id=account_id, templates=len(described))

    async def _read_all(self, tenant_id: TenantId, account_id: str) -> list[Described]:
        number = await store.reading_number(self.pool, tenant_id, account_id)
        if number is None:
            raise Unreadable("number.unknown")
        if not self.origins.allow(HttpUrl(number["provider_url"])):
            raise Unreadable("provider.origin_not_allowed")
        headers = {"Authorization": f"Bearer {self._token(tenant_id, number)}"}
        url = URL(f"{number['provider_url'].rstrip('/')}/{API_VERSION}/{account_id}/message_templates")
        found: dict[tuple[str, str], Described] = {}
        after: str | None = None
        for _ in range(MAX_TEMPLATES // PAGE):
            query = {"fields": FIELDS, "limit": str(PAGE)} | ({} if after is None else {"after": after})
            page = await self._page(url.with_query(query), headers)
            for item in page["data"]:
                described = _described(item)
                if described is not None:
                    found[described.name, described.language] = described
            after = _next(page, after)
            if after is None:
                return list(found.values())
        raise Unreadable("provider.too_many_templates")

    def _token(self, tenant_id: TenantId, number: asyncpg.Record) -> str:
        try:
            return self.sealer.open(tenant_id, "numbers.access_token", number["id"], number["sealed_access_token"])
        except SealError:
            raise Unreadable("number.secret_unreadable") from None

    async def _page(self, url: URL, headers: Mapping[str, str]) -> dict[str, Any]:
        try:
            async with self.session.get(url, headers=headers, allow_redirects=False) as response:
                body = bytearray()
                async for part in response.content.iter_any():
                    body += part
                    if len(body) > MAX_PAGE_BYTES:
                        raise Unreadable("provider.answer_too_large")
                status = response.status
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError):
            raise Unreadable("provider.unreachable", is_away=True) from None
        try:
            page = orjson.loads(bytes(body).replace(b"\\u0000", b"\\ufffd"))  # which PostgreSQL cannot hold
        except orjson.JSONDecodeError:
            page = None
        if status != 200:
            raise Unreadable(_refusal(page) or f"provider.http_{status}", is_away=status >= 500)
        if not isinstance(page, dict) or not isinstance(page.get("data"), list):
            raise Unreadable("provider.answer_unreadable")
        return page


def _refusal(page: Any) -> str | None:
    error = page.get("error") if isinstance(page, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return f"provider.{code}" if isinstance(code, int) and 0 <= code < _LARGEST_CODE else None


def _next(page: Mapping[str, Any], before: str | None) -> str | None:
    """The cursor of the next page. A provider that gives the same one again would be asked for ever."""
    paging = page.get("paging")
    if not isinstance(paging, dict) or not paging.get("next"):
        return None
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    if not isinstance(after, str) or not 0 < len(after) <= _LONGEST or after == before:
        raise Unreadable("provider.answer_unreadable")
    return after


def _described(item: Any) -> Described | None:
    """A template of the list; None where it has no name, language or status."""
    if not isinstance(item, dict):
        return None
    name, language, word = _word(item.get("name"), _LONGEST), _word(item.get("language")), _word(item.get("status"))
    if name is None or language is None or word is None:
        return None
    score = item.get("quality_score")
    reason, components = _word(item.get("rejected_reason")), item.get("components")
    is_readable = isinstance(components, list) and not any(json_faults(components, ""))
    return Described(
        name,
        language,
        _word(item.get("id")),
        status_of(word) or word.lower(),
        _lower(_word(item.get("category"))),
        _lower(_word(score.get("score")) if isinstance(score, dict) else None),
        None if reason in (None, "NONE") else reason,
        _word(item.get("parameter_format")),
        [part for part in components if isinstance(part, dict)] if is_readable and isinstance(components, list) else None,
    )


def _word(value: Any, longest: int = _LONGEST_WORD) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= longest and value.isprintable() else None


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()
