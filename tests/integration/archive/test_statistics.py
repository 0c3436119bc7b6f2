"""What is counted of a conversation's days, whatever came, went and changed in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.archive.domain.statistics import islands
from services.archive.record import Recorder
from services.archive.search.jobs import lexicon_follower
from services.archive.statistics import counting
from services.archive.statistics.counting import Delays
from services.archive.statistics.reading import Analysis, Asked, conversation_analysis, tenant_analysis
from services.archive.store import removal
from services.archive.store import statistics as store
from shared.db.pool import Pool
from shared.events.event import Event
from shared.events.values import DeliveryStatus
from shared.ids import new_id
from tests.support.archive_events import OTHER_TENANT, TENANT, edited, message_id, received, released, reported, revoked, sent
from tests.support.following import catch_up, follow

UTC_ZONE = ZoneInfo("UTC")
DAY = date(2026, 11, 20)
DAY_SECONDS = 86_400.0


async def conversation(pool: Pool, position: int = 0) -> int:
    """The number of a conversation, in the order they were made."""
    return int(await pool.fetchval("SELECT conversation_no FROM conversations ORDER BY conversation_no OFFSET $1", position))


async def analysis(pool: Pool, zone: str = "UTC", first: date | None = None, last: date | None = None) -> Analysis:
    """Of the first conversation."""
    return await conversation_analysis(pool, await conversation(pool), Asked(ZoneInfo(zone), first, last))


async def kept(pool: Pool) -> list[tuple[Any, ...]]:
    """All counters of conversations and tenants; a day of a tenant that came to nothing counts as none."""
    rows = await pool.fetch(
        """
        SELECT subject, day, key, value::bigint AS number, first_at, last_at
        FROM day_statistics LEFT JOIN LATERAL jsonb_each_text(counts) ON true
        WHERE counts <> '{}' ORDER BY subject, day, key
        """
    )
    return [tuple(row) for row in rows]


async def counted_anew(pool: Pool) -> list[tuple[Any, ...]]:
    """The same, forgotten and counted once more from the entries."""
    await pool.execute("DELETE FROM day_statistics")
    await pool.execute("UPDATE followers SET stored_in = 0 WHERE name = 'statistics'")
    await catch_up(pool)
    return await kept(pool)


async def test_messages_are_counted_by_day_hour_author_and_type(pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [
            released(message_id(), "four", seconds=0),
            received("w1", "hi", seconds=60),
            received("w2", "", seconds=DAY_SECONDS, content={"type": "image", "image": {}}),
        ]
    )
    await catch_up(pool)
    found = await analysis(pool)
    assert found.days == {DAY: (1, 1), DAY + timedelta(days=1): (1, 0)}
    assert found.hours[4 * 24 + 12] == (1, 1)  # a Friday's noon
    assert found.hours[5 * 24 + 12] == (1, 0)
    assert found.types == {"text": 2, "image": 1}
    assert [(author.key, author.messages, author.characters) for author in found.authors] == [
        ("contact", 2, 2),
        ("business", 1, 4),
    ]
    assert (found.texts, found.characters) == (2, 6)
    assert found.all_time is not None
    assert (found.all_time.message_count, found.all_time.participant_count) == (3, 2)
    assert found.all_time.avg_message_length == 3
    assert found.streak is not None
    assert found.streak.days == 2


@pytest.mark.parametrize(
    ("zone", "day", "hour"), [("Asia/Kathmandu", 0, 17), ("Pacific/Kiritimati", 1, 2), ("Pacific/Niue", 0, 1)]
)
async def test_days_and_hours_go_by_the_clocks_of_the_zone(
    zone: str, day: int, hour: int, pool: Pool, recorder: Recorder
) -> None:
    await recorder.record([received("w1")])
    await catch_up(pool)
    found = await analysis(pool, zone)
    local = DAY + timedelta(days=day)
    assert found.days == {local: (1, 0)}
    assert found.hours[local.weekday() * 24 + hour] == (1, 0)
    assert (await analysis(pool, zone, first=local, last=local)).messages == 1
    assert (await analysis(pool, zone, first=local + timedelta(days=1))).messages == 0


async def test_an_answer_took_as_long_as_the_first_unanswered_message_waited(pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [
            received("w1", seconds=0),
            received("w2", seconds=50),
            released(message_id(), seconds=100),
            released(message_id(), seconds=110),
            received("w3", seconds=100 + DAY_SECONDS),
            received("w4", seconds=5 * DAY_SECONDS),  # after a silence
            released(message_id(), seconds=9 * DAY_SECONDS),
        ]
    )
    await catch_up(pool)
    found = await analysis(pool)
    assert found.of_business.count == 1
    assert found.of_business.median_seconds == pytest.approx(100, rel=0.06)
    assert found.of_contact.count == 1
    assert found.of_contact.p90_seconds == pytest.approx(DAY_SECONDS, rel=0.06)
    assert found.silence is not None
    assert found.silence[1] - found.silence[0] == timedelta(days=4)


async def test_what_was_delivered_or_read_later_is_counted_again(pool: Pool, recorder: Recorder) -> None:
    first, second, third = message_id(), message_id(), message_id()
    await recorder.record([released(first), released(second), released(third), sent(first, "s1"), sent(second, "s2")])
    await catch_up(pool)
    assert (await analysis(pool)).delivery.sent == 2
    await recorder.record(
        [
            reported(first, "s1", DeliveryStatus.DELIVERED, seconds=2),
            reported(second, "s2", DeliveryStatus.READ, seconds=3),
        ]
    )
    await pool.execute("UPDATE day_statistics SET recheck_at = now() WHERE subject > 0")
    await catch_up(pool)
    found = (await analysis(pool)).delivery
    assert (found.sent, found.delivered, found.read) == (2, 2, 1)
    assert found.read_rate == 0.5


async def test_words_and_emoji_are_those_that_most_messages_hold(pool: Pool, recorder: Recorder) -> None:
    says = ["The parcel is late 😀", "the parcel, the parcel!", "el paquete 😀", "parcel 12345"]
    await recorder.record([received(f"w{n}", body, seconds=n) for n, body in enumerate(says)])
    await catch_up(pool)
    found = await analysis(pool)
    assert list(found.terms.words.items()) == [("parcel", 3), ("late", 1), ("paquete", 1)]
    assert found.terms.emoji == {"😀": 2}


async def test_a_tenant_has_what_its_conversations_have_and_nothing_of_others(pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [
            received("w1", "parcel", sender="+15550000001"),
            received("w2", sender="+15550000002", seconds=DAY_SECONDS),
            received("w3", sender="+15550000002", seconds=DAY_SECONDS),
            received("w4", tenant=OTHER_TENANT, number=new_id("num")),  # type: ignore[arg-type]
        ]
    )
    await catch_up(pool)
    tenant_no = await pool.fetchval("SELECT tenant_no FROM tenants WHERE tenant_id = $1", TENANT)
    found = await tenant_analysis(pool, tenant_no, Asked(UTC_ZONE))
    assert found.days == {DAY: (1, 0), DAY + timedelta(days=1): (2, 0)}
    assert [brief.message_count for _, brief in found.busiest] == [2, 1]
    assert found.authors == []


async def test_a_tenants_words_are_those_of_all_its_conversations(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "parcel 😀"), received("w2", "late parcel", sender="+15550000002")])
    await follow(pool, lexicon_follower(pool))
    await catch_up(pool)
    tenant_no = await pool.fetchval("SELECT tenant_no FROM tenants WHERE tenant_id = $1", TENANT)
    found = await tenant_analysis(pool, tenant_no, Asked(UTC_ZONE))
    assert found.terms.words == {"parcel": 2, "late": 1}
    assert found.terms.emoji == {"😀": 1}


async def test_edits_and_revocations_count_as_they_stand_now(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "long before"), received("w2", "gone", seconds=1)])
    await catch_up(pool)
    await recorder.record([edited("w1", "now"), revoked("w2")])
    await catch_up(pool)
    found = await analysis(pool)
    assert (found.messages, found.texts, found.characters) == (2, 1, 3)
    assert found.types == {"text": 1, "revoked": 1}
    assert found.terms.words == {}  # "now" is a particle


async def test_what_was_removed_is_counted_no_more(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "parcel"), received("w2", "letter", seconds=DAY_SECONDS)])
    await catch_up(pool)
    for expected in (1, 0):
        row = await pool.fetchrow("SELECT id, sent_at FROM entries ORDER BY sent_at LIMIT 1")
        assert row is not None
        async with pool.acquire() as connection, connection.transaction():
            await removal.remove(connection, [(row["id"], row["sent_at"])])
        await catch_up(pool)
        assert (await analysis(pool)).messages == expected
    assert await kept(pool) == []
    for table in ("conversation_stats", "month_words", "stale_days", "stale_months"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608  # names of tables


async def test_counting_bit_by_bit_comes_to_the_same_as_counting_at_once(pool: Pool, recorder: Recorder) -> None:
    chance = random.Random(7)  # noqa: S311  # a fixed history
    events: list[Event] = []
    for number in range(120):
        seconds = chance.uniform(0, 30 * DAY_SECONDS)
        phone = f"+1555000000{chance.randrange(3)}"
        if chance.random() < 0.5:
            events.append(received(f"w{number}", "x" * chance.randrange(9), seconds=seconds, sender=phone))
        else:
            events.append(released(message_id(), "y" * chance.randrange(9), seconds=seconds, to=phone))
    for start in range(0, len(events), 30):
        await recorder.record(events[start : start + 30])
        await recorder.record([edited(f"w{chance.randrange(start + 30)}", "edited", seconds=start)])
        await catch_up(pool)
        rows = await pool.fetch("SELECT id, sent_at FROM entries ORDER BY id LIMIT 1000")
        gone = chance.sample(rows, 3)
        async with pool.acquire() as connection, connection.transaction():
            await removal.remove(connection, [(row["id"], row["sent_at"]) for row in gone])
        await catch_up(pool)
    bit_by_bit = await kept(pool)
    assert bit_by_bit == await counted_anew(pool)


async def test_two_processes_do_not_count_twice(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received(f"w{n}", seconds=n * DAY_SECONDS, sender=f"+1555000000{n % 4}") for n in range(40)])
    await asyncio.gather(*(catch_up(pool) for _ in range(4)))
    await catch_up(pool)
    side_by_side = await kept(pool)
    assert side_by_side == await counted_anew(pool)


async def test_a_day_is_not_counted_before_its_mark_is_due_unless_it_is_hastened(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1")])
    await follow(pool, counting.follower(pool))
    later = Delays(days=3_600, words=3_600)
    await counting.count_days(pool, later)
    assert await kept(pool) == []
    await store.hasten(pool, [await conversation(pool)])
    while not await counting.count_days(pool, later):
        pass
    assert (await analysis(pool)).messages == 1


async def test_no_step_counts_more_entries_than_it_has_time_for(
    pool: Pool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import brings millions: what is too much for one statement would be too much for ever, and nobody's days be counted."""
    monkeypatch.setattr(counting, "ENTRIES_AT_ONCE", 6)
    await recorder.record(
        [received(f"w{day}-{n}", seconds=day * DAY_SECONDS + n) for day in range(5) for n in range(10 if day == 2 else 4)]
    )
    await follow(pool, counting.follower(pool))
    left = []
    while await counting.count_days(pool, counting.AT_ONCE):
        left.append(await pool.fetchval("SELECT count(*) FROM stale_days"))
    assert left == [3, 2, 0]
    assert (await analysis(pool)).messages == 26


