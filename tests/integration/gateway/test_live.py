"""`GET /api/events`: what is told comes to who reads, once, in order, and after a moment's absence too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import islice

import pytest
from redis.asyncio import Redis

from services.gateway.live import hub as hub_module
from services.gateway.live import streams as streams_module
from services.gateway.live.streams import Entry, Streams
from services.gateway.routes import events as routes_module
from services.gateway.track import track
from services.gateway.updates import FRESH_SECONDS, Updates, Watch
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.events.catalogue import MessageSent, UpdateTold
from shared.ids import MessageId, NumberId, TenantId, new_id
from tests.integration.gateway.following import NUMBER, Teller, following, is_open, names
from tests.integration.gateway.serving import NO_REDIS, Gateway, Tenant, serving
from tests.support.database import Database
from tests.support.platform import until
from tests.support.told import silent_outbox


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def live(database: Database, redis_url: str) -> AsyncIterator[Gateway]:
    async with serving(database, redis_url) as gateway:
        yield gateway


@pytest.fixture
async def tenant(live: Gateway) -> Tenant:
    return await live.new_tenant()


@pytest.fixture
def teller(redis: Redis, tenant: Tenant) -> Teller:
    return Teller(redis, tenant)


async def test_updates_come_as_they_are_told(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("a", "b")
        seen = await events.some(2)
        assert names(seen) == ["a", "b"]
        assert [one.event for one in seen] == ["message.read", "message.read"]
        assert seen[0].data["id"].startswith("upd_")
        assert seen[0].data["number_id"] == NUMBER
        assert seen[0].data["at"].endswith("Z")


async def test_nobody_is_told_what_is_anothers(live: Gateway, tenant: Tenant, teller: Teller, redis: Redis) -> None:
    other = await live.new_tenant("Other")
    async with following(live, tenant) as events, following(live, other) as others:
        await events.ready()
        await others.ready()
        await teller.tell("ours")
        await Teller(redis, other).tell("theirs")
        assert names(await events.some(1)) == ["ours"]
        assert names(await others.some(1)) == ["theirs"]


async def test_all_readers_of_a_tenant_are_told(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant) as first, following(live, tenant) as second:
        await first.ready()
        await second.ready()
        await teller.tell("a")
        assert names(await first.some(1)) == names(await second.some(1)) == ["a"]


async def test_who_comes_back_is_told_what_was_missed(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("a")
        await events.some(1)
    await teller.tell("b", "c")
    async with following(live, tenant, last_id=events.last_id) as again:
        await again.ready()
        await teller.tell("d")
        assert names(await again.some(3)) == ["b", "c", "d"]


async def test_who_comes_back_from_before_the_first_update_misses_none(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant) as events:
        ready = await events.ready()
    await teller.tell("a")
    async with following(live, tenant, f"?after={ready.id}") as again:
        await again.ready()
        assert names(await again.some(1)) == ["a"]


async def test_more_than_a_page_of_what_was_missed_comes_whole(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams_module, "PAGE", 3)
    monkeypatch.setattr(hub_module, "PAGE", 3)
    async with following(live, tenant) as events:
        ready = await events.ready()
    missed = [str(number) for number in range(7)]
    await teller.tell(*missed)
    async with following(live, tenant, last_id=ready.id) as again:
        await again.ready()
        assert names(await again.some(7)) == missed


@pytest.mark.parametrize(
    "last_id", ["0-0", "1-1", "99999999999999999999-1", "what", "1763632800000-0", "9" * 3_000, "-", "+", "1-1."]
)
async def test_who_was_away_for_too_long_is_told_so(last_id: str, live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant, last_id=last_id) as events:
        reset, ready = await events.some(2)
        assert (reset.event, ready.event) == ("reset", "ready")
        await teller.tell("a")
        assert names(await events.some(1)) == ["a"]


async def test_a_place_that_is_not_kept_any_more_is_no_place(
    live: Gateway, tenant: Tenant, teller: Teller, redis: Redis
) -> None:
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("a", "b", "c")
        first, *_ = await events.some(3)
    await redis.xtrim(teller.key, maxlen=1, approximate=False)
    async with following(live, tenant, last_id=first.id) as again:
        assert [one.event for one in await again.some(2)] == ["reset", "ready"]


async def test_a_place_of_another_run_of_redis_is_no_place(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    """It may be known again, from a copy, without what came after it."""
    async with following(live, tenant) as events:
        ready = await events.ready()
    position, _, run = ready.id.partition(".")
    other = f"{position}.{run[::-1] if run != run[::-1] else '0' * 8}"
    async with following(live, tenant, last_id=other) as again:
        assert [one.event for one in await again.some(2)] == ["reset", "ready"]


async def test_who_reads_too_slowly_from_behind_is_not_led_over_a_gap(
    live: Gateway, tenant: Tenant, teller: Teller, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has to be told goes while it is told what came before."""
    monkeypatch.setattr(streams_module, "PAGE", 2)
    monkeypatch.setattr(hub_module, "PAGE", 2)
    async with following(live, tenant) as events:
        ready = await events.ready()
    await teller.tell("a", "b", "c", "d", "e")
    page = streams_module.Streams.after

    async def after(streams: Streams, tenant_id: TenantId, position: str) -> list[Entry] | None:
        found = await page(streams, tenant_id, position)
        await redis.xtrim(teller.key, maxlen=2, approximate=False)
        return found

    monkeypatch.setattr(streams_module.Streams, "after", after)
    async with following(live, tenant, last_id=ready.id) as again:
        await again.ready()
        assert names(await again.some(2)) == ["a", "b"]
        assert await again.next() is None
    async with following(live, tenant, last_id=again.last_id) as anew:
        assert [one.event for one in await anew.some(2)] == ["reset", "ready"]


