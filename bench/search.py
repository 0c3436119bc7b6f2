"""Search of very many entries, by kinds of question: 20 readers in a closed loop ask the archive itself, then the gateway."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import asyncpg

from bench.rig import Rig
from bench.scenario import Report, Row, Scale, Scenario
from local.home import HOST, Home

ENTRIES: Final = tuple(int(rows) for rows in os.environ.get("BENCH_ENTRIES", "1000000,10000000").split(","))
READERS: Final = 20
SECONDS: Final = 20.0
VOCABULARY: Final = 150_000
WORDS: Final = 9
CONVERSATION_ROWS: Final = 5_000
"""The archive of imports: a conversation's entries lie together, and those of one day far apart."""
BLOCK_ROWS: Final = 250_000
FIRST: Final = datetime(2016, 11, 1, tzinfo=UTC)
LAST: Final = datetime(2026, 11, 1, tzinfo=UTC)
EVERYWHERE: Final = "hello"
PATIENCE_SECONDS: Final = 3_600.0

NUMBER: Final = "INSERT INTO archive.tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING"
TENANT_NUMBER: Final = "SELECT tenant_no FROM archive.tenants WHERE tenant_id = $1"
HOLD_FOLLOWERS: Final = """
INSERT INTO archive.followers (name, stored_in) VALUES ('lexicon', 1::bigint << 62)
ON CONFLICT (name) DO UPDATE SET stored_in = excluded.stored_in
"""
HOLD_OTHERS: Final = "UPDATE archive.followers SET stored_in = 1::bigint << 62"
UNINDEX: Final = """
DROP INDEX archive.search_rows_by_tenant, archive.search_rows_by_conversation, archive.search_rows_by_term,
           archive.search_rows_by_transaction
"""
INDEX: Final = (
    "CREATE INDEX search_rows_by_tenant ON archive.search_rows (tenant_no, sent_at, row_no)",
    "CREATE INDEX search_rows_by_conversation ON archive.search_rows (conversation_no, sent_at, row_no)",
    "CREATE INDEX search_rows_by_transaction ON archive.search_rows (stored_in)",
    """CREATE INDEX search_rows_by_term ON archive.search_rows USING gin (tsv)
       WITH (fastupdate = on, gin_pending_list_limit = 1024)""",
)
CONVERSATIONS: Final = """
INSERT INTO archive.conversations (id, tenant_id, number_id, contact_phone, title)
SELECT 'cnv_' || lpad(n::text, 26, '0'), $3, '', 'chat:' || n, 'Chat ' || n FROM generate_series($1::bigint, $2::bigint - 1) AS n
ON CONFLICT DO NOTHING
"""
# Words fall off as they do in texts: the k-th is said about 1/k as often as the first.
FILL: Final = """
INSERT INTO archive.search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT sent_at, conversation_no, $3::integer, n % 3 = 0, 'ent_' || lpad(n::text, 26, '0'), 'text',
       $4 || ' ' || string_agg(word, ' ' ORDER BY random()),
       array_to_tsvector(array_agg(DISTINCT $3::integer || ':' || word) || ARRAY[
           $3::integer || ':' || $4, $3::integer || '~c' || conversation_no,
           $3::integer || '~m' || to_char(sent_at AT TIME ZONE 'UTC', 'YYYYMM'),
           $3::integer || '~d' || to_char(sent_at AT TIME ZONE 'UTC', 'YYYYMMDD')
       ])
FROM (
    SELECT n, $5::timestamptz + (n % $6::bigint + random()) / $6::bigint * ($7::timestamptz - $5::timestamptz) AS sent_at,
           conversations.conversation_no
    FROM generate_series($1::bigint, $2::bigint - 1) AS n
    JOIN archive.conversations ON conversations.id = 'cnv_' || lpad((n / $6::bigint)::text, 26, '0')
) AS said
CROSS JOIN LATERAL (
    SELECT 'w' || floor(exp(random() * ln($8::float8 + n * 0)))::integer AS word FROM generate_series(1, $9::integer)
) AS words
GROUP BY n, sent_at, conversation_no
ORDER BY n
"""
LEXICON: Final = """
INSERT INTO archive.lexicon (lexeme, entries)
SELECT word, ndoc FROM ts_stat('SELECT tsv FROM archive.search_rows') ORDER BY word COLLATE "C"
"""
SIZES: Final = """
SELECT pg_table_size('archive.search_rows') AS rows, pg_relation_size('archive.search_rows_by_term') AS terms,
       pg_total_relation_size('archive.lexicon') AS lexicon
"""

