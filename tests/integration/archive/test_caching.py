"""What is kept of what was read: given again, never older than the last change, whoever made it and wherever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from local.ports import free_port
from services.archive import cache
from services.archive.cache import AT_ONCE, conversation_group, tenant_group
from shared.cache import Cache, alias_of
from shared.db.pool import Pool
from shared.events.values import DeliveryStatus
from tests.integration.archive.reading import Reader, reader
from tests.support.archive_events import TENANT, edited, message_id, received, released, reported, revoked, sent
from tests.support.proxy import Proxy


@asynccontextmanager
async def listening(archive: Reader) -> AsyncIterator[None]:
    """The process hears what others change."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(archive.listener.run(stop))
        await until(lambda: archive.reads.nearby.is_heard)
        yield
        stop.set()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.005)


@pytest.fixture
async def archive(pool: Pool, redis_url: str) -> AsyncIterator[Reader]:
    async with reader(pool, redis_url) as archive:
        yield archive


async def conversation(archive: Reader) -> str:
    await archive.tell(*[received(f"w{n}", f"word {n}", seconds=n) for n in range(8)])
    return f"/api/conversations/{(await archive.only_conversation())['id']}"


async def test_the_second_reader_asks_no_database(archive: Reader) -> None:
    path = await conversation(archive)
    asked = ("/api/conversations", path, f"{path}/entries", f"{path}/participants", f"{path}/calendar", f"{path}/media/months")
    first = [await archive.get(one) for one in asked]
    misses = archive.reads_of_database()
    assert [await archive.get(one) for one in asked] == first
    assert archive.reads_of_database() == misses
    counts = await archive.get("/api/archive/cache")
    assert counts["redis"]["hits"] >= len(asked)
    assert 0 < counts["hit_ratio"] < 1


async def test_a_process_that_listens_asks_nobody(archive: Reader) -> None:
    path = await conversation(archive)
    async with listening(archive):
        await archive.get(path)
        hits = archive.reads.nearby.hits
        assert await archive.get(path) == await archive.get(path)
        assert archive.reads.nearby.hits == hits + 2


async def test_many_who_ask_at_once_are_one_question(archive: Reader) -> None:
    path = await conversation(archive)
    async with listening(archive):
        await archive.get(path)
        misses, asked = archive.reads_of_database(), archive.reads.counts["reads"]
        async with asyncio.TaskGroup() as group:
            answers = [group.create_task(archive.get(f"{path}/entries")) for _ in range(60)]
        assert len({str(answer.result()) for answer in answers}) == 1
        counts: Any = archive.reads.counts
        assert counts["reads"] == asked + 60
        assert archive.reads_of_database() == misses + 1
        assert counts["process"]["hits"] + counts["shared"] + counts["redis"]["hits"] >= 59


