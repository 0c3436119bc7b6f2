"""What is passed on to the scheduler and the archive, and what comes back."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import web

from services.gateway import tenants
from shared.auth.keys import new_key, parse_key
from shared.ids import TenantId
from tests.integration.gateway.serving import NO_REDIS, Gateway, Tenant, serving
from tests.support.database import Database

SCHEDULE, CAMPAIGN = "sch_" + "0" * 26, "cmp_" + "0" * 26  # the same in every process that collects the tests
BODY = {"text": {"body": "hello"}, "to": "+15551234567", "scheduled_time": "2030-01-01T00:00:00Z"}
CSV_ROWS = 60_000


class Inner:
    """Stands for an inner service: keeps what it is asked, says what it is told to say."""

    def __init__(self) -> None:
        self.asked: list[tuple[web.BaseRequest, bytes]] = []
        self.status = 200
        self.headers = {"Content-Type": "application/json"}
        self.body: bytes = b"{}"
        self.is_streamed = False
        self.is_cut = False
        self.closings = 0
        """So many of the next requests meet a connection that is closed."""
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append((request, await request.read()))
        if self.closings:
            self.closings -= 1
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if not self.is_streamed:
            return web.Response(status=self.status, headers=self.headers, body=self.body)
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(request)
        for number in range(CSV_ROWS):
            await response.write(b"row %d\r\n" % number)
            if self.is_cut and number == CSV_ROWS // 2:
                assert request.transport is not None
                request.transport.abort()
                return response
        await response.write_eof()
        return response

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Inner]:
        runner = web.ServerRunner(web.Server(self.handle))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield self
        await runner.cleanup()

    def last(self) -> tuple[web.BaseRequest, bytes]:
        return self.asked[-1]


@pytest.fixture
async def inner() -> AsyncIterator[Inner]:
    async with Inner().running() as inner:
        yield inner


@pytest.fixture
async def gateway(database: Database, inner: Inner) -> AsyncIterator[Gateway]:
    async with serving(database, scheduler_url=inner.url, archive_url=inner.url) as gateway:
        yield gateway


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def test_a_request_is_passed_on_whole_and_in_the_tenants_name(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    inner.status, inner.body = 201, b'{"id":"sch_1"}'
    inner.headers |= {"Idempotent-Replayed": "true", "X-Inner": "secret", "Server": "inner"}
    headers = {"Idempotency-Key": "a", "X-Request-Id": "mine", "X-Chasqui-Tenant": "tnt_x", "X-Chasqui-Client": "x"}
    answer = await gateway.call("POST", "/api/schedules", BODY, tenant, **headers)
    assert (answer.status, answer.body) == (201, {"id": "sch_1"})
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert "X-Inner" not in answer.headers
    assert answer.headers["Server"] == "chasqui"
    request, body = inner.last()
    assert (request.method, request.path, orjson.loads(body)) == ("POST", "/api/schedules", BODY)
    key = parse_key(tenant.key)
    assert key is not None
    expected = {
        "Authorization": "Bearer internal",
        "X-Chasqui-Tenant": tenant.tenant_id,
        "X-Chasqui-Client": key.key_id,
        "X-Request-Id": "mine",
        "Idempotency-Key": "a",
        "Content-Type": "application/json",
    }
    assert {name: request.headers.getall(name) for name in expected} == {name: [value] for name, value in expected.items()}
    assert request.headers["traceparent"].startswith("00-")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/schedules?state=active&limit=5", None),
        ("GET", "/api/schedules/paginated?page=2&per_page=10", None),
        ("POST", "/api/schedules/cancel", {"state": "active"}),
        ("POST", "/api/schedules/preview", {"cron": "0 9 * * *"}),
        ("GET", f"/api/schedules/{SCHEDULE}", None),
        ("PATCH", f"/api/schedules/{SCHEDULE}", {"name": "x"}),
        ("GET", f"/api/schedules/{SCHEDULE}/next?limit=3", None),
        *(("POST", f"/api/schedules/{SCHEDULE}/{action}", None) for action in ("pause", "resume", "trigger", "cancel")),
        ("POST", "/api/campaigns", {"name": "x"}),
        ("GET", "/api/campaigns?limit=5", None),
        ("GET", f"/api/campaigns/{CAMPAIGN}", None),
        ("PATCH", f"/api/campaigns/{CAMPAIGN}", {"name": "x"}),
        ("DELETE", f"/api/campaigns/{CAMPAIGN}", None),
        ("GET", f"/api/campaigns/{CAMPAIGN}/preflight", None),
        ("GET", f"/api/campaigns/{CAMPAIGN}/stats", None),
        ("GET", f"/api/campaigns/{CAMPAIGN}/recipients", None),
        ("GET", f"/api/campaigns/{CAMPAIGN}/recipients.csv", None),
        *(("POST", f"/api/campaigns/{CAMPAIGN}/{act}", None) for act in ("preflight", "start", "pause", "resume", "cancel")),
        ("GET", "/api/conversations?limit=5", None),
        ("GET", "/api/search?q=a%20b", None),
    ],
)
async def test_every_door_is_open_for_its_tenant_only(
    method: str, path: str, body: Any, gateway: Gateway, inner: Inner, tenant: Tenant
) -> None:
    assert (await gateway.call(method, path, body)).status == 401
    assert inner.asked == []
    assert (await gateway.call(method, path, body, tenant)).status == 200
    request, passed = inner.last()
    assert (request.method, request.path_qs) == (method, path)
    assert passed == (b"" if body is None else orjson.dumps(body))


async def test_answers_of_all_kinds_come_through(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    path = f"/api/campaigns/{CAMPAIGN}"
    inner.status, inner.body, inner.headers = 204, b"", {}
    assert (await gateway.call("DELETE", path, tenant=tenant)).status == 204
    inner.status, inner.body = 409, b'{"code":"campaign.not_draft"}'
    inner.headers = {"Content-Type": "application/problem+json", "Retry-After": "3"}
    answer = await gateway.call("DELETE", path, tenant=tenant)
    assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (409, "campaign.not_draft", "3")
    async with gateway.session.head(f"{gateway.url}{path}", headers={"Authorization": f"Bearer {tenant.key}"}) as head:
        assert head.status == 409
        assert await head.read() == b""
    assert inner.last()[0].method == "GET"


async def test_a_long_answer_comes_as_it_is_written(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    inner.is_streamed = True
    inner.headers = {"Content-Type": "text/csv; charset=utf-8", "Content-Disposition": 'attachment; filename="r.csv"'}
    answer = await gateway.call("GET", f"/api/campaigns/{CAMPAIGN}/recipients.csv", tenant=tenant)
    assert answer.text.splitlines() == [f"row {number}" for number in range(CSV_ROWS)]
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="r.csv"'


async def test_an_answer_that_breaks_off_is_cut_and_not_ended(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    inner.is_streamed = inner.is_cut = True
    with pytest.raises(Exception, match=r"payload|Disconnected|reset"):
        await gateway.call("GET", f"/api/campaigns/{CAMPAIGN}/recipients.csv", tenant=tenant)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"<a/>", {"Content-Type": "text/xml"}, 415),
        (b"{}", {"Content-Encoding": "gzip"}, 415),
        (b"{}", {"Idempotency-Key": "a b"}, 400),
    ],
)
async def test_what_no_service_would_read_is_refused_at_the_door(
    body: bytes, headers: dict[str, str], status: int, gateway: Gateway, inner: Inner, tenant: Tenant
) -> None:
    assert (await gateway.call("POST", "/api/schedules", body, tenant, **headers)).status == status
    assert inner.asked == []


async def test_a_body_that_is_too_large_is_refused_at_the_door(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    headers = {"Authorization": f"Bearer {tenant.key}", "Content-Type": "application/json"}
    async with gateway.session.post(
        f"{gateway.url}/api/schedules", data=io.BytesIO(b" " * (1024 * 1024 + 1)), headers=headers
    ) as answer:
        assert answer.status == 413
    assert inner.asked == []


async def test_a_service_that_is_away_is_said_to_be(database: Database) -> None:
    async with serving(database) as gateway:
        tenant = await gateway.new_tenant()
        for path, code in (("/api/schedules", "scheduler.unavailable"), ("/api/conversations", "archive.unavailable")):
            answer = await gateway.call("GET", path, tenant=tenant)
            assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, code, "1")
            assert answer.body["retryable"] is True


async def test_what_reads_is_asked_again_when_a_kept_connection_was_closed(
    gateway: Gateway, inner: Inner, tenant: Tenant
) -> None:
    inner.closings = 3
    answer = await gateway.call("GET", "/api/schedules", tenant=tenant)
    assert answer.status == 200
    inner.closings = 1
    answer = await gateway.call("POST", "/api/schedules", BODY, tenant)
    assert (answer.status, answer.body["code"]) == (503, "scheduler.unavailable"), "it may have been done"
    assert inner.closings == 0


async def test_that_our_token_is_refused_is_not_the_tenants_fault(gateway: Gateway, inner: Inner, tenant: Tenant) -> None:
    inner.status = 401
    answer = await gateway.call("GET", "/api/schedules", tenant=tenant)
    assert (answer.status, answer.body["code"]) == (503, "scheduler.unavailable")


@pytest.mark.parametrize("has_redis", [True, False])
async def test_a_client_creates_so_many_schedules_a_minute(
    has_redis: bool, database: Database, redis_url: str, inner: Inner
) -> None:
    url = redis_url if has_redis else NO_REDIS
    async with serving(database, url, scheduler_url=inner.url, schedules_per_minute=3) as gateway:
        tenant = await gateway.new_tenant()
        answers = [await gateway.call("POST", "/api/schedules", BODY, tenant) for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert len(inner.asked) == 3
        refused = answers[3]
        assert (refused.body["code"], refused.body["retryable"]) == ("client.rate_limited", True)
        wait = int(refused.headers["Retry-After"])
        assert 1 <= wait <= 20
        assert refused.headers["RateLimit-Policy"] == '"schedules";q=3;w=60'
        assert refused.headers["RateLimit"] == f'"schedules";r=0;t={wait}'
        assert (await gateway.call("GET", "/api/schedules", tenant=tenant)).status == 200
        assert (await gateway.call("POST", "/api/schedules/preview", {}, tenant)).status == 200
        other = new_key(live=False)
        async with gateway.pool.acquire() as connection:
            await tenants.admit_key(connection, TenantId(tenant.tenant_id), other)
        assert (await gateway.call("POST", "/api/schedules", BODY, Tenant(tenant.tenant_id, other))).status == 200


async def test_all_replicas_count_together(database: Database, redis_url: str, inner: Inner) -> None:
    own = {"scheduler_url": inner.url, "schedules_per_minute": 2}
    async with serving(database, redis_url, **own) as one, serving(database, redis_url, **own) as other:
        tenant = await one.new_tenant()
        statuses = [(await gateway.call("POST", "/api/schedules", BODY, tenant)).status for gateway in (one, other, one, other)]
        assert statuses == [200, 200, 429, 429]
