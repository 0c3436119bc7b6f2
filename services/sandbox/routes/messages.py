"""`POST /{version}/{phone_number_id}/messages`: the hot path, a straight function."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
from dataclasses import replace
from typing import Any, Final

import orjson

from services.sandbox.accept import accept
from services.sandbox.answers import Answer, Manner, Prompt, Reply, graph_error, graph_text
from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.payload import ReadReceipt, parse
from services.sandbox.numbers import Number
from services.sandbox.request import Request
from services.sandbox.world import World
from shared.telemetry.tracing import Tracing, is_sampled

_SUCCESS: Final = graph_text('{"success":true}')


class Messages:
    """Sends and read receipts."""

    def __init__(self, world: World, tracing: Tracing) -> None:
        self._world = world
        self._tracing = tracing

    def post(self, request: Request, phone_number_id: str) -> Answer:
        traceparent = request.headers.get(b"traceparent")
        if traceparent is not None and is_sampled(told := traceparent.decode("latin-1")):
            return self._traced(request, phone_number_id, told)
        try:
            return self._post(request, phone_number_id)
        except GraphError as error:
            return graph_error(error)

    async def _traced(self, request: Request, phone_number_id: str, traceparent: str) -> Prompt:
        """A span that lasts until the answer is due."""
        with self._tracing.span("POST /{phone_number_id}/messages", kind="server", traceparent=traceparent) as span:
            try:
                answer = self._post(request, phone_number_id)
            except GraphError as error:  # an answer like others, not the span's failure by exception
                span.fail(str(error.code))
                return graph_error(error)
            if isinstance(answer, Reply) and answer.manner is Manner.ANSWER:
                await asyncio.sleep(answer.after_seconds)
                return replace(answer, after_seconds=0.0)
            return answer

    def _post(self, request: Request, phone_number_id: str) -> Prompt:
        world = self._world
        world.ledger.received += 1
        number = world.numbers.find(phone_number_id)
        try:
            if number is None or request.headers.get(b"Authorization") not in number.authorizations:
                number = self._authorize(request, phone_number_id)
            message = parse(_decode(request))
            if isinstance(message, ReadReceipt):
                world.ledger.read_receipts += 1
                return _SUCCESS
            return accept(world, number, message)
        except GraphError as error:
            known = None if number is None else phone_number_id
            world.ledger.refuse(known, error.code, world.clock.now().timestamp())
            raise

    def _authorize(self, request: Request, phone_number_id: str) -> Number:
        """The number, by whatever way of authorisation."""
        header = request.header(b"Authorization")
        return self._world.numbers.authorize(phone_number_id, header, request.query.get("access_token"), "post")


def _decode(request: Request) -> object:
    """The body as JSON would give it: JSON itself, a form, or multipart; members of the latter two may be JSON text."""
    raw = request.body
    if raw[:1] != b"{":
        match request.content_type:
            case "application/x-www-form-urlencoded":
                return _form(request)
            case "multipart/form-data":
                return _multipart(raw, request.header(b"Content-Type") or "")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise GraphError(100, "The body is not valid JSON in UTF-8.") from None


def _form(request: Request) -> dict[str, str]:
    try:
        return request.form()
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