async def test_who_waits_for_an_answer_outlives_the_one_who_asked(archive: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = 0
    began, gate = asyncio.Event(), asyncio.Event()

    async def load() -> bytes:
        nonlocal loads
        loads += 1
        began.set()
        await gate.wait()
        return b"{}"

    looks: list[str] = []
    get_or_set = Cache.get_or_set

    async def spy(cache: Cache, key: str, *rest: Any) -> bytes | None:
        looks.append(key)
        return await get_or_set(cache, key, *rest)

    monkeypatch.setattr(Cache, "get_or_set", spy)
    async with listening(archive), asyncio.TaskGroup() as group:
        first = group.create_task(archive.reads.get("g", "f", 60, load))
        await began.wait()
        others = [group.create_task(archive.reads.get("g", "f", 60, load)) for _ in range(50)]
        await asyncio.sleep(0)  # they wait now
        began.clear()
        first.cancel()
        await began.wait()
        gate.set()
    assert {answer.body for other in others if (answer := other.result())} == {b"{}"}
    assert (loads, len(looks)) == (2, 2), "one of them asks for all"


async def test_who_has_the_answer_is_not_sent_it_again(archive: Reader) -> None:
    path = await conversation(archive)
    for asked in (path, f"{path}/entries", "/api/conversations"):
        _, _, headers = await archive.ask(asked)
        etag = headers["ETag"]
        assert headers["Cache-Control"] == "private, no-cache"
        for known in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
            status, body, headers = await archive.ask(asked, headers={"If-None-Match": known})
            assert (status, body, headers["ETag"]) == (304, None, etag)
        assert (await archive.ask(asked, headers={"If-None-Match": 'W/"other"'}))[0] == 200
        await archive.tell(received(f"new {asked}", seconds=100))
        status, _, headers = await archive.ask(asked, headers={"If-None-Match": etag})
        assert status == 200
        assert headers["ETag"] != etag


async def test_every_change_is_seen_by_the_next_reader_of_every_process(archive: Reader, pool: Pool, redis_url: str) -> None:
    path = await conversation(archive)
    message = message_id()
    await archive.tell(released(message, seconds=20))
    async with reader(pool, redis_url) as other, listening(archive), listening(other):

        async def seen(is_so: Callable[[Any], bool], asked: str) -> None:
            assert is_so(await archive.get(asked))  # the process that wrote knows at once, the other one as soon as it hears
            async with asyncio.timeout(60):
                while not is_so(await other.get(asked)):
                    await asyncio.sleep(0.001)

        def newest(page: Any) -> Any:
            return page["data"][0]

        for process in (archive, other):
            for asked in ("/api/conversations", path, f"{path}/entries"):
                await process.get(asked)
        await archive.tell(received("new", "new", seconds=30))
        await seen(lambda page: newest(page)["last_entry"]["preview"] == "new", "/api/conversations")
        await seen(lambda row: row["entry_count"] == 10, path)
        await seen(lambda page: newest(page)["content"]["text"]["body"] == "new", f"{path}/entries")
        await archive.tell(edited("new", "edited", seconds=60))
        await seen(lambda page: newest(page)["content"]["text"]["body"] == "edited", f"{path}/entries")
        await archive.tell(revoked("new", seconds=90))
        await seen(lambda page: newest(page)["type"] == "revoked", f"{path}/entries")
        await archive.ask(path, method="PATCH", body={"title": "titled"})
        await seen(lambda row: row["title"] == "titled", path)
        await archive.tell(sent(message, "wamid.x"))
        async with asyncio.timeout(60):  # of messages this process hears as the others do
            while (await archive.get(f"{path}/entries"))["data"][1]["status"] != "sent":
                await asyncio.sleep(0.001)
        await seen(lambda page: page["data"][1]["status"] == "sent", f"{path}/entries")


async def test_what_was_committed_and_not_told_is_told_when_it_comes_again(
    archive: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder dies between its commit and telling readers: what comes again finds nothing but duplicates."""
    path = await conversation(archive)
    asked = (path, f"{path}/entries", "/api/conversations")
    for one in asked:
        await archive.get(one)
    events = [received("new", "new", seconds=30), released(message_id(), "sent", seconds=31)]

    async def die(*_: object) -> None:
        raise ConnectionResetError

    with monkeypatch.context() as dying:
        dying.setattr(archive.changes, "changed", die)
        with pytest.raises(ConnectionResetError):
            await archive.tell(*events)
    await archive.tell(*events)
    assert (await archive.get(path))["entry_count"] == 10
    assert len((await archive.get(f"{path}/entries"))["data"]) == 10
    assert (await archive.get("/api/conversations"))["data"][0]["entry_count"] == 10


async def test_no_reading_that_begins_after_a_change_shows_what_was_before_it(
    archive: Reader, pool: Pool, redis_url: str
) -> None:
    """Two processes without ears, readers and writers as chance wants them."""
    chance = random.Random(5)  # noqa: S311  # the same test every time
    path = await conversation(archive)
    message = message_id()
    await archive.tell(released(message, seconds=50))
    told = {"entries": 9, "height": 0}
    steps = (DeliveryStatus.SENT, DeliveryStatus.DELIVERED, DeliveryStatus.READ)
    heights = {"queued": 0, "sent": 1, "delivered": 2, "read": 3}
    async with reader(pool, redis_url) as other:

        async def write(count: int) -> None:
            for number in range(count):
                await archive.tell(received(f"more {number}", seconds=100 + number))
                told["entries"] += 1
                if number % 5 == 0 and told["height"] < 3:
                    await archive.tell(reported(message, "wamid.x", steps[told["height"]], seconds=number + 1))
                    told["height"] += 1

        async def look(times: int) -> None:
            for _ in range(times):
                process = chance.choice((archive, other))
                before = dict(told)
                row = await process.get(path)
                assert row["entry_count"] >= before["entries"]
                page = await process.get(f"{path}/entries", limit="100")
                assert len(page["data"]) >= before["entries"]
                (ours,) = [entry for entry in page["data"] if "message_id" in entry]
                assert heights[ours["status"]] >= before["height"]

        async with asyncio.TaskGroup() as group:
            group.create_task(write(30))
            for _ in range(4):
                group.create_task(look(25))
        hits: Any = archive.reads.counts["redis"]
        assert hits["hits"] > 0


async def test_without_redis_everything_is_read_and_nothing_an_error(pool: Pool) -> None:
    async with reader(pool, f"redis://127.0.0.1:{free_port()}/0") as archive:
        path = await conversation(archive)
        assert len((await archive.get(f"{path}/entries"))["data"]) == 8
        await archive.tell(received("new", seconds=30))
        assert len((await archive.get(f"{path}/entries"))["data"]) == 9
        await archive.warmer.warm()
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(archive.listener.run(stop))
            await archive.get(path)
            stop.set()
        counts = await archive.get("/api/archive/cache")
        assert counts["redis"]["away"] >= counts["reads"] > 0
        assert counts["hit_ratio"] == 0


async def test_a_process_that_does_not_hear_any_more_trusts_nothing(pool: Pool, redis_url: str) -> None:
    async with Proxy.to(redis_url) as proxy, reader(pool, redis_url) as writer, reader(pool, proxy.url) as deaf:
        path = await conversation(writer)
        async with listening(deaf):
            await deaf.get(path)
            assert len(deaf.reads.nearby) == 1
            proxy.silent = True
            await until(lambda: not deaf.reads.nearby.is_heard)
            await writer.tell(received("new", seconds=30))
            assert (await deaf.get(path))["entry_count"] == 9
            proxy.silent = False
            await until(lambda: deaf.reads.nearby.is_heard)
            assert (await deaf.get(path))["entry_count"] == 9


async def test_what_is_read_most_is_ready_again_after_a_change(archive: Reader, pool: Pool, redis_url: str) -> None:
    path = await conversation(archive)
    asked = f"{path}/entries?limit=3"
    await archive.get(asked)
    await archive.get(f"{path}/entries?order=oldest&at=2026-11-20T12:00:00Z")  # which is no beginning
    await archive.tell(received("new", seconds=30))
    await archive.warmer.warm()
    misses = archive.reads_of_database()
    await archive.get(path)
    pages, following = 0, asked
    while following:
        page = await archive.get(following)
        pages += 1
        following = f"{asked}&cursor={page['next_cursor']}" if "next_cursor" in page else ""
    assert pages == 3
    assert archive.reads_of_database() == misses
    async with reader(pool, redis_url) as fresh:  # a process that has just started knows what is popular
        await fresh.tell(received("newer", seconds=31))
        await fresh.warmer.warm()
        misses = fresh.reads_of_database()
        await fresh.get(asked)
        assert fresh.reads_of_database() == misses


async def test_what_is_made_ready_is_no_readers_question(archive: Reader) -> None:
    path = await conversation(archive)
    await archive.get(f"{path}/entries?limit=3")
    before: Any = archive.reads.counts
    await archive.tell(received("new", seconds=30))
    await archive.warmer.warm()
    after: Any = archive.reads.counts
    assert after["redis"]["misses"] > before["redis"]["misses"]
    assert (after["reads"], after["hits"]) == (before["reads"], before["hits"])


async def test_who_reads_a_page_has_its_conversation_kept_too(archive: Reader) -> None:
    path = await conversation(archive)
    await archive.get(f"{path}/entries")
    hits = archive.reads.counts["hits"]
    row = await archive.get(path)
    assert archive.reads.counts["hits"] == int(str(hits)) + 1
    assert row["entry_count"] == 8
    await archive.tell(received("new", seconds=30))
    await archive.get(f"{path}/entries")
    assert (await archive.get(path))["entry_count"] == 9


async def test_many_pages_at_once_do_not_wait_for_each_other_for_ever(archive: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each needs its conversation, which others ask for too, and there are places for `AT_ONCE` questions."""
    path = await conversation(archive)
    monkeypatch.setattr(cache, "WAIT_SECONDS", 120.0)  # what ends a deadlock is beyond the test
    async with listening(archive), asyncio.timeout(60), asyncio.TaskGroup() as group:
        for limit in range(1, 4 * AT_ONCE):
            group.create_task(archive.get(f"{path}/entries?limit={limit}"))
            group.create_task(archive.get(path))


async def test_word_of_a_message_is_left_for_as_long_as_anybody_shows_it(archive: Reader, redis_url: str) -> None:
    path = await conversation(archive)
    message = message_id()
    await archive.tell(released(message, seconds=20))
    await archive.get(f"{path}/entries")
    async with Redis.from_url(redis_url) as redis:
        kept = await redis.ttl(conversation_group(path.rpartition("/")[2]))
        word = await redis.ttl(alias_of("archive", "m", message))
    assert word >= kept + archive.reads.nearby.seconds


async def test_what_redis_was_away_for_is_told_without_anybody_reading(pool: Pool, redis_url: str) -> None:
    async with Proxy.to(redis_url) as proxy, reader(pool, proxy.url) as writer, reader(pool, redis_url) as other:
        path = await conversation(writer)
        assert (await other.get(path))["entry_count"] == 8
        proxy.silent = True
        await writer.tell(received("new", seconds=30))
        proxy.silent = False
        async with asyncio.timeout(60):
            while (await other.get(path))["entry_count"] != 9:
                await writer.changes.catch_up()
                await asyncio.sleep(0.02)


async def test_a_batch_of_changes_is_one_command(archive: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    execute = Redis.execute_command

    async def spy(redis: Redis, *command: Any, **options: Any) -> Any:
        sent.append(command[0])
        return await execute(redis, *command, **options)

    await archive.changes.changed(["cnv_0"])  # from now on Redis knows the script
    monkeypatch.setattr(Redis, "execute_command", spy)
    await archive.changes.changed([f"cnv_{n}" for n in range(1_000)], [TENANT], [f"msg_{n}" for n in range(1_000)])
    assert sent == ["EVALSHA"]


def test_groups_are_told_apart() -> None:
    assert conversation_group("x") != tenant_group("x")


async def test_entries_show_their_bookmark_and_labels_as_they_are_now(archive: Reader) -> None:
    path = await conversation(archive)
    first, second = [entry["id"] for entry in (await archive.get(f"{path}/entries"))["data"]][:2]
    bulk = {"entry_ids": [first, second]}
    bookmark, labels = f"/api/entries/{first}/bookmark", f"/api/entries/{first}/labels"
    note = {"note": "call back"}

    async def shown() -> Any:
        page = (await archive.get(f"{path}/entries"))["data"]
        assert await archive.get(f"/api/entries/{first}") == page[0]
        return [(entry.get("bookmark"), entry.get("labels")) for entry in page[:2]]

    assert await shown() == [(None, None), (None, None)]
    for method, asked, body, expected in (
        ("PUT", bookmark, note, [(note, None), (None, None)]),
        ("PUT", f"{labels}/b", None, [(note, ["b"]), (None, None)]),
        ("POST", "/api/labels/bulk", {"add": ["a"], **bulk}, [(note, ["a", "b"]), (None, ["a"])]),
        ("POST", "/api/labels/bulk", {"remove": ["b"], **bulk}, [(note, ["a"]), (None, ["a"])]),
        ("PATCH", "/api/labels/a", {"label": "c"}, [(note, ["c"]), (None, ["c"])]),
        ("DELETE", f"{labels}/c", None, [(note, None), (None, ["c"])]),
        ("DELETE", "/api/labels/c", None, [(note, None), (None, None)]),
        ("PUT", bookmark, {"note": ""}, [({"note": ""}, None), (None, None)]),
        ("DELETE", bookmark, None, [(None, None), (None, None)]),
    ):
        status, answer, _ = await archive.ask(asked, method=method, body=body)
        assert status < 300, answer
        assert await shown() == expected, (method, asked)
