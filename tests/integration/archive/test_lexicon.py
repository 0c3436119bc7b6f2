"""The lexicon: it has the counts of the rows as they are, however they came, changed and went."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from services.archive.domain.indexing import conversation_lexeme, file_lexeme
from services.archive.follow import Follower, Span
from services.archive.search.frequencies import Frequencies
from services.archive.search.jobs import lexicon_follower
from services.archive.store import lexicon
from shared.clock import SystemClock
from shared.db.pool import Connection, Pool, open_pool
from tests.support.archive_events import OTHER_TENANT
from tests.support.archive_search import SINCE, Said, counted, shelve
from tests.support.database import Database
from tests.support.following import all_ended, follow


async def rows(pool: Pool) -> dict[str, int]:
    """What the rows have."""
    found = await pool.fetch("SELECT unnest(tsvector_to_array(tsv)) AS lexeme FROM search_rows")
    return dict(Counter(row["lexeme"] for row in found))


async def known(pool: Pool) -> dict[str, int]:
    """What the lexicon has."""
    return {row["lexeme"]: row["entries"] for row in await pool.fetch("SELECT * FROM lexicon")}


async def test_what_is_stored_is_counted_once(pool: Pool) -> None:
    for turn in range(3):
        await shelve(pool, [Said(f"car {turn} {n}", SINCE + timedelta(days=n)) for n in range(50)])
        await shelve(pool, [Said("car", SINCE)], OTHER_TENANT)
        await counted(pool)
        await counted(pool)
    assert await known(pool) == await rows(pool)


async def test_types_are_not_taken_for_months_or_conversations(pool: Pool) -> None:
    """What a type is called comes from outside."""
    said = [Said("", SINCE, type=type_) for type_ in ("media", "m209913", "c1", "file")]
    shelf = await shelve(pool, [*said, Said("car", SINCE)])
    await counted(pool)
    async with pool.acquire() as connection:
        months = await Frequencies(SystemClock()).months(connection, shelf.tenant_no)
    assert months == [(SINCE.replace(day=1, hour=0, minute=0, second=0, microsecond=0), 5)]
    found = await known(pool)
    conversation_no, _ = shelf.conversations[0]
    assert found[conversation_lexeme(shelf.tenant_no, conversation_no)] == 5
    assert found[file_lexeme(shelf.tenant_no)] == 1


async def test_what_is_changed_or_taken_away_is_counted_as_it_is(pool: Pool) -> None:
    """Before it was counted, after it, and both at once."""
    await shelve(pool, [Said(f"old {n} o{n}", SINCE) for n in range(40)])
    await counted(pool)
    await shelve(pool, [Said(f"new {n} n{n}", SINCE) for n in range(40)])
    for kept in range(2):
        await pool.execute("DELETE FROM search_rows WHERE row_no % 4 = 0 AND row_no % 8 = $1", 4 * kept)
        await pool.execute("UPDATE search_rows SET tsv = $1::text::tsvector WHERE row_no % 4 = 1", f"'1:changed' '1:c{kept}'")
        await pool.execute("UPDATE search_rows SET is_outgoing = true WHERE row_no % 4 = 2")
        if kept == 0:
            await counted(pool)
            assert await known(pool) == await rows(pool)
    await counted(pool)
    assert await known(pool) == await rows(pool)
    await pool.execute("DELETE FROM search_rows")
    await counted(pool)
    assert await known(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM lexicon_changes") == 0


async def test_very_many_changes_are_taken_in_parts(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexicon, "CHANGES_AT_ONCE", 7)
    await shelve(pool, [Said(f"car {n}", SINCE) for n in range(40)])
    await counted(pool)
    await pool.execute("DELETE FROM search_rows WHERE row_no % 2 = 0")
    await counted(pool)
    assert await known(pool) == await rows(pool)


async def test_a_transaction_that_is_not_over_is_waited_for_and_those_after_it_too(pool: Pool) -> None:
    """Its rows come in with a lower number than some that are there already."""
    shelf = await shelve(pool, [Said("car", SINCE)])
    insert = (
        "INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)"
        " SELECT now(), $1::bigint, $2::integer, false, 'e', 'text', $3::text, array_to_tsvector(ARRAY['1:' || $3::text])"
    )
    seen: list[str] = []

    async def look(connection: Connection, span: Span) -> None:
        found = await connection.fetch("SELECT body FROM search_rows WHERE stored_in >= $1 AND stored_in < $2", *span)
        seen.extend(row["body"] for row in found)

    follower = Follower(pool, "looking", look)
    number = shelf.conversations[0][0]
    await all_ended(pool)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(insert, number, shelf.tenant_no, "slow")
        await pool.execute(insert, number, shelf.tenant_no, "quick")
        await follower.catch_up()  # makes its row
        await follower.catch_up()
        assert seen == ["car"]
        await transaction.commit()
    await follow(pool, follower)
    assert sorted(seen) == ["car", "quick", "slow"]


async def test_a_step_that_fails_is_taken_again(pool: Pool) -> None:
    await shelve(pool, [Said("car", SINCE)])
    calls: list[Span] = []

    async def fail_first(connection: Connection, span: Span) -> None:
        calls.append(span)
        await connection.execute("INSERT INTO stale_days (conversation_no, day) VALUES (1, '2026-01-01')")
        if len(calls) == 1:
            raise asyncpg.DataError("no")

    follower = Follower(pool, "failing", fail_first)
    await all_ended(pool)
    await follower.step()
    with pytest.raises(asyncpg.DataError):
        await follower.step()
    assert await pool.fetchval("SELECT count(*) FROM stale_days") == 0
    assert await follower.step()
    assert [span.low for span in calls] == [0, 0]
    assert not await follower.step()


async def test_of_several_replicas_one_counts(database: Database, pool: Pool) -> None:
    await shelve(pool, [Said(f"car {n}", SINCE) for n in range(300)])
    async with open_pool(database.settings_for("archive", pool_max=8), "archive") as other:
        followers = [lexicon_follower(pool) for _ in range(4)] + [lexicon_follower(other) for _ in range(4)]
        for _ in range(3):
            await shelve(pool, [Said("more cars", SINCE)])
            await asyncio.gather(*(follower.step() for follower in followers))
    await counted(pool)
    assert await known(pool) == await rows(pool)


async def test_a_word_is_looked_up_by_index(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")
        for query, arguments, index in (
            (lexicon.FREQUENCIES, (["7:car"],), "lexicon_pkey"),
            (lexicon.COMPLETIONS, ("7:ca", "7:cb", 20), "lexicon_pkey"),
            (lexicon.NEAR_LEXEMES, (["7:parcel"],), "lexicon_near_words"),
            (lexicon.COUNT_TERMS, (1, 2, 20), "search_rows_by_transaction"),
        ):
            plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + query, *arguments))
            assert index in plan, plan
