"""The pages `/traces` and `/traces/{trace_id}`: one document for both, the same for everybody. Its script asks for the operator's
key and fetches what it shows; whoever has no key sees nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aiohttp import web

from services.gateway.routes.traces import TAG
from shared.http.routes import Access, Route

HTML: Final = "text/html"
_FOLDER: Final = Path(__file__).parents[1] / "traces" / "pages"
_SCRIPTS: Final = ("elements.js", "list.js", "timeline.js", "details.js", "waterfall.js", "page.js")
"""In the order of use: together they are one script."""


def _read(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


CSS: Final = _read("traces.css")
SCRIPT: Final = "\n".join(["'use strict';", *map(_read, _SCRIPTS)])
PAGE: Final = _read("traces.html").replace("/* traces.css */", CSS).replace("/* traces.js */", SCRIPT).encode()
HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(CSS)}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page_routes() -> Sequence[Route]:
    """The list, and one trace."""
    return [
        Route("GET", path, _page, summary, TAG, access=Access.PUBLIC, produces=HTML, documented=False)
        for path, summary in (("/traces", "Traces, as a page"), ("/traces/{trace_id:[0-9a-f]{32}}", "A trace, as a page"))
    ]


async def _page(_request: web.Request) -> web.StreamResponse:
    return web.Response(body=PAGE, content_type=HTML, charset="utf-8", headers=HEADERS)