async def test_a_day_with_many_messages_is_counted_less_often(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received(f"w{n}", seconds=n) for n in range(20)])
    await catch_up(pool)
    await recorder.record([received("w20", seconds=20), received("w21", seconds=DAY_SECONDS)])
    await follow(pool, counting.follower(pool))
    waits = await pool.fetch("SELECT day, marked_at - now() > interval '30 seconds' AS waits FROM stale_days ORDER BY day")
    assert [row["waits"] for row in waits] == [True, False]
    await counting.count_days(pool, Delays(days=0, words=0))
    assert (await analysis(pool)).messages == 21
    await catch_up(pool)
    assert (await analysis(pool)).messages == 22


@pytest.mark.parametrize(
    ("days", "spans"),
    [
        ([(1, 0), (1, 3)], [(1, 0, 10)]),
        ([(1, 0), (1, 8)], [(1, 0, 15)]),
        ([(1, 0), (1, 9), (2, 9)], [(1, 0, 7), (1, 9, 16), (2, 9, 16)]),
    ],
)
def test_days_that_lie_near_each_other_are_counted_together(
    days: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int, int]]
) -> None:
    found = islands((number, DAY + timedelta(days=day)) for number, day in days)
    assert [(number, (first - DAY).days, (last - DAY).days) for number, first, last in found] == list(spans)
