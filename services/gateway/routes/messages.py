"""Messages: send one or many, look, cancel."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson
from aiohttp import web

from services.gateway import cancel
from services.gateway.accept import Acceptance, rejected, store_in
from services.gateway.domain import admission
from services.gateway.domain.message import Message
from services.gateway.domain.status import Status
from services.gateway.domain.timeline import Entry, could_leave, entries_of, readable, waiting
from services.gateway.lookups import Known, Lookups
from services.gateway.payloads.messages import (
    BATCH_LIMIT,
    Accepted,
    BatchAccepted,
    MessageBatch,
    MessageError,
    MessagePage,
    MessageQuery,
    MessageView,
    SendMessage,
    TimelineEntry,
    WaitingFor,
)
from services.gateway.routes.headers import check_headers
from services.gateway.store import messages as store
from services.gateway.store import numbers
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.http.bodies import Priority
from shared.http.codes import Code
from shared.http.problem import Problem
from shared.http.requests import read_body, read_idempotency_key, read_query, validate
from shared.http.responses import json_bytes, json_response
from shared.http.routes import JSON, MIB, NDJSON, TENANT_ID, Route
from shared.idempotency import once
from shared.ids import TenantId, is_id
from shared.telemetry.tracing import current_traceparent, is_sampled, trace_id_of, trace_of

TAG: Final = "Messages"
BODY_LIMIT: Final = 256 * 1024
"""As many contact cards as the provider takes, 257, need more than half of it."""
BATCH_BODY_LIMIT: Final = 20 * MIB
_ID: Final = "{message_id:msg_[0-9a-v]{26}}"


class MessageRoutes:
    """The handlers, with what they need."""

    def __init__(  # what they need
        self, acceptance: Acceptance, lookups: Lookups, outbox: Outbox, pool: Pool, clock: Clock, trace_url: str
    ) -> None:
        """`trace_url` is a template with `{trace_id}`, or empty."""
        self._acceptance = acceptance
        self._lookups = lookups
        self._outbox = outbox
        self._pool = pool
        self._clock = clock
        self._trace_url = trace_url

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/messages",
                self.send,
                "Send a message, now or later",
                TAG,
                request=SendMessage,
                responses={202: Accepted, 409: Problem},
                body_limit_bytes=BODY_LIMIT,
                idempotent=True,
                description="Answered when the message is durable. Follow it with GET /api/messages/{message_id}. "
                "`X-Chasqui-Schedule` and `X-Chasqui-Priority` are refused here (400): they are fields of the body.",
                request_examples={
                    "now": {"to": "+15551234567", "type": "text", "text": {"body": "Hello from Chasqui"}},
                    "later": {
                        "to": "+15551234567",
                        "type": "text",
                        "text": {"body": "Good morning"},
                        "scheduled_time": "2027-01-01T09:00:00+01:00",
                    },
                    "of a template": {
                        "to": {"contact_id": "ctc_06h0000000000000000000000g"},
                        "template_id": "tpl_06h0000000000000000000000g",
                        "variables": {"order": "1234"},
                    },
                },
            ),
            Route(
                "POST",
                "/api/messages/batch",
                self.send_batch,
                "Send many messages",
                TAG,
                request=MessageBatch,
                responses={202: BatchAccepted, 409: Problem},
                body_limit_bytes=BATCH_BODY_LIMIT,
                accepts=(JSON, NDJSON),
                idempotent=True,
                description=f"A JSON array of messages, or one message a line (`{NDJSON}`); {BATCH_LIMIT} at most, "
                f"each of {BODY_LIMIT} bytes at most. A message with a fault costs itself only; the others are taken together.",
                request_examples={
                    "two": [
                        {"to": "+15551234567", "text": {"body": "Hello from Chasqui"}},
                        {"to": "+15557654321", "text": {"body": "Good morning"}},
                    ]
                },
            ),
            Route(
                "GET",
                "/api/messages",
                self.list,
                "List messages, newest first",
                TAG,
                query=MessageQuery,
                responses={200: MessagePage},
            ),
            Route(
                "GET",
                f"/api/messages/{_ID}",
                self.get,
                "One message with its timeline",
                TAG,
                responses={200: MessageView, 404: Problem},
            ),
            Route(
                "POST",
                f"/api/messages/{_ID}/cancel",
                self.cancel,
                "Cancel a message that has not left",
                TAG,
                responses={202: Accepted, 404: Problem, 409: Problem},
                idempotent=True,
                description="Asks for it: the status becomes `canceled` in a moment, unless the message was quicker.",
            ),
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        check_headers(request, self._acceptance)
        data = await read_body(request)
        try:
            body = validate(SendMessage, data)
        except Rejected as error:
            self._acceptance.count_rejected(error.errors or [FieldError("", error.code, error.detail)])
            raise
        tenant_id = _tenant(request)
        known = await self._lookups.known(tenant_id, [body])

        def admitted() -> Message:
            message = self._acceptance.admit(tenant_id, body, known, current_traceparent())
            if isinstance(message, list):
                raise rejected(message)
            return message

        if read_idempotency_key(request) is None:
            message = admitted()
            await self._acceptance.accept(message)
            return json_response(Accepted(id=message.id, status=message.status), 202)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            message = admitted()
            await store_in(unit, [message])
            return 202, json_bytes(Accepted(id=message.id, status=message.status))

        return await once(self._outbox, request, data, effect)

    async def send_batch(self, request: web.Request) -> web.StreamResponse:
        check_headers(request, self._acceptance)
        data = await read_body(request)
        bodies = _bodies(request, data)
        tenant_id = _tenant(request)
        known = await self._lookups.known(tenant_id, [body for body in bodies if isinstance(body, SendMessage)])

        async def effect(unit: Unit) -> tuple[int, bytes]:
            admitted = self._admit_all(tenant_id, bodies, known)
            messages = [one for one in admitted if isinstance(one, Message)]
            if not messages:
                raise rejected([fault for one in admitted if isinstance(one, list) for fault in one])
            await store_in(unit, messages)
            return 202, json_bytes(_batch_answer(admitted, accepted=len(messages)))

        return await once(self._outbox, request, data, effect)

    def _admit_all(
        self, tenant_id: TenantId, bodies: Sequence[SendMessage | list[FieldError]], known: Known
    ) -> Sequence[Message | list[FieldError]]:
        traceparent = current_traceparent()
        admitted: list[Message | list[FieldError]] = []
        for index, body in enumerate(bodies):
            if isinstance(body, list):
                self._acceptance.count_rejected(body)
                admitted.append(body)
                continue
            one = self._acceptance.admit(tenant_id, body, known, traceparent)
            if isinstance(one, list):
                one = [FieldError(f"/{index}{fault.pointer}", fault.code, fault.detail) for fault in one]
            admitted.append(one)
        return admitted

    async def list(self, request: web.Request) -> web.StreamResponse:
        query = read_query(request, MessageQuery)
        before = _decode_cursor(query.cursor)
        wanted = store.Wanted(query.status, _recipient(query.to), query.from_, query.reference, query.run_id)
        page, more = await store.page(self._pool, _tenant(request), before=before, limit=query.limit, wanted=wanted)
        data = await self._with_pauses(_tenant(request), [_view(row) for row in page])
        return json_response(MessagePage(data=[*data], next_cursor=more and _encode_cursor(more)))

    async def get(self, request: web.Request) -> web.StreamResponse:
        message_id = request.match_info["message_id"]
        tenant_id = _tenant(request)
        row = await store.find(self._pool, tenant_id, message_id)
        if row is None:
            raise _unknown()
        view = _view(row, beside=await store.timeline_beside(self._pool, message_id))
        if self._trace_url:
            view = view.model_copy(update={"trace_url": self._shown_at(row)})
        (shown,) = await self._with_pauses(tenant_id, [view])
        return json_response(shown)

    def _shown_at(self, row: asyncpg.Record) -> str | None:
        """Of a message that nobody traces only a failure was recorded, in a trace of its own."""
        if is_sampled(row["traceparent"]):
            return self._trace_url.replace("{trace_id}", trace_id_of(row["traceparent"]) or "")
        return None if row["error_code"] is None else self._trace_url.replace("{trace_id}", trace_of(row["id"]))

    async def _with_pauses(self, tenant_id: TenantId, views: Sequence[MessageView]) -> Sequence[MessageView]:
        """The same; of those that wait for nothing of their own it says where their number is paused."""
        now = self._clock.now()
        held = {view.id for view in views if _is_held(view, now)}
        if not held:
            return [*views]
        paused = await numbers.paused(self._pool, tenant_id, {view.from_ for view in views if view.id in held})

        def shown(view: MessageView) -> MessageView:
            code = paused.get(view.from_) if view.id in held else None
            return view if code is None else view.model_copy(update={"waiting_for": WaitingFor(code=code)})

        return [shown(view) for view in views]

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request, ())
        message_id = request.match_info["message_id"]
        tenant_id = _tenant(request)

        async def effect(unit: Unit) -> tuple[int, bytes]:
            status = await cancel.request(unit, tenant_id, message_id)
            if status is None:
                raise _unknown()
            return 202, json_bytes(Accepted(id=message_id, status=status))

        return await once(self._outbox, request, data, effect)


def _tenant(request: web.Request) -> TenantId:
    return TenantId(request[TENANT_ID])


def _recipient(given: str | None) -> str | None:
    """The address of a query: of a phone number, where a plus sign that nobody has encoded is a blank. Raises `Rejected` 422."""
    if given is None:
        return None
    address = given if admission.is_address(given) else admission.normalized_phone(f"+{given.strip().removeprefix('+')}")
    if address is None:
        fault = FieldError("/to", "phone.invalid", "must be a phone number with country code, 7 to 15 digits, or a user id")
        raise Rejected("request.invalid", f"{fault.pointer} {fault.detail}.", errors=[fault])
    return address


def _unknown() -> Rejected:
    return Rejected("message.unknown", "There is no such message.", 404)


def _bodies(request: web.Request, data: bytes) -> Sequence[SendMessage | list[FieldError]]:
    """The messages of a batch, each with its faults where it has any. A batch without fault is checked in one pass.

    Raises `Rejected`: 400 for a broken array, 413 for too many, 422 for none.
    """
    lines: list[bytes] | None = None
    if request.content_type == NDJSON:
        lines = [line for line in data.split(b"\n") if line.strip()]
        data = b"[" + b",".join(lines) + b"]"
    try:
        bodies = validate(MessageBatch, data).root
    except Rejected:
        items = _array_items(data) if lines is None else lines
        if items is None:
            raise
    else:
        if len(data) <= BODY_LIMIT or (lines is None and all(body.is_small for body in bodies)):
            return bodies
        items = (_array_items(data) if lines is None else lines) or []
        if all(len(item) <= BODY_LIMIT for item in items):
            return bodies
    if not items:
        raise Rejected("batch.empty", "A batch holds at least one message.", 422)
    if len(items) > BATCH_LIMIT:
        raise Rejected("batch.too_large", f"A batch holds {BATCH_LIMIT} messages at most.", 413)
    return [_body_or_faults(item, f"/{index}") for index, item in enumerate(items)]


def _array_items(data: bytes) -> list[bytes] | None:
    """The items of a JSON array, each in its shortest form; None where it is no array."""
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return [orjson.dumps(value) for value in values] if isinstance(values, list) else None


def _body_or_faults(item: bytes, pointer: str) -> SendMessage | list[FieldError]:
    if len(item) > BODY_LIMIT:
        return [FieldError(pointer, Code.BODY_TOO_LARGE, f"is over the limit of {BODY_LIMIT} bytes for one message")]
    try:
        return validate(SendMessage, item, pointer)
    except Rejected as error:
        return list(error.errors) or [FieldError(pointer, error.code, error.detail)]


def _batch_answer(admitted: Sequence[Message | Sequence[FieldError]], *, accepted: int) -> dict[str, Any]:
    """A `BatchAccepted`, written out: thousands of models would cost more than what they check."""
    results = [
        {"index": index, "id": one.id, "status": one.status}
        if isinstance(one, Message)
        else {"index": index, "errors": [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in one]}
        for index, one in enumerate(admitted)
    ]
    return {"accepted": accepted, "rejected": len(admitted) - accepted, "results": results}


def _view(row: asyncpg.Record, beside: Sequence[asyncpg.Record] | None = None) -> MessageView:
    """The message; with its timeline where what stands `beside` its row was looked up."""
    content = orjson.loads(row["content"])
    code, status = row["error_code"], Status(row["status"])
    entries = _entries(row["timeline"], beside or ())
    put_back = waiting(status, entries)
    return MessageView(
        id=row["id"],
        status=status,
        to=row["recipient"],
        from_=row["number_id"],
        type=content["type"],
        content=content,
        priority=Priority.of(row["tier"]),
        contact_id=row["contact_id"],
        run_id=row["run_id"],
        scheduled_time=row["scheduled_at"],
        expires_at=row["expires_at"],
        on_unknown=row["on_unknown"],
        reference=row["reference"],
        metadata=None if row["metadata"] is None else orjson.loads(row["metadata"]),
        provider_id=row["wamid"],
        error=None if code is None else MessageError(code=code, detail=row["error_detail"]),
        waiting_for=None if put_back is None else WaitingFor(code=put_back[0], until=put_back[1]),
        trace_id=trace_id_of(row["traceparent"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        timeline=None if beside is None else [TimelineEntry(status=e.status, at=e.at, code=e.code) for e in entries],
    )


def _is_held(view: MessageView, now: datetime) -> bool:
    """True where nothing that was told of the message says why it has not left."""
    return view.waiting_for is None and could_leave(view.status, view.scheduled_time, now)


def _entries(timeline: str, beside: Sequence[asyncpg.Record]) -> list[Entry]:
    """The timeline in the order things happened, with what a former version wrote beside it."""
    entries = entries_of(timeline)
    known = {(entry.status, entry.at) for entry in entries}
    former = (Entry(Status(row["status"]), row["at"], row["code"]) for row in beside)
    return readable([*entries, *(entry for entry in former if (entry.status, entry.at) not in known)])


def _encode_cursor(message_id: str) -> str:
    return base64.urlsafe_b64encode(message_id.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        message_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        message_id = ""
    if not is_id(message_id, "msg"):
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400)
    return message_id
