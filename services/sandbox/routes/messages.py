"""`POST /{version}/{phone_number_id}/messages`: the hot path."""

from __future__ import annotations

import asyncio
import contextlib
import email.parser
import email.policy
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import web

from services.sandbox.accept import Verdict, accept
from services.sandbox.answers import broken_500, graph_error, raw_json, reset
from services.sandbox.domain.conduct import LATE_SECONDS, Fate
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.payload import ReadReceipt, parse
from services.sandbox.world import World
from shared.telemetry.tracing import Tracing, is_sampled

_SUCCESS: Final = b'{"success":true}'


class Messages:
    """Sends and read receipts. `draining` ends what hangs on purpose."""

    def __init__(self, world: World, tracing: Tracing, draining: asyncio.Event) -> None:
        self._world = world
        self._tracing = tracing
        self._draining = draining

    async def post(self, request: web.BaseRequest, phone_number_id: str) -> web.StreamResponse:
        self._world.ledger.received += 1
        traceparent = request.headers.get("traceparent")
        if not is_sampled(traceparent):
            return await self._post(request, phone_number_id)
        with self._tracing.span("POST /{phone_number_id}/messages", kind="server", traceparent=traceparent) as span:
            try:
                return await self._post(request, phone_number_id)
            except GraphError as error:  # an answer like others, not the span's failure by exception
                span.fail(str(error.code))
                return graph_error(error)

    async def _post(self, request: web.BaseRequest, phone_number_id: str) -> web.StreamResponse:
        world = self._world
        try:
            header = request.headers.get("Authorization")
            number = world.numbers.find(phone_number_id)
            if number is None or header not in number.authorizations:
                query_token = request.query.get("access_token")
                number = world.numbers.authorize(phone_number_id, header, query_token, "post")
            message = parse(_decode(await request.read(), request))
            if isinstance(message, ReadReceipt):
                world.ledger.read_receipts += 1
                return raw_json(_SUCCESS)
            verdict = accept(world, number, message)
        except GraphError as error:
            world.ledger.refused[error.code] += 1
            raise
        return await self._meet(request, verdict)

    async def _meet(self, request: web.BaseRequest, verdict: Verdict) -> web.StreamResponse:
        """Let the client meet the verdict."""
        ledger = self._world.ledger
        fate = verdict.fate
        if verdict.latency_seconds:
            await asyncio.sleep(verdict.latency_seconds)
        if fate is not Fate.ANSWERED:
            ledger.fates[fate.value] += 1
            if fate is Fate.BROKEN_500:
                return broken_500()
            if fate is Fate.RESET:
                return reset(request)
            if fate is Fate.HANGS:
                await self._hang()
                return reset(request)
            await asyncio.sleep(LATE_SECONDS)
        ledger.answer(verdict.record)
        return raw_json(verdict.body)

    async def _hang(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), self._world.behaviour.hang_seconds)


def _decode(raw: bytes, request: web.BaseRequest) -> object:
    """The body as JSON would give it: JSON itself, a form, or multipart; members of the latter two may be JSON text."""
    if raw[:1] != b"{":
        if request.content_type == "application/x-www-form-urlencoded":
            return _form(raw)
        if request.content_type == "multipart/form-data":
            return _multipart(raw, request.headers["Content-Type"])
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise GraphError(100, "The body is not valid JSON in UTF-8.") from None


def _form(raw: bytes) -> dict[str, Any]:
    try:
        return dict(parse_qsl(raw.decode("utf-8"), errors="strict", max_num_fields=100))
    except ValueError:
        raise GraphError(100, "The body is not a valid form in UTF-8.") from None


def _multipart(raw: bytes, content_type: str) -> dict[str, Any]:
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    parsed = parser.parsebytes(b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + raw)
    fields: dict[str, Any] = {}
    for part in parsed.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            try:
                fields[name] = content.decode("utf-8")
            except UnicodeDecodeError:
                raise GraphError(100, f"The part '{name[:64]}' is not UTF-8.") from None
    return fields
