"""Whose request it is at the front door: a Chasqui key, wherever clients of the provider's API put their token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from services.gateway.tenants import Authenticator
from shared.auth.keys import parse_key
from shared.errors import Rejected
from shared.http.requests import read_body
from shared.http.routes import CLIENT_ID, TENANT_ID

QUERY_TOKEN: Final = "access_token"  # noqa: S105  # a parameter's name
FORM: Final = "application/x-www-form-urlencoded"
FORM_LIMIT: Final = 64 * 1024
"""Of a form that is read before it is known who sends it."""
FORM_BODY: Final = web.RequestKey("form_body", bytes)
"""There where the form has been read."""
_MAX_FIELDS: Final = 200
_SCHEMES: Final = frozenset({"bearer", "oauth"})


class GraphAuthenticator:
    """Takes the first of these that is a key: `Authorization: Bearer` or `OAuth`, `X-API-Key`, `?access_token=`, and the client's
    secret of `?client_secret=`; where there is none of them, the same two fields of a small form. Some clients send a token of
    their app's beside their own: what is no key of ours is passed over."""

    def __init__(self, keys: Authenticator) -> None:
        self._keys = keys

    async def __call__(self, request: web.Request) -> None:
        given = list(tokens(request)) or list(_named(await _form(request)))
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
    yield from _named(request.query)


def _named(fields: Mapping[str, str]) -> Iterator[str]:
    for name in (QUERY_TOKEN, "client_secret"):
        if value := fields.get(name):
            yield value.rpartition("|")[2]  # an app's token is its id, a bar and its secret


async def _form(request: web.Request) -> Mapping[str, str]:
    """The fields of a small form, whose bytes are kept for who serves the request; none where it is something else. Raises
    `Rejected` where it does not come whole."""
    if request.content_type != FORM or not 0 < (request.content_length or 0) <= FORM_LIMIT:
        return {}
    request[FORM_BODY] = body = await read_body(request, ())
    try:
        return dict(parse_qsl(body.decode(), max_num_fields=_MAX_FIELDS))
    except ValueError:
        return {}
