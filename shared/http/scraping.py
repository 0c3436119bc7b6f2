"""`/metrics`: for Prometheus, on the port of the service itself."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web
from pydantic import SecretStr

from shared.errors import Rejected
from shared.http.internal import shows
from shared.http.routes import Access, Authenticator, Route
from shared.telemetry.metrics import CONTENT_TYPE, Metrics

PATH: Final = "/metrics"


def metrics_route(metrics: Metrics) -> Route:
    """Neither logged nor counted, and not in the API's document: it is the operator's."""

    async def show(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=await metrics.text(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    return Route(
        "GET",
        PATH,
        show,
        "What Prometheus scrapes",
        "Operation",
        access=Access.METRICS,
        produces="text/plain",
        quiet=True,
        documented=False,
    )


def scraper(*tokens: SecretStr) -> Authenticator:
    """Takes any of these bearer tokens: two while one is rotated; anybody where all are empty."""
    is_shown = shows(*tokens)
    asks = any(token.get_secret_value() for token in tokens)

    async def authenticate(request: web.Request) -> None:
        if asks and not is_shown(request):
            raise Rejected("auth.invalid", "The metrics are for whoever shows their token.", status=401)

    return authenticate
