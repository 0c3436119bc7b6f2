"""Kept spans: written down, found again, forgotten in time; seen by operators alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from services.gateway.operators import admit_key
from services.gateway.store import traces as store
from services.gateway.store.traces import END, Wanted
from services.gateway.traces.buffer import SpanBuffer
from services.gateway.traces.keep import KEPT, SpanKeeper, kept_spans
from services.gateway.traces.span import Span
from shared.auth.keys import new_admin_key
from shared.db.pool import Pool
from shared.telemetry.metrics import Metrics
from tests.integration.gateway.serving import Answer, Gateway, serving
from tests.support.database import Database
from tests.unit.gateway.test_spans import MESSAGE, SCRIPT, TENANT, span

RECEIVER: Final = "/internal/otlp/v1/traces"
PROTOBUF: Final = {"Content-Type": "application/x-protobuf", "Authorization": "Bearer internal"}
NOW: Final = datetime.now(UTC).replace(microsecond=0)


def kept(trace: int = 1, number: int = 1, parent: int | None = None, **more: Any) -> Span:
    """A row. `at` is in seconds since `NOW`, `ms` how long it took."""
    return Span(
        trace_id=trace.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        parent_id=None if parent is None else parent.to_bytes(8, "big"),
        service=more.get("service", "gateway"),
        name=more.get("name", "POST /api/messages"),
        kind="server",
        started_at=NOW + timedelta(seconds=more.get("at", 0)),
        duration_us=round(more.get("ms", 1) * 1_000),
        failed=more.get("failed", False),
        message_id=more.get("message_id"),
        attributes=orjson.dumps(more.get("attributes", {})).decode(),
        events="[]",
        links="[]",
        linked=more.get("linked"),
        tenant_id=more.get("tenant_id"),
    )


async def found(pool: Pool, **wanted: Any) -> list[int]:
    """The traces' numbers."""
    rows = await store.search(pool, Wanted(**wanted), before=END, limit=100)
    return [int.from_bytes(row["trace_id"], "big") for row in rows]


async def sums(pool: Pool, trace: int = 1) -> Any:
    return await store.find(pool, trace.to_bytes(16, "big"))


