"""Whose request it is at the front door: a Chasqui key, wherever clients of the provider's API put their token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiohttp import web

from services.gateway.tenants import Authenticator
from shared.auth.keys import parse_key
from shared.errors import Rejected
from shared.http.routes import CLIENT_ID, TENANT_ID

QUERY_TOKEN: Final = "access_token"  # noqa: S105  # a parameter's name
_SCHEMES: Final = frozenset({"bearer", "oauth"})


class GraphAuthenticator:
    """Takes the first of these that is a key: `Authorization: Bearer` or `OAuth`, `?access_token=`, and the client's secret of
    `?client_secret=`. Some clients send a token of their app's beside their own: what is no key of ours is passed over."""

    def __init__(self, keys: Authenticator) -> None:
        self._keys = keys

    async def __call__(self, request: web.Request) -> None:
        given = list(tokens(request))
        if not given:
            raise Rejected("auth.missing", "Send an API key as the access token.", 401)
        for text in given:
            key = parse_key(text)
            tenant_id = None if key is None else await self._keys.tenant_of(key)
            if key is not None and tenant_id is not None:
                request[TENANT_ID], request[CLIENT_ID] = tenant_id, key.key_id
                return
        raise Rejected("auth.invalid", "This API key is not valid.", 401)


def tokens(request: web.Request) -> Iterator[str]:
    """What the request shows as tokens, most telling first."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in _SCHEMES and text.strip():
        yield text.strip()
    if header := request.headers.get("X-API-Key"):
        yield header
    for name in (QUERY_TOKEN, "client_secret"):
        if value := request.query.get(name):
            yield value.rpartition("|")[2]  # an app's token is its id, a bar and its secret