async def test_who_reads_along_is_not_led_over_a_gap(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So much came at once that the first of it was gone before it was read."""
    monkeypatch.setattr(hub_module, "PAGE", 2)
    async with following(live, tenant) as events:
        await events.ready()
        async with teller.redis.pipeline() as pipeline:  # at once
            for number in range(5):
                pipeline.xadd(teller.key, {"type": "message.read", "body": b'{"data":{"name":"%d"}}' % number})
            pipeline.xtrim(teller.key, maxlen=3, approximate=False)
            await pipeline.execute()
        assert await events.next() is None


async def test_types_and_numbers_are_chosen_and_the_place_goes_on(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    other = NumberId(new_id("num"))
    query = f"?types=message.read&types=message.failed&number_id={NUMBER}"
    async with following(live, tenant, query) as events:
        ready = await events.ready()
        await teller.tell("a")
        await teller.tell("another number's", number_id=other)
        await teller.tell("nobody's", number_id=None)
        await teller.tell("another type", kind="message.received")
        await teller.tell("b", kind="message.failed")
        assert names(await events.some(2)) == ["a", "b"]
        await teller.tell("another type", kind="message.received")
        last = await teller.last_position()
        await teller.tell("c")
        assert names(await events.some(1)) == ["c"]
        assert ready.id < last < events.last_id


async def test_what_has_no_shape_of_ours_is_not_told(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("never", data={}, graph={"entry_id": "1", "field": "x", "value": {}})
        await teller.tell("a")
        assert names(await events.some(1)) == ["a"]


async def test_for_who_never_read_nothing_is_kept(teller: Teller, redis: Redis) -> None:
    await teller.tell("a")
    assert not await redis.exists(teller.key)


async def test_what_is_kept_is_bounded_and_ends(live: Gateway, tenant: Tenant, teller: Teller, redis: Redis) -> None:
    async with following(live, tenant) as events:
        await events.ready()
    assert 0 < await redis.ttl(teller.key) <= streams_module.KEPT_SECONDS
    await teller.tell(*(str(number) for number in range(streams_module.KEPT_ENTRIES + 500)))
    assert await redis.xlen(teller.key) < streams_module.KEPT_ENTRIES + 200


async def test_who_reads_is_told_of_from_the_moment_of_ready(live: Gateway, tenant: Tenant, pool: Pool) -> None:
    await live.connect(tenant, "1001")
    message_id = MessageId(await live.send(tenant))
    updates = Updates(Watch(SystemClock()))
    now = datetime.now(UTC)
    sent = MessageSent(
        tenant_id=TenantId(tenant.tenant_id), message_id=message_id, attempt=1, wamid="wamid.1", started_at=now, occurred_at=now
    )
    async with silent_outbox(pool, "gateway").transaction() as unit:  # it remembers that nobody watches
        assert not await updates.watching(unit, [sent.tenant_id])
    async with following(live, tenant) as events:
        await events.ready()
        await track(silent_outbox(pool, "gateway"), [sent], updates)
    assert [event.type for event in await live.told() if isinstance(event, UpdateTold)] == ["message.sent"]


async def test_without_redis_it_is_refused_for_the_moment(database: Database) -> None:
    async with serving(database, NO_REDIS) as gateway:
        answer = await gateway.call("GET", "/api/events", tenant=await gateway.new_tenant())
        assert answer.status == 503
        assert answer.body["code"] == "events.unavailable"
        assert int(answer.headers["Retry-After"]) >= 1


async def test_a_redis_that_is_short_of_breath_is_waited_for(
    live: Gateway, tenant: Tenant, teller: Teller, redis: Redis
) -> None:
    await redis.execute_command("CLIENT", "PAUSE", 700, "ALL")
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("a")
        assert names(await events.some(1)) == ["a"]


async def test_when_redis_goes_the_streams_end_and_can_be_taken_up(
    live: Gateway, tenant: Tenant, teller: Teller, redis: Redis
) -> None:
    async with following(live, tenant) as events:
        ready = await events.ready()
        await redis.client_kill_filter(_type="normal", skipme=True)
        assert await events.next() is None
    await teller.tell("a")
    await until(lambda: is_open(live, tenant), "Redis to be back")
    async with following(live, tenant, last_id=ready.id) as again:
        await again.ready()
        assert names(await again.some(1)) == ["a"]


async def test_at_the_end_of_the_process_streams_end_whole(database: Database, redis_url: str) -> None:
    async with serving(database, redis_url) as gateway, following(gateway, await gateway.new_tenant()) as events:
        await events.ready()
        gateway.stop.set()
        assert await events.next() is None


async def test_a_question_that_hears_of_no_end_ends_all_the_same(
    database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py loses some cancellations that come while it connects."""
    asked = asyncio.Event()

    async def xread(*_: object, **__: object) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    monkeypatch.setattr(Redis, "xread", xread)
    async with asyncio.timeout(90), serving(database, redis_url) as gateway:
        tenant = await gateway.new_tenant()
        async with following(gateway, tenant) as events:
            await events.ready()
            await asked.wait()
        gateway.stop.set()


async def test_who_takes_nothing_is_cut_off(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "_WRITE_SECONDS", 0.2)
    monkeypatch.setattr(hub_module, "MOST_OF_TENANT", 1)
    numbers = iter(range(1_500))  # all of it is less than Valkey's memory, and more than any buffer
    async with following(live, tenant) as events:
        await events.ready()
        assert events.answer.connection is not None
        transport = events.answer.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

        async def has_room() -> bool:
            more = [str(number) for number in islice(numbers, 20)]
            await teller.tell(*more, data={"name": "x" * 100_000})
            return await is_open(live, tenant)

        await until(has_room, "the reader to be cut off")


async def test_one_tenant_has_so_many_readers(live: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_OF_TENANT", 1)
    async with following(live, tenant) as events:
        await events.ready()
        refused = await live.call("GET", "/api/events", tenant=tenant)
        assert (refused.status, refused.body["code"]) == (429, "events.too_many_readers")
        other = await live.new_tenant("Other")
        async with following(live, other) as others:
            await others.ready()


async def test_many_who_come_at_once_are_counted_too(live: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_OF_TENANT", 2)
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with asyncio.TaskGroup() as group:
        tried = [group.create_task(live.session.get(f"{live.url}/api/events", headers=headers)) for _ in range(8)]
    answers = [task.result() for task in tried]
    assert sorted(answer.status for answer in answers) == [200] * 2 + [429] * 6
    for answer in answers:
        answer.close()


async def test_who_comes_second_waits_as_long_as_the_first(
    live: Gateway, tenant: Tenant, teller: Teller, redis_url: str, database: Database
) -> None:
    """Other processes do not know yet that the tenant watches, whichever process the second comes to."""
    async with serving(database, redis_url) as other, asyncio.TaskGroup() as group:
        first = group.create_task(is_open(live, tenant))
        await until(lambda: teller.redis.exists(teller.key), "the first one's stream")
        opened_at = int((await teller.last_position()).partition("-")[0]) / 1000
        async with following(other, tenant) as second:
            await second.ready()
            assert datetime.now(UTC).timestamp() - opened_at >= FRESH_SECONDS
        assert await first


async def test_a_connection_does_not_last_for_ever(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "LONGEST_SECONDS", 0.0)
    async with following(live, tenant) as events:
        await events.ready()
        await teller.tell("a")
        assert names(await events.some(1)) == ["a"]
        assert await events.next() is None


async def test_while_nothing_happens_it_stays_open(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_module, "HEARTBEAT_SECONDS", 0.05)
    async with following(live, tenant) as events:
        await events.ready()
        assert await events.answer.content.readline() == b":\n"
        await teller.tell("a")
        assert names(await events.some(1)) == ["a"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?types=what", "/types/0"),
        ("?number_id=1", "/number_id/0"),
        ("?surprise=1", "/surprise"),
        ("?after=" + "1" * 65, "/after"),
        ("?types=%00", "/types"),
    ],
)
async def test_what_is_asked_for_wrongly_is_refused(query: str, pointer: str, live: Gateway, tenant: Tenant) -> None:
    answer = await live.call("GET", f"/api/events{query}", tenant=tenant)
    assert answer.status == 422
    assert answer.body["errors"][0]["pointer"] == pointer


async def test_without_a_key_nobody_reads(live: Gateway) -> None:
    assert (await live.call("GET", "/api/events")).status == 401


async def test_head_answers_without_a_stream(live: Gateway, tenant: Tenant) -> None:
    assert (await live.call("HEAD", "/api/events", tenant=tenant)).status == 200


async def test_a_stream_that_is_gone_is_known_to_be(teller: Teller, live: Gateway, tenant: Tenant, redis: Redis) -> None:
    async with following(live, tenant) as events:
        await events.ready()
        assert await teller.streams.keep([teller.tenant_id]) == set()
        await redis.delete(teller.key)
        assert await teller.streams.keep([teller.tenant_id]) == {teller.tenant_id}
