"""Search: what is found, in which scripts, for whom, and what is told beside it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import orjson
import pytest

from services.archive.domain.analyzer import terms, tsvector_literal
from services.archive.domain.hit import BEGINNING, EVER, Filters
from services.archive.domain.query import parse
from services.archive.payloads.search import SearchPage
from services.archive.record import Recorder
from services.archive.routes.search import _page
from services.archive.search.answer import FIRST, Asked, Searcher
from services.archive.search.pool import PLANNED_ONCE
from services.archive.store import search as store
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.responses import json_bytes
from shared.ids import TenantId, new_id
from tests.support.archive_events import OTHER_TENANT, TENANT, message_id, received, released
from tests.support.archive_search import SINCE, Said, bodies, counted, hits, searcher_of, shelve
from tests.support.database import Database

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
    ("nothing like this", []),
    ("car -hello", [1]),
    ("red -\u6771\u4eac -don\u2019t", [0]),
    ('car -"red car"', [1]),
    ("\u4eac\u90fd -\u6771\u4eac\u90fd", [5]),
)
"""What is asked, and which of BODIES it finds, newest first."""


@pytest.fixture
async def searcher(database: Database, pool: Pool) -> AsyncIterator[Searcher]:
    async with searcher_of(database, pool) as searcher:
        yield searcher


async def test_words_of_many_scripts_are_found_at_once(searcher: Searcher, recorder: Recorder) -> None:
    await recorder.record([received(f"wamid.{index}", body, seconds=index) for index, body in enumerate(BODIES)])
    for question, indexes in QUESTIONS:
        assert await bodies(searcher, question) == [BODIES[index] for index in indexes], question


async def test_outgoing_messages_are_found_too_and_only_by_their_tenant(searcher: Searcher, recorder: Recorder) -> None:
    await recorder.record([released(message_id(), "secret word"), received("wamid.1", "secret answer", tenant=OTHER_TENANT)])
    assert await bodies(searcher, "secret") == ["secret word"]
    for tenant, expected in ((OTHER_TENANT, ["secret answer"]), (TenantId("tnt_nobody"), [])):
        answer = await searcher.answer(tenant, Asked(parse("secret")), FIRST, 50)
        assert [hit.body for hit in answer.hits] == expected


async def test_one_word_of_several_can_be_mistyped(searcher: Searcher, pool: Pool) -> None:
    await shelve(
        pool, [Said("my parcel is late", SINCE), Said("the parcels are here", SINCE + timedelta(1)), Said("late", SINCE)]
    )
    await counted(pool)
    assert await bodies(searcher, "parcle late") == []
    assert await bodies(searcher, "parcle late", typos=True) == ["my parcel is late"]
    assert await bodies(searcher, "parcel", typos=True) == ["the parcels are here", "my parcel is late"]
    answer = await searcher.answer(TENANT, Asked(parse("parcle")), FIRST, 50)
    assert dict(answer.near) == {"parcle": ("parcel",)}
    assert (answer.count, answer.is_exact) == (0, True)


async def test_a_word_of_three_letters_is_near_one_of_four(searcher: Searcher, pool: Pool) -> None:
    await shelve(pool, [Said("yes I have a cat", SINCE)])
    await counted(pool)
    assert await bodies(searcher, "yess catt", typos=True) == ["yes I have a cat"]


async def test_near_words_are_the_tenants_own(searcher: Searcher, pool: Pool) -> None:
    await shelve(pool, [Said("parcel", SINCE)], OTHER_TENANT)
    await shelve(pool, [Said("nothing of the kind", SINCE)])
    await counted(pool)
    assert (await searcher.answer(TENANT, Asked(parse("parcle")), FIRST, 50)).near == {}


async def test_a_participant_has_said_it(searcher: Searcher, pool: Pool) -> None:
    said = [Said(f"car {author} {n}", SINCE + timedelta(n), author=author) for n in range(3) for author in (1, 2)]
    shelf = await shelve(pool, [*said, Said("car alone", SINCE, conversation=1)])
    found = await hits(searcher, "car", participant_id=shelf.authors[2][1])
    assert [hit.body for hit in found] == ["car 2 2", "car 2 1", "car 2 0"]
    assert {(hit.author_id, hit.author_name) for hit in found} == {(shelf.authors[2][1], "name:2")}
    for given in ({"participant_id": new_id("prt")}, {"conversation_id": new_id("cnv")}):
        with pytest.raises(Rejected) as refused:
            await hits(searcher, "car", **given)
        assert refused.value.status == 404
    with pytest.raises(Rejected):
        await hits(searcher, "car", participant_id=shelf.authors[2][1], conversation_id=shelf.conversations[1][1])


async def test_labelled_entries_are_found_in_pages(searcher: Searcher, pool: Pool) -> None:
    shelf = await shelve(pool, [Said(f"car {n}", SINCE + timedelta(n // 3), conversation=n % 2) for n in range(60)])
    await pool.execute(
        "INSERT INTO entry_labels (tenant_no, label, sent_at, entry_id, conversation_no)"
        " SELECT tenant_no, 'lost', sent_at, entry_id, conversation_no FROM search_rows WHERE row_no % 4 = 0"
    )
    rows = await pool.fetch("SELECT body FROM search_rows WHERE row_no % 4 = 0 ORDER BY sent_at DESC, row_no DESC")
    expected = [row["body"] for row in rows]
    assert await bodies(searcher, "car", Filters(label="lost"), limit=4) == expected
    assert await bodies(searcher, "", Filters(label="lost"), limit=4) == expected
    assert await bodies(searcher, "car", Filters(label="other")) == []
    one = await bodies(searcher, "car", Filters(label="lost"), conversation_id=shelf.conversations[1][1])
    assert one == [body for body in expected if int(body.split()[1]) % 2]
    answer = await searcher.answer(TENANT, Asked(parse("car"), Filters(label="lost"), months=True), FIRST, 3)
    assert answer.months is not None
    assert answer.months[1]
    assert sum(month.hits for month in answer.months[0]) == len(expected)


async def test_a_hit_is_shown_among_its_neighbours(searcher: Searcher, pool: Pool) -> None:
    said = [Said(f"word{n} " + "x" * 300, SINCE + timedelta(hours=n // 2), conversation=n % 2) for n in range(20)]
    await shelve(pool, said)
    answer = await searcher.answer(TENANT, Asked(parse("word10 "), context=2), FIRST, 50)
    (hit,) = answer.hits
    before, after = answer.context[hit.row_no]
    assert [near.body[:6].strip() for near in before] == ["word6", "word8"]
    assert [near.body[:6] for near in after] == ["word12", "word14"]
    assert len(before[0].body) == 200
    (hit,) = (first := await searcher.answer(TENANT, Asked(parse("word0"), context=3), FIRST, 50)).hits
    before, after = first.context[hit.row_no]
    assert (len(before), len(after)) == (0, 3)


async def test_what_was_taken_back_is_not_found_by_filters_either(searcher: Searcher, pool: Pool) -> None:
    await shelve(pool, [Said("", SINCE, type="revoked"), Said("there", SINCE)])
    assert await bodies(searcher, "", Filters(is_outgoing=False)) == ["there"]


async def test_a_search_that_takes_too_long_is_refused_with_a_reason(
    searcher: Searcher, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shelve(pool, [Said("car", SINCE)])
    monkeypatch.setattr(store, "MATCHES", store.MATCHES.replace("(SELECT count(*) FROM found)", "(SELECT 1 FROM pg_sleep(30))"))
    async with searcher._pool.acquire() as connection:
        await connection.execute("SET statement_timeout = 50")
    for _ in range(3):  # whichever connection it is
        async with searcher._pool.acquire() as connection:
            await connection.execute("SET statement_timeout = 50")
        with pytest.raises(Rejected) as refused:
            await bodies(searcher, "car")
        assert (refused.value.code, refused.value.status) == ("search.too_slow", 503)


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
    asked = [(text, literal) for text in texts if (literal := parse(text.replace("-", " ")).tsquery(7))]
    missed = await pool.fetch(
        "SELECT vector FROM unnest($1::text[], $2::text[]) AS t (vector, asked) WHERE NOT vector::tsvector @@ asked::tsquery",
        [tsvector_literal([f"7:{term}" for term in terms(text)]) for text, _ in asked],
        [literal for _, literal in asked],
    )
    assert missed == []


COMMON = (BEGINNING.at, BEGINNING.row_no, EVER, BEGINNING.row_no, "'7:car'", None, None, None, 50, "red[^a-z0-9]+car")


@pytest.mark.parametrize(
    ("query", "arguments", "index"),
    [
        (store.MATCHES, (*COMMON, "'7:car'", 5_000), "Bitmap Index Scan on search_rows_by_term"),
        (store.WALK_TENANT, (*COMMON, 7, 4_000), "Index Scan Backward using search_rows_by_tenant"),
        (store.WALK_CONVERSATION, (*COMMON, 7, 4_000), "Index Scan Backward using search_rows_by_conversation"),
        (store.WALK_LABEL, (*COMMON, 7, 4_000, "lost", None), "entry_labels_pkey"),
        (store.WALK_LABEL, (*COMMON, 7, 4_000, "lost", None), "search_rows_by_conversation"),
        (store.WALKED_TENANT, (BEGINNING.at, 1, EVER, 7, 4_000), "search_rows_by_tenant"),
        (store.WALKED_CONVERSATION, (BEGINNING.at, 1, EVER, 7, 4_000), "search_rows_by_conversation"),
        (store.WALKED_LABEL, (BEGINNING.at, EVER, 7, "lost", None, 4_000), "entry_labels_pkey"),
        (store.CONTEXT_OF, ([7], [SINCE], [7], 3, 200), "Index Scan Backward using search_rows_by_conversation"),
        (
            store.COUNT_MONTHS,
            (BEGINNING.at, 7, EVER, "'7:car'", None, None, None, None),
            "Bitmap Index Scan on search_rows_by_term",
        ),
        (store.SAMPLE_MONTHS, ([SINCE], [SINCE], 7, 200, None, None, None, None), "search_rows_by_tenant"),
    ],
)
async def test_every_way_has_one_plan_that_does_not_depend_on_the_words(
    database: Database, pool: Pool, query: str, arguments: tuple[object, ...], index: str
) -> None:
    """No sort of all there is, no look at the whole table, no second index to make sure: of a table that PostgreSQL takes to be one
    of ten million rows."""
    await pool.execute(
        "INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)"
        " SELECT $1::timestamptz + n * interval '1 hour', n % 5, 7, false, 'ent_' || n, 'text', '', "
        " array_to_tsvector(ARRAY['7:car', '7:n' || n % 1000]) FROM generate_series(1, 20000) AS n",
        SINCE,
    )
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("ANALYZE archive.search_rows")
    await admin.execute("UPDATE pg_class SET reltuples = 1e7 WHERE oid IN ('archive.search_rows'::regclass)")
    await admin.close()
    async with pool.acquire() as connection:
        eager = {"min_parallel_table_scan_size": "0", "min_parallel_index_scan_size": "0", "parallel_setup_cost": "0"}
        await connection.execute("; ".join(f"SET {name} = '{value}'" for name, value in (eager | PLANNED_ONCE).items()))
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + query, *arguments))
    assert index in plan, plan
    for bad in ("Seq Scan on search_rows", "BitmapAnd", "Gather"):
        assert bad not in plan, plan


async def test_what_is_told_is_what_the_document_says(searcher: Searcher, pool: Pool) -> None:
    """The answer is written without its model."""
    said = [Said(f"parcel {n}", SINCE + timedelta(n), author=n % 2, is_outgoing=n % 3 == 0) for n in range(40)]
    await shelve(pool, said)
    await counted(pool)
    for question, more in (("parcel", {"context": 2, "months": True}), ("parcle", {}), ("absent", {}), ("4", {"months": True})):
        asked = Asked(parse(question), **more)
        answer = await searcher.answer(TENANT, asked, FIRST, 10)
        told = json_bytes(_page(answer, asked, "cursor" if answer.next else None))
        page = SearchPage.model_validate_json(told)
        assert orjson.loads(json_bytes(page)) == orjson.loads(told)
        assert [hit.entry_id for hit in page.data] == [hit.entry_id for hit in answer.hits]
        if question == "parcel":
            assert page.total is not None
            assert (page.total.count, page.total.exact) == (40, True)
            assert page.months is not None
            assert [(month.month, month.count) for month in page.months.counts] == [("2024-02", 23), ("2024-01", 17)]
            assert page.data[0].author is not None
            assert page.data[0].context is not None
            assert [near.text for near in page.data[0].context.before] == ["parcel 37", "parcel 38"]
        if question == "parcle":
            assert [near.instead for near in page.near or []] == [["parcel"]]