Query = Mapping[str, str]


@dataclass(slots=True)
class Asked:
    """What was asked of one kind: milliseconds."""

    took: list[float] = field(default_factory=list)
    failed: int = 0


def kinds(chance: random.Random, entries: int) -> dict[str, Callable[[], Query]]:
    """Kinds of question, each with words that are drawn anew every time."""

    def word(low: int, high: int) -> str:
        return f"w{chance.randint(low, high)}"

    def conversation() -> str:
        return f"cnv_{chance.randrange(entries // CONVERSATION_ROWS):026d}"

    return {
        "a word in none": lambda: {"q": f"absent{chance.randrange(10**6)}"},
        "rare (75 in 10 M)": lambda: {"q": word(60_000, 150_000)},
        "seldom (750)": lambda: {"q": word(6_000, 15_000)},
        "middle (7,500)": lambda: {"q": word(600, 1_500)},
        "common (75,000)": lambda: {"q": word(60, 150)},
        "frequent (750,000)": lambda: {"q": word(6, 15)},
        "a word in all": lambda: {"q": EVERYWHERE},
        "common and rare": lambda: {"q": f"{word(6, 15)} {word(60_000, 150_000)}"},
        "two common": lambda: {"q": f"{word(60, 150)} {word(60, 150)}"},
        "two frequent": lambda: {"q": f"{word(2, 15)} {word(2, 15)}"},
        "phrase": lambda: {"q": f'"{EVERYWHERE} {word(6, 150)}"'},
        "prefix": lambda: {"q": f"w{chance.randint(100, 999)}*"},
        "without": lambda: {"q": f"{word(60, 1_500)} -{word(1, 5)}"},
        "in a conversation": lambda: {"q": word(1, 1_500), "conversation_id": conversation()},
        "between dates": lambda: {"q": word(6, 1_500), "from": "2019-03-10T00:00:00Z", "to": "2019-06-20T00:00:00Z"},
        "by relevance": lambda: {"q": f"{word(6, 1_500)} {EVERYWHERE}", "order": "relevance"},
        "with context": lambda: {"q": word(60, 15_000), "context": "2", "limit": "20"},
        "with typos": lambda: {"q": word(600, 15_000), "typos": "true"},
    }


async def run(rig: Rig, scale: Scale) -> Report:
    """The archive grows from one size to the next; at each all kinds are asked alone, then all of them by 20 readers."""
    report = Report()
    tenant = str(await rig.database.fetchval("SELECT tenant_id FROM gateway.api_keys ORDER BY created_at LIMIT 1"))
    archive = await _archive_url(rig)
    token = Home(rig.home).secrets()["internal_token"]
    inner = {"Authorization": f"Bearer {token}", "X-Chasqui-Tenant": tenant}
    filled = 0
    for entries in scale.of(ENTRIES, (50_000,)):
        loading = time.monotonic()
        await fill(rig.database, tenant, filled, entries)
        filled = entries
        sizes = await rig.database.fetchrow(SIZES)
        assert sizes is not None
        report.notes.append(
            f"{entries:,} entries: rows {sizes['rows'] >> 20:,} MB, index of terms {sizes['terms'] >> 20:,} MB, lexicon"
            f" {sizes['lexicon'] >> 20:,} MB; made in {time.monotonic() - loading:.0f} s"
        )
        async with aiohttp.ClientSession(headers=inner, trust_env=False) as session:
            alone = await _ask(session, archive, entries, 1, scale.of(SECONDS, 2.0))
            together = await _ask(session, archive, entries, READERS, scale.of(SECONDS, 2.0))
        through = await _ask(rig.session, str(rig.facts["gateway_url"]), entries, READERS, scale.of(SECONDS, 2.0))
        for name in together:
            report.rows[f"{entries:,}: {name}"] = {
                **_figures("alone", alone[name]),
                **_figures("20", together[name]),
                **_figures("20 by gateway", through[name]),
            }
        report.rows[f"{entries:,}: all kinds"] = {
            **_figures("alone", _sum(alone)),
            **_figures("20", _sum(together)),
            **_figures("20 by gateway", _sum(through)),
            "requests": len(_sum(together).took),
        }
    report.notes.append(
        "Milliseconds over HTTP, 50 hits a page; readers in a closed loop, and they share the cores with the servers."
    )
    return report


