"""Calls to the provider's Graph API with a number's own token, for everything but sending messages.

The token goes to the number's provider where the operator allows that origin, and nowhere else: redirects are not followed.
Sources: WhatsApp Cloud API, rate limits (calls of management per app and account), media, read 2026-11.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from pydantic import HttpUrl
from yarl import URL

from services.gateway.domain.origins import Origins
from services.gateway.store import graph_nodes as store
from shared.auth.seal import Sealer, SealError
from shared.db.pool import Pool
from shared.errors import Failure
from shared.ids import TenantId
from shared.limits.limiter import Ask, Granted, Limit, Limiter
from shared.limits.rate import Rate

API_VERSION: Final = "v23.0"
CALLS_PER_HOUR: Final = 5_000
"""Of management, per account with a registered number; the provider prolongs the block of who goes on calling."""
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
CALL_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
"""Longest pause of a file that is coming; how long all of it may take is its reader's business."""
_BURST: Final = 1_000
_RATE: Final = Rate.within(CALLS_PER_HOUR, 3_600, _BURST)
_META: Final = "https://graph.facebook.com"
_META_FILES: Final = "https://lookaside.fbsbx.com"
"""Where Meta's Graph API says that its files are: they need the token too."""


class GraphFailed(Failure):
    """A call that has no answer: `number.unknown` (no such number or account of the tenant), `number.secret_unreadable`,
    `provider.origin_not_allowed`, `provider.answer_too_large`; with `is_away` `provider.unreachable` and `provider.timeout`, and
    then it may have been done."""

    def __init__(self, code: str, *, is_away: bool = False) -> None:
        super().__init__(code)
        self.is_away = is_away


@dataclass(frozen=True, slots=True, repr=False)
class GraphAnswer:
    """What the provider said, whatever that is."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def error(self) -> Mapping[str, Any] | None:
        """The error that the provider refused the call with: `code`, `message` …; None where it did not."""
        document = self.document
        error = document.get("error") if isinstance(document, dict) else None
        if isinstance(error, dict):
            return error
        return None if self.status < 400 else {"code": 1, "message": f"HTTP {self.status}"}


@dataclass(frozen=True, slots=True, repr=False)
class _Caller:
    base_url: str
    account_id: str
    token: str


_THROTTLED: Final = orjson.dumps(
    {
        "error": {
            "message": "(#80007) Rate limit issues",
            "type": "OAuthException",
            "code": 80007,
            "error_data": {
                "messaging_product": "whatsapp",
                "details": f"This account has used its {CALLS_PER_HOUR} calls of management an hour; nothing was asked.",
            },
            "is_transient": True,
        }
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class GraphClient:
    """Asks the provider in a number's or an account's name. `sealer` opens the tokens, `origins` are where they may go."""

    pool: Pool
    session: aiohttp.ClientSession
    sealer: Sealer
    origins: Origins
    limiter: Limiter

    async def call(  # noqa: PLR0913  # what makes up a request, most of it by name
        self,
        tenant_id: TenantId,
        node_id: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        json: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        counted: bool = True,
        scheme: str = "Bearer",
    ) -> GraphAnswer:
        """The answer to a call in the name of `node_id`, the tenant's phone number id or account. `path` stands behind the version:
        `1234/message_templates`, percent-encoded where it needs to be.

        `counted` calls are those of management: over the account's limit the answer is error 80007, and nothing is asked. Not so
        for messages and media. `scheme` is `OAuth` for resumable uploads. Raises `GraphFailed`.
        """
        caller = await self._caller(tenant_id, node_id)
        if counted and not await self._may_call(caller.account_id):
            return GraphAnswer(400, {"Content-Type": "application/json"}, _THROTTLED)
        url = URL(f"{caller.base_url}/{API_VERSION}/{path}", encoded=True)
        sent = {**(headers or {}), "Authorization": f"{scheme} {caller.token}"}
        try:
            async with self.session.request(
                method,
                url.update_query(query) if query else url,
                json=json,
                data=data,
                headers=sent,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            ) as response:
                body = await _bounded(response)
                # Some answers quote their own address, token and all: it must not travel on.
                return GraphAnswer(response.status, dict(response.headers), body.replace(caller.token.encode(), b"withheld"))
        except TimeoutError:
            raise GraphFailed("provider.timeout", is_away=True) from None
        except (aiohttp.ClientError, OSError):
            raise GraphFailed("provider.unreachable", is_away=True) from None

    @asynccontextmanager
    async def download(self, tenant_id: TenantId, node_id: str, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """A file whose `url` an answer of the provider named; to be read by whoever asks, within their own bounds of size and time.

        Raises `GraphFailed`, `provider.origin_not_allowed` where the token may not go there; aiohttp's errors of connecting too.
        """
        caller = await self._caller(tenant_id, node_id)
        if not _may_hold_files(caller, url):
            raise GraphFailed("provider.origin_not_allowed")
        async with self.session.get(
            URL(url, encoded=True),
            # As it is: packed on its way, a file can be of any size.
            headers={"Authorization": f"Bearer {caller.token}", "Accept-Encoding": "identity"},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
        ) as response:
            yield response

    async def _caller(self, tenant_id: TenantId, node_id: str) -> _Caller:
        row = await store.number_of(self.pool, tenant_id, node_id)
        if row is None:
            raise GraphFailed("number.unknown")
        if not self.origins.allow(HttpUrl(row["provider_url"])):
            raise GraphFailed("provider.origin_not_allowed")
        try:
            token = self.sealer.open(tenant_id, "numbers.access_token", row["id"], row["sealed_access_token"])
        except SealError:
            raise GraphFailed("number.secret_unreadable") from None
        return _Caller(row["provider_url"].rstrip("/"), row["waba_id"], token)

    async def _may_call(self, account_id: str) -> bool:
        limit = Limit(f"graph:{account_id}", "management", _RATE, "provider.80007", shared=False)
        [verdict] = await self.limiter.reserve([Ask(0, (limit,))])
        return isinstance(verdict, Granted)


def _may_hold_files(caller: _Caller, url: str) -> bool:
    try:
        place = HttpUrl(url)
    except ValueError:
        return False
    if place.username is not None or place.password is not None:
        return False
    if caller.base_url == _META and _origin(place) == _origin(HttpUrl(_META_FILES)):
        return True
    return _origin(place) == _origin(HttpUrl(caller.base_url))  # another provider's place has no business with this token


def _origin(url: HttpUrl) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise GraphFailed("provider.answer_too_large")
    return bytes(body)
