"""The API reference: the OpenAPI document as JSON, and as one page of HTML that needs nothing else, no script least of all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Final

import orjson
from aiohttp import web

from shared.http.docs_page import CSS, ORIGIN, render
from shared.http.openapi import document
from shared.http.requests import SANE_HOST
from shared.http.routes import JSON, Access, Handler, Route

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(CSS.encode()).digest()).decode()
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def docs_routes(routes: Sequence[Route], *, title: str, version: str, description: str, prefix: str) -> list[Route]:
    """`{prefix}/openapi.json` and `{prefix}/docs` of the given routes."""
    api = document(routes, title=title, version=version, description=description, prefix=prefix)
    api_bytes = orjson.dumps(api)
    page = render(api, f"{prefix}/openapi.json")

    async def openapi(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=api_bytes, content_type=JSON, headers={"Cache-Control": "no-cache"})

    async def docs(request: web.Request) -> web.StreamResponse:
        host = request.host if SANE_HOST.fullmatch(request.host) else "localhost"
        body = page.replace(ORIGIN, f"{request.scheme}://{host}").encode()
        return web.Response(body=body, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS)

    return [
        _public(f"{prefix}/openapi.json", openapi, "The OpenAPI document", JSON),
        _public(f"{prefix}/docs", docs, "The API reference", "text/html"),
    ]


def _public(path: str, handler: Handler, summary: str, produces: str) -> Route:
    return Route("GET", path, handler, summary, "Operation", access=Access.PUBLIC, produces=produces, documented=False)