async def fill(database: asyncpg.Connection[asyncpg.Record], tenant: str, filled: int, entries: int) -> None:
    """Rows of search up to so many, without the entries they stand for, and the lexicon of all of them."""
    await database.execute(HOLD_FOLLOWERS)
    await database.execute(HOLD_OTHERS)
    await database.execute(NUMBER, tenant)
    tenant_no = await database.fetchval(TENANT_NUMBER, tenant)
    first, last = filled // CONVERSATION_ROWS, entries // CONVERSATION_ROWS + 1
    await database.execute(CONVERSATIONS, first, last, tenant)
    await database.execute("ANALYZE archive.conversations")
    await database.execute(UNINDEX)
    for start in range(filled, entries, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, entries)
        more = EVERYWHERE, FIRST, CONVERSATION_ROWS, LAST, float(VOCABULARY), WORDS
        await database.execute(FILL, start, stop, tenant_no, *more, timeout=PATIENCE_SECONDS)
    await database.execute("SET maintenance_work_mem = '512MB'")
    for statement in INDEX:
        await database.execute(statement, timeout=PATIENCE_SECONDS)
    await database.execute("TRUNCATE archive.lexicon")
    await database.execute(LEXICON, timeout=PATIENCE_SECONDS)
    await database.execute("VACUUM ANALYZE archive.search_rows", timeout=PATIENCE_SECONDS)
    await database.execute("VACUUM ANALYZE archive.lexicon", timeout=PATIENCE_SECONDS)
    await database.execute("CHECKPOINT", timeout=PATIENCE_SECONDS)


async def _archive_url(rig: Rig) -> str:
    processes = json.loads((rig.home / "run.json").read_text())["processes"]
    return f"http://{HOST}:{next(one['port'] for one in processes if one['name'] == 'archive')}"


async def _ask(session: aiohttp.ClientSession, url: str, entries: int, readers: int, seconds: float) -> dict[str, Asked]:
    """So many readers, each asking the kinds in an order of its own; the first second is not counted."""
    found: dict[str, Asked] = {name: Asked() for name in kinds(random.Random(1), entries)}  # noqa: S311  # the same questions in every run
    began = time.monotonic()

    async def read(reader: int) -> None:
        for name, query in _questions(reader, entries):
            asked_at = time.monotonic()
            if asked_at > began + 1 + seconds:
                return
            async with session.get(f"{url}/api/search", params=query) as answer:
                await answer.read()
                status = answer.status
            if asked_at > began + 1:
                found[name].took.append((time.monotonic() - asked_at) * 1_000)
                found[name].failed += status != 200

    async with asyncio.TaskGroup() as group:
        for reader in range(readers):
            group.create_task(read(reader))
    return found


def _questions(reader: int, entries: int) -> Iterator[tuple[str, Query]]:
    chance = random.Random(reader)  # noqa: S311  # the same questions in every run
    asking = kinds(chance, entries)
    names = list(asking)
    while True:
        chance.shuffle(names)
        for name in names:
            yield name, asking[name]()


def _sum(asked: Mapping[str, Asked]) -> Asked:
    return Asked([took for one in asked.values() for took in one.took], sum(one.failed for one in asked.values()))


def _figures(prefix: str, asked: Asked) -> Row:
    took = sorted(asked.took)
    row: dict[str, Any] = {
        f"{prefix} p50": _at(took, 0.5),
        f"{prefix} p95": _at(took, 0.95),
        f"{prefix} p99": _at(took, 0.99),
    }
    return row | ({f"{prefix} failed": asked.failed} if asked.failed else {})


def _at(took: Sequence[float], share: float) -> float | None:
    return round(took[min(len(took) - 1, int(share * len(took)))], 1) if took else None


SCENARIO: Final = Scenario("search", "search of 1 and 10 million entries, by kinds of question", 900, run, apart=True)
