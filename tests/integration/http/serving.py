"""A server on a free port with one route for each thing a test wants to see, and raw HTTP to talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel, Field

from shared.config import TelemetrySettings
from shared.errors import Rejected
from shared.http.requests import read_idempotency_key, read_model, read_query
from shared.http.responses import json_response
from shared.http.routes import TENANT_ID, Access, Route
from shared.http.server import HttpServer
from shared.telemetry.tracing import Tracing

LIMIT = 64 * 1024
KEY = "chq_test_key_s3cr3t"


class Note(BaseModel):
    text: str = Field(min_length=1, max_length=50_000)
    number: int = 0


class Page(BaseModel):
    limit: int = Field(20, ge=1, le=100)
    cursor: str | None = None
    tag: list[str] = []


@dataclass
class Gate:
    """Holds a request in its handler until a test lets it go."""

    entered: asyncio.Event
    released: asyncio.Event


@dataclass
class Serving:
    server: HttpServer
    stop: asyncio.Event
    gate: Gate
    spans: InMemorySpanExporter
    run: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    async def raw(self, *parts: bytes, eof: bool = False) -> bytes:
        """Send bytes on a new connection; what comes back until the peer closes or falls silent after an answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            if eof:
                writer.write_eof()
            return await read_answer(reader)
        finally:
            writer.close()


async def read_answer(reader: asyncio.StreamReader) -> bytes:
    """One whole answer: head and a body of Content-Length bytes."""
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        return head + await reader.readexactly(length)


def problem_of(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and document of a raw answer, which must be a problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower(), head
    assert b"server: chasqui\r\n" in head.lower() + b"\r\n"
    assert b"x-request-id: " in head.lower()
    document = json.loads(body)
    status = int(head.split()[1])
    assert document["status"] == status
    return status, document


def routes(gate: Gate) -> list[Route]:
    async def create(request: web.Request) -> web.StreamResponse:
        read_idempotency_key(request)
        note = await read_model(request, Note)
        return json_response(note, status=201)

    async def find(request: web.Request) -> web.StreamResponse:
        return json_response(read_query(request, Page))

    async def show(request: web.Request) -> web.StreamResponse:
        return json_response({"id": request.match_info["note_id"]})

    async def large(_request: web.Request) -> web.StreamResponse:
        return json_response({"text": "x" * 5_000})

    async def huge(_request: web.Request) -> web.StreamResponse:
        return json_response({"text": "x" * 500_000})

    async def crash(_request: web.Request) -> web.StreamResponse:
        raise ValueError("s3cr3t row")

    async def away(_request: web.Request) -> web.StreamResponse:
        raise ConnectionRefusedError("s3cr3t host")

    async def wait(_request: web.Request) -> web.StreamResponse:
        gate.entered.set()
        await gate.released.wait()
        return json_response({"waited": True})

    async def broken_stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise ValueError("s3cr3t row")

    public = [
        ("/large", large),
        ("/huge", huge),
        ("/crash", crash),
        ("/away", away),
        ("/wait", wait),
        ("/stream", broken_stream),
        ("/notes/{note_id}", show),
    ]
    return [
        Route(
            "POST",
            "/api/notes",
            create,
            summary="Keep a note",
            tag="Notes",
            request=Note,
            responses={201: Note},
            body_limit_bytes=LIMIT,
            idempotent=True,
        ),
        Route("GET", "/api/notes", find, summary="Find notes", tag="Notes", query=Page, responses={200: Page}),
        *(
            Route("GET", path, handler, summary=path, tag="Public", access=Access.PUBLIC, documented=False)
            for path, handler in public
        ),
    ]


async def authenticate(request: web.Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        raise Rejected("key.wrong", "This key is not known.", status=401)
    request[TENANT_ID] = "tnt_1"


@asynccontextmanager
async def serving(
    *,
    more: Sequence[Route] = (),
    readiness: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
    port: int = 0,
    sample_ratio: float = 1.0,
    notice_seconds: float = 0,
) -> AsyncIterator[Serving]:
    """A running server; leaving the block drains it."""
    gate = Gate(asyncio.Event(), asyncio.Event())
    spans = InMemorySpanExporter()
    server = HttpServer(
        "gateway",
        [*routes(gate), *more],
        host="127.0.0.1",
        port=port,
        authenticate={Access.TENANT: authenticate},
        tracing=Tracing("gateway", TelemetrySettings(sample_ratio=sample_ratio), spans),
        readiness=readiness or {},
        title="Notes",
        version="1",
        description="Notes.",
        serve_docs=True,
        notice_seconds=notice_seconds,
    )
    stop = asyncio.Event()
    await server.start()
    async with asyncio.TaskGroup() as group:
        run = group.create_task(server.run(stop))
        try:
            yield Serving(server, stop, gate, spans, run)
        finally:
            gate.released.set()
            stop.set()
