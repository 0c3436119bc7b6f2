"""Search: what is found, in which scripts, in which order, for whom."""

from __future__ import annotations

import random

import pytest

from services.archive.domain.analyzer import terms, tsvector_literal
from services.archive.domain.query import parse
from services.archive.domain.reading import NEWEST, FoundEntry
from services.archive.record import Recorder
from services.archive.search import search
from services.archive.store import read
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.support.archive_events import OTHER_TENANT, TENANT, message_id, received, released

BODIES = (
    "Hello world, the red car is here",
    "The car is red; don\u2019t worry",
    "Caf\u00e9 \u00c5ngstr\u00f6m stra\u00dfe \u0141\u00f3d\u017a",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u0432\u0430\u0448 \u0437\u0430\u043a\u0430\u0437 \u0432 \u043f\u0443\u0442\u0438",
    "\u6771\u4eac\u90fd\u5e81\u3078\u884c\u304d\u307e\u3059",
    "\u6771\u4eac\u3068\u4eac\u90fd\u3078",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u092e\u0947\u0902 \u0938\u0902\u0926\u0947\u0936 \u0967\u0968\u0969",
    "\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627 \u0623\u062d\u0645\u062f",
    "\ud55c\uad6d\uc5b4 \uba54\uc2dc\uc9c0\uc785\ub2c8\ub2e4",
    "great \U0001f44d\U0001f3fd see https://example.org/orders/4711",
)

QUESTIONS: tuple[tuple[str, list[int]], ...] = (
    ("car", [1, 0]),
    ("CAR hello", [0]),
    ('"red car"', [0]),
    ('"car is red"', [1]),
    ("dont", [1]),
    ("wor*", [1, 0]),
    ("wor", []),
    ("cafe ANGSTROM strasse lodz", [2]),
    ("\u0437\u0430\u043a\u0430\u0437", [3]),
    ("\u6771\u4eac", [5, 4]),
    ("\u6771\u4eac\u90fd", [4]),
    ("\u4eac\u90fd", [5, 4]),
    ("\u5e81", [4]),
    ("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", [6]),
    ("\u0938\u0902\u0926\u0947\u0936 123", [7]),
    ("\u0645\u0631\u062d\u0628\u0627 \u0627\u062d\u0645\u062f", [8]),
    ("\uba54\uc2dc\uc9c0", [9]),
    ("\U0001f44d", [10]),
    ("4711", [10]),
    ("'", []),
    ("nothing like this", []),
)
"""What is asked, and which of BODIES it finds, newest first."""


@pytest.fixture
async def archive(pool: Pool, recorder: Recorder) -> Pool:
    """Each of BODIES as an incoming message, a second apart."""
    await recorder.record([received(f"wamid.{index}", body, seconds=index) for index, body in enumerate(BODIES)])
    return pool


async def found(pool: Pool, question: str, tenant: TenantId = TENANT) -> list[str]:
    """The texts that are found, newest first."""
    result = await search(pool, tenant, parse(question), NEWEST, 50)
    assert result.next is None
    return [entry.body for entry in result.entries]


async def test_words_of_many_scripts_are_found(archive: Pool) -> None:
    for question, indexes in QUESTIONS:
        assert await found(archive, question) == [BODIES[index] for index in indexes], question


async def test_outgoing_messages_are_found_too_and_only_by_their_tenant(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([released(message_id(), "secret word"), received("wamid.1", "secret answer", tenant=OTHER_TENANT)])
    assert await found(pool, "secret") == ["secret word"]
    assert await found(pool, "secret", OTHER_TENANT) == ["secret answer"]
    assert await found(pool, "secret", TenantId("tnt_nobody")) == []


async def test_pages_hold_every_match_once_newest_first(pool: Pool, recorder: Recorder) -> None:
    """Also where several share a moment, and for phrases, which are checked a block at a time."""
    bodies = ["red car" if index % 3 else "car red" for index in range(240)]
    await recorder.record(
        [received(f"wamid.{i}", f"{body} {i}", seconds=i // 10, heard_after=1) for i, body in enumerate(bodies)]
    )
    for question, count in (("car", 240), ('"red car"', 160)):
        query, after = parse(question), NEWEST
        seen: list[FoundEntry] = []
        while True:
            page = await search(pool, TENANT, query, after, 7)
            seen += page.entries
            if page.next is None:
                break
            assert len(page.entries) == 7
            after = page.next
        assert len({entry.id for entry in seen}) == len(seen) == count
        assert [entry.place for entry in seen] == sorted((entry.place for entry in seen), reverse=True)


async def test_a_phrase_whose_words_seldom_meet_costs_a_bounded_number_of_rows(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("wamid.first", "red car")])
    for start in range(0, 1200, 240):
        await recorder.record([received(f"wamid.{i}", "car red", seconds=1 + i) for i in range(start, start + 240)])
    query = parse('"red car"')
    page = await search(pool, TENANT, query, NEWEST, 10)
    assert page.entries == ()
    assert page.next is not None
    page = await search(pool, TENANT, query, page.next, 10)
    assert [entry.body for entry in page.entries] == ["red car"]
    assert page.next is None


async def test_postgres_takes_the_literals_of_any_text(pool: Pool) -> None:
    """Random texts of hard characters, quotes and backslashes: the vector holds the terms, and the query finds it."""
    chance = random.Random(3)  # noqa: S311  # the same texts in every run
    hard = "'\\:*&|!()<> \"~aZ9\u00e9\u0301\u0130\u0e31\u0928\u094d\u6771\u30ac\ud55c"
    hard += "\U0001f44d\U0001f1ea\U0001f1f8\u200d\ufe0f\u0660"
    anything = [*range(1, 0xD800), *range(0xE000, 0x11000)]
    texts = ["".join(chance.choices(hard, k=chance.randint(1, 30))) for _ in range(400)]
    texts += ["".join(map(chr, chance.choices(anything, k=20))) for _ in range(200)]
    lexemes = [terms(text) for text in texts]
    rows = await pool.fetch(
        "SELECT tsvector_to_array(v::tsvector) AS held FROM unnest($1::text[]) WITH ORDINALITY AS t (v, n) ORDER BY n",
        [tsvector_literal(found) for found in lexemes],
    )
    assert [sorted(row["held"]) for row in rows] == [sorted(found) for found in lexemes]
    asked = [(text, literal) for text in texts if (literal := parse(text).tsquery())]
    missed = await pool.fetch(
        "SELECT vector FROM unnest($1::text[], $2::text[]) AS t (vector, asked) WHERE NOT vector::tsvector @@ asked::tsquery",
        [tsvector_literal(terms(text)) for text, _ in asked],
        [literal for _, literal in asked],
    )
    assert missed == []


async def test_a_search_reads_the_term_index(archive: Pool) -> None:
    """Not the whole table, and not the newest rows in the hope of a match."""
    async with archive.acquire() as connection:
        await connection.execute("SET enable_seqscan = off")  # the table is too small to be worth an index
        plan = await connection.fetch("EXPLAIN " + read.SEARCH, TENANT, "'car'", *NEWEST, 50)
        text = "\n".join(row[0] for row in plan)
    assert "Bitmap Index Scan" in text
    assert "tsv" in text