class Operator:
    """A gateway that keeps spans, and an operator's key."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.gateway = gateway
        self._key = key

    @classmethod
    async def of(cls, gateway: Gateway) -> Operator:
        key = new_admin_key()
        async with gateway.pool.acquire() as connection:
            await admit_key(connection, "Ada", key)
        return cls(gateway, key)

    async def get(self, path: str = "", status: int = 200) -> Any:
        answer = await self.gateway.call("GET", f"/admin/traces{path}", Authorization=f"Bearer {self._key}")
        assert answer.status == status, answer.text
        return answer.body

    async def send(self, *spans: ReadableSpan) -> Answer:
        return await self.gateway.call("POST", RECEIVER, encode_spans(spans).SerializeToString(), **PROTOBUF)

    async def sent(self, *spans: ReadableSpan) -> None:
        assert (await self.send(*spans)).status == 200

        async with asyncio.timeout(60):
            while await self.gateway.pool.fetchval("SELECT count(*) FROM spans") < len(spans):
                await asyncio.sleep(0.02)


@pytest.fixture
async def operator(database: Database) -> AsyncIterator[Operator]:
    async with serving(database, keep_spans=10_000) as gateway:
        yield await Operator.of(gateway)


async def test_spans_that_come_one_by_one_make_the_same_trace_as_all_at_once(pool: Pool) -> None:
    spans = [
        kept(1, 3, 2, name="webhook status", at=2, ms=5, service="archive"),
        kept(1, 2, 1, name="process scheduler.hold", at=0.5, ms=900, service="scheduler", failed=True, tenant_id=TENANT),
        kept(1, 1, None, at=0.1, ms=3),
        kept(1, 4, 9, name="earliest of all, and no root", at=0),
    ]
    for one in spans:
        await store.insert(pool, [one])
    await store.insert(pool, [one._replace(trace_id=bytes(15) + b"\x02") for one in spans])
    one, other = await sums(pool, 1), await sums(pool, 2)
    assert {**one, "trace_id": None} == {**other, "trace_id": None}
    assert (one["name"], one["service"], one["has_root"], one["tenant_id"]) == ("POST /api/messages", "gateway", True, TENANT)
    assert (one["spans"], one["failed"], one["longest_us"]) == (4, 1, 900_000)
    assert one["services"] == ["archive", "gateway", "scheduler"]
    assert (one["started_at"], one["ended_at"]) == (NOW, NOW + timedelta(seconds=2.005))


async def test_without_a_root_a_trace_has_the_name_of_its_earliest_span(pool: Pool) -> None:
    await store.insert(pool, [kept(1, 2, 1, name="second", at=1)])
    await store.insert(pool, [kept(1, 3, 1, name="first", at=0)])
    await store.insert(pool, [kept(1, 4, 1, name="third", at=2)])
    row = await sums(pool)
    assert (row["name"], row["has_root"]) == ("first", False)


async def test_traces_are_found_by_what_their_spans_are(pool: Pool) -> None:
    other = "tnt_06h07mi4phr1191uaqtb5co9gg"
    await store.insert(
        pool,
        [
            kept(1, 1, tenant_id=TENANT, message_id=MESSAGE, at=1),
            kept(1, 2, 1, service="sender", name="attempt", ms=300, failed=True, at=2),
            kept(2, 1, tenant_id=other, at=3),
            kept(2, 2, 1, service="sender", name="Attempt", ms=20),
            kept(2, 3, 1, service="archive", ms=400, failed=True),
            kept(3, 1, name="process batch sender.deliver", service="sender", at=5),
            kept(4, 1, name="process batch archive.record", service="archive", failed=True, at=6),
        ],
    )
    assert await found(pool) == [4, 3, 1, 2], "by their earliest span"
    assert await found(pool, tenant_id=TENANT) == [1]
    assert await found(pool, message_id=MESSAGE) == [1]
    assert await found(pool, service="sender") == [3, 1, 2]
    assert await found(pool, has_failed=True) == [4, 1, 2]
    assert await found(pool, has_failed=False) == [3]
    assert await found(pool, longer_than_us=350_000) == [2]
    assert await found(pool, name="ATTEMPT") == [1, 2]
    assert await found(pool, name="%") == []
    assert await found(pool, service="sender", has_failed=True) == [1], "the span of the sender is the one that failed"
    assert await found(pool, service="sender", longer_than_us=350_000) == []
    assert await found(pool, service="archive", has_failed=True, longer_than_us=400_000) == [2]
    assert await found(pool, with_batches=False) == [4, 1, 2], "a batch that failed is shown all the same"
    assert await found(pool, since=NOW + timedelta(seconds=1), until=NOW + timedelta(seconds=5)) == [3, 1]


async def test_a_message_of_a_large_trace_is_shown_with_what_is_above_and_below(pool: Pool) -> None:
    other = MESSAGE.replace("msg_0", "msg_1")
    await store.insert(
        pool,
        [
            kept(1, 1, at=0),
            kept(1, 2, 1, message_id=MESSAGE, at=1),
            kept(1, 3, 2, name="sandbox", at=2),
            kept(1, 4, 1, message_id=other, at=3),
            kept(1, 5, 4, name="sandbox", at=4),
            kept(1, 6, 2, message_id=other, at=5),
        ],
    )
    rows = await store.spans_of(pool, bytes(15) + b"\x01", MESSAGE, limit=100)
    assert [row["span_id"][-1] for row in rows] == [1, 2, 3]


async def test_the_oldest_go_first_and_a_trace_with_its_last_span(pool: Pool) -> None:
    for n in range(1, 31):
        await store.insert(pool, [kept(n, 1, at=n), kept(n, 2, 1, at=n)])
    await store.insert(pool, [kept(3, 3, 1, at=40)])
    while await store.prune(pool, keep=21, age=KEPT, limit=5):
        await store.prune_traces(pool, limit=1_000)
    assert await pool.fetchval("SELECT count(*) FROM spans") == 21
    assert await found(pool) == [*range(30, 20, -1), 3]
    assert await store.prune(pool, keep=21, age=KEPT, limit=5) == 0


async def test_what_is_too_old_goes_however_little_there_is(pool: Pool) -> None:
    await store.insert(pool, [kept(1, 1, at=-KEPT.total_seconds() - 60)])
    await store.insert(pool, [kept(2, 1, at=0)])
    keeper = SpanKeeper(SpanBuffer(), pool, keep=1_000, metrics=Metrics("gateway"))
    await keeper.work()
    assert await found(pool) == [2]
    await pool.execute("DELETE FROM spans")
    await store.prune_traces(pool, limit=10)
    assert await found(pool) == []


async def test_the_writer_keeps_the_bound_while_spans_come(pool: Pool) -> None:
    buffer = SpanBuffer()
    keeper = SpanKeeper(buffer, pool, keep=100, metrics=Metrics("gateway"))
    for n in range(1, 7):
        buffer.export([span(trace=n, number=m) for m in range(1, 61)])
        await keeper.work()
        assert await pool.fetchval("SELECT count(*) FROM spans") <= 100
    assert await found(pool) != []
    assert await pool.fetchval("SELECT max(last_span) - min(id) FROM traces, spans") <= 100


async def test_the_end_of_the_process_writes_what_waits(pool: Pool) -> None:
    async with AsyncExitStack() as stack:
        buffer, (job,) = kept_spans(stack, pool, 100, None, Metrics("gateway"))
        assert job.name == "gateway.keep_spans"
        assert buffer is not None
        buffer.export([span()])
    assert await found(pool) == [0xABC]


async def test_a_batch_that_the_database_refuses_is_lost_alone(pool: Pool) -> None:
    class Odd(SpanBuffer):
        def take(self, limit: int) -> list[Span]:
            return [one._replace(kind="no such kind") for one in super().take(limit)]

    odd = Odd()
    odd.export([span()])
    metrics = Metrics("gateway")
    await SpanKeeper(odd, pool, keep=10, metrics=metrics).work()
    assert await found(pool) == []
    assert len(odd) == 0
    assert b'chasqui_spans_total{outcome="dropped"} 1.0' in await metrics.text()


async def test_what_is_kept_and_what_there_was_no_room_for_is_counted(pool: Pool) -> None:
    buffer, metrics = SpanBuffer(room=10), Metrics("gateway")
    keeper = SpanKeeper(buffer, pool, keep=100, metrics=metrics)
    buffer.export([span(number=n + 1) for n in range(25)])
    await keeper.work()
    page = await metrics.text()
    assert b'chasqui_spans_total{outcome="kept"} 10.0' in page
    assert b'chasqui_spans_total{outcome="dropped"} 15.0' in page


async def test_a_trace_that_gets_a_span_while_it_is_forgotten_stays(pool: Pool) -> None:
    await store.insert(pool, [kept(1, 1), kept(2, 1)])
    await pool.execute("DELETE FROM spans")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE traces SET last_span = 9000 WHERE trace_id = $1", bytes(15) + b"\x01")
        await store.prune_traces(pool, limit=10)
    assert await found(pool) == [1]


async def test_hot_queries_have_an_index_to_go_by(pool: Pool) -> None:
    await store.insert(pool, [kept(n, m, message_id=MESSAGE if n == 7 else None) for n in range(1, 400) for m in range(1, 6)])
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        for query, arguments, index in (
            (store.SELECT_SPANS, (bytes(16), 10), "spans_trace"),
            (store.SELECT_LINKING, (bytes(16), 10), "spans_linked"),
            (store.PRUNE_SPANS, (10, timedelta(days=1), 10), "spans_pkey"),
            (store.PRUNE_TRACES, (10,), "traces_last_span"),
        ):
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}", *arguments))
            assert index in plan, plan
            assert "Seq Scan on spans" not in plan, plan


async def test_the_services_spans_are_received_and_shown_to_operators(operator: Operator) -> None:
    await operator.sent(
        span(number=1, name="POST /api/messages", attributes={"tenant_id": TENANT}),
        span(number=2, parent=1, attributes={"message_id": MESSAGE}, failed=True),
        span(trace=0xDEF, name=SCRIPT),
    )
    (summary,) = (await operator.get(f"?message_id={MESSAGE}"))["data"]
    assert (summary["name"], summary["spans"], summary["failed"]) == ("POST /api/messages", 2, 1)
    detail = await operator.get(f"/{0xABC:032x}")
    assert detail["trace"] == summary
    first, second = detail["spans"]
    assert "parent_id" not in first
    assert second["parent_id"] == first["span_id"] == f"{1:016x}"
    assert (second["duration_ms"], second["attributes"]) == (2.5, {"message_id": MESSAGE})
    assert not detail["is_cut"]
    (strange,) = (await operator.get(f"/{0xDEF:032x}"))["spans"]
    assert strange["name"] == SCRIPT, "as it is: who shows it must not take it for markup"


async def test_pages_follow_one_another_by_their_cursor(operator: Operator) -> None:
    await store.insert(operator.gateway.pool, [kept(n, 1, at=n // 2) for n in range(1, 8)])
    numbers: list[int] = []
    path = "?limit=3"
    while True:
        page = await operator.get(path)
        numbers += [int(row["trace_id"], 16) for row in page["data"]]
        if "next_cursor" not in page:
            break
        path = f"?limit=3&cursor={page['next_cursor']}"
    assert numbers == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsInp6Il0"])
async def test_a_cursor_of_somebody_elses_making_is_refused(query: str, operator: Operator) -> None:
    assert (await operator.get(f"?{query}", 400))["code"] == "cursor.invalid"


@pytest.mark.parametrize(
    "query",
    ["status=broken", "min_duration_ms=-1", "min_duration_ms=nan", "message_id=", "colour=red", "since=-1", "until=1700000000"],
)
async def test_a_search_that_makes_no_sense_is_refused(query: str, operator: Operator) -> None:
    assert (await operator.get(f"?{query}", 422))["code"] == "request.invalid"


async def test_a_trace_that_nobody_recorded_is_said_to_be_unknown(operator: Operator) -> None:
    assert (await operator.get(f"/{5:032x}", 404))["code"] == "trace.unknown"


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"{}"])
async def test_what_is_no_otlp_is_refused(body: bytes, operator: Operator) -> None:
    answer = await operator.gateway.call("POST", RECEIVER, body, **PROTOBUF)
    assert (answer.status, answer.body["code"]) == (400, "body.not_otlp")


async def test_nobody_else_gets_in(operator: Operator) -> None:
    tenant = await operator.gateway.new_tenant()
    ask = operator.gateway.call
    assert (await ask("GET", "/admin/traces")).status == 401
    assert (await ask("GET", "/admin/traces", tenant=tenant)).status == 403
    assert (await ask("GET", f"/admin/traces/{1:032x}", tenant=tenant)).status == 403
    assert (await ask("POST", RECEIVER, b"", tenant=tenant)).status == 401


async def test_a_gateway_that_keeps_none_says_so(gateway: Gateway) -> None:
    operator = await Operator.of(gateway)
    assert (await operator.get("", 404))["code"] == "traces.not_kept"
    assert (await operator.get(f"/{1:032x}", 404))["code"] == "traces.not_kept"
    assert (await operator.send(span())).status == 404
