"""Conversations read by many at once while messages come in: how soon, and how often without asking the database."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bench.intake import SECRET
from bench.records import percentiles
from bench.rig import ACCOUNT, Number, Rig
from bench.scenario import Report, Row, Scale, Scenario
from shared.auth.signatures import HEADER, sign
from shared.http.internal import TENANT_HEADER

CONVERSATIONS: Final = 1_000
LONG: Final = 50
"""Of them, a year long, with so many entries each; the others are short."""
LONG_ENTRIES: Final = 5_000
SHORT_ENTRIES: Final = 260
READERS: Final = (20, 500)
READ_FOR_ONE_WRITTEN: Final = 500
LOOK_SECONDS: Final = 0.02
ZIPF: Final = 1.1
MIX: Final = (("list", 10), ("conversation", 20), ("newest", 50), ("older", 15), ("participants", 3), ("calendar", 2))
"""What readers ask for, in percent."""
_CURSOR: Final = re.compile(rb'"next_cursor":"([^"]+)"')

_SEED: Final = (
    "SELECT archive.ensure_month(date_trunc('month', now()) - make_interval(months => n)) FROM generate_series(0, 13) AS n",
    "INSERT INTO archive.tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING",
    """
    INSERT INTO archive.conversations (
        id, tenant_id, number_id, contact_phone, contact_name, entry_count, last_entry_at, last_entry_id, last_direction, last_type,
        last_preview
    )
    SELECT 'cnv_' || lpad(n::text, 26, '0'), $1, $2, '+1666' || lpad(n::text, 7, '0'), 'Contact ' || n,
           CASE WHEN n > $3 - $4::integer THEN $5::integer ELSE $6::integer END, now() - make_interval(mins => n),
           'ent_' || lpad(n::text, 26, '0'), 'incoming', 'text', 'the beginning of what was said last'
    FROM generate_series(1, $3::integer) AS n
    """,
    """
    INSERT INTO archive.entries (id, sent_at, tenant_id, conversation_id, direction, message_id, wamid, type, content)
    SELECT 'ent_' || lpad(n::text, 13, '0') || lpad(k::text, 13, '0'),
           now() - make_interval(mins => n) - k * interval '365 days' / conversations.entry_count,
           $1, conversations.id, CASE k % 2 WHEN 0 THEN 'incoming' ELSE 'outgoing' END,
           CASE k % 2 WHEN 1 THEN 'msg_' || lpad(n::text, 13, '0') || lpad(k::text, 13, '0') END,
           CASE k % 2 WHEN 0 THEN 'wamid.' || n || '.' || k END, CASE k % 40 WHEN 0 THEN 'image' ELSE 'text' END,
           jsonb_build_object(
               'type', 'text', 'text', jsonb_build_object('body', 'what was said as number ' || k || ', some words long')
           )
    FROM (SELECT id, entry_count, substr(id, 5)::integer AS n FROM archive.conversations WHERE tenant_id = $1) AS conversations
    CROSS JOIN LATERAL generate_series(0, conversations.entry_count - 1) AS k
    """,
    """
    INSERT INTO archive.search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
    SELECT entries.sent_at, conversations.conversation_no, tenants.tenant_no, entries.direction = 'outgoing', entries.id,
           entries.type, '', ''
    FROM archive.entries
    JOIN archive.conversations ON conversations.id = entries.conversation_id
    JOIN archive.tenants ON tenants.tenant_id = entries.tenant_id
    WHERE entries.tenant_id = $1
    """,
    """
    INSERT INTO archive.outgoing (tenant_id, message_id, entry_id, height, status, status_at, told_at)
    SELECT tenant_id, message_id, id, 1000003, 'read', sent_at, sent_at
    FROM archive.entries WHERE tenant_id = $1 AND message_id IS NOT NULL
    """,
)
_ANALYZE: Final = ("entries", "search_rows", "conversations", "outgoing")


@dataclass(frozen=True, slots=True)
class _Door:
    """Where readers ask, and as whom."""

    name: str
    url: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class _Tally:
    seconds: list[float] = field(default_factory=list)
    failed: int = 0


async def run(rig: Rig, scale: Scale) -> Report:
    """A year opened for the first time; then the mix, through the gateway and past it, while messages come in."""
    [number] = await rig.connect(1, per_second=80)
    many, long = scale.of(CONVERSATIONS, 60), scale.of(LONG, 10)
    tenant = await rig.database.fetchval("SELECT tenant_id FROM gateway.numbers WHERE id = $1", number.id)
    await _seed(rig, tenant, number, many, long, scale)
    token = json.loads((rig.home / "secrets.json").read_text())["internal_token"]
    port = next(one["port"] for one in rig.facts["processes"] if one["name"] == "archive")
    inner = {"Authorization": f"Bearer {token}", TENANT_HEADER: tenant}
    outside = _Door("gateway", rig.facts["gateway_url"], {"Authorization": f"Bearer {rig.facts['test_key']}"})
    direct = _Door("archive alone", f"http://127.0.0.1:{port}", inner)
    seconds = scale.of(10.0, 1.0)
    report = Report()
    report.rows["a year, for the first time"] = await _opened(outside, range(many - long + 1, many + 1))
    paths = _Paths(many - long)
    await _read(direct, paths, 20, scale.of(15.0, 1.0))  # what is read by many is known by now
    for door in (outside, direct):
        for readers in scale.of(READERS, (20,)):
            before = await _counts(direct)
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(_write(rig, number, many - long, paths))
                row = await _read(door, paths, readers, seconds)
                writing.cancel()
            report.rows[f"{readers:,} readers, {door.name}"] = {**row, "hit_percent": _hits(before, await _counts(direct))}
    shares = ", ".join(f"{share} % {name}" for name, share in MIX)
    report.notes += (
        f"{many:,} conversations, {long} of them a year long with {LONG_ENTRIES:,} entries each. {shares}, pages of 50,",
        f"which conversation by Zipf ({ZIPF}). Closed loop, no pause. One message comes in for {READ_FOR_ONE_WRITTEN} requests,",
        "for a conversation chosen alike; it makes its conversation and the list stale.",
        "A year: its conversation, its last 100 entries, its calendar, a jump half a year back; one after the other, nothing kept.",
    )
    return report


async def _seed(rig: Rig, tenant: str, number: Number, many: int, long: int, scale: Scale) -> None:
    lengths = scale.of(LONG_ENTRIES, 400), scale.of(SHORT_ENTRIES, 60)
    for statement in _SEED:
        arguments: tuple[Any, ...] = (tenant, number.id, many, long, *lengths)
        await rig.database.execute(statement, *arguments[: max(map(int, re.findall(r"\$(\d)", statement)), default=0)])
    for table in _ANALYZE:
        await rig.database.execute(f"VACUUM ANALYZE archive.{table}")


class _Paths:
    """What is asked for next."""

    def __init__(self, many: int) -> None:
        self._chance = random.Random(11)  # noqa: S311  # the same mix every time
        self._kinds = [kind for kind, share in MIX for _ in range(share)]
        self._shares = list(itertools.accumulate(1 / rank**ZIPF for rank in range(1, many + 1)))
        self._conversations = self._chance.sample(range(1, many + 1), many)
        self.further: dict[str, str] = {}
        """The cursor after the newest page of a conversation, once that was read."""
        self.asked = 0

    def some(self) -> str:
        """A conversation."""
        [number] = self._chance.choices(self._conversations, cum_weights=self._shares)
        return f"/api/conversations/cnv_{number:026}"

    def next(self) -> str:
        """A path."""
        self.asked += 1
        kind, conversation = self._chance.choice(self._kinds), self.some()
        if kind == "list":
            return "/api/conversations"
        if kind == "conversation":
            return conversation
        if kind == "older" and conversation in self.further:
            return f"{conversation}/entries?cursor={self.further[conversation]}"
        return f"{conversation}/{kind if kind in {'participants', 'calendar'} else 'entries'}"

    def read(self, path: str, body: bytes) -> None:
        """Remember where a newest page goes on."""
        if path.endswith("/entries") and (found := _CURSOR.search(body[-600:])):
            self.further[path.removesuffix("/entries")] = found[1].decode()


async def _read(door: _Door, paths: _Paths, readers: int, seconds: float) -> Row:
    """So many readers, each asks again once it was answered."""
    tally = _Tally()
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for _ in range(readers):
            group.create_task(_reader(door, paths, tally, began + seconds))
    took = time.monotonic() - began
    return {
        "requests_per_second": round(len(tally.seconds) / took),
        **percentiles(1_000 * each for each in tally.seconds),
        "failed": tally.failed,
    }


async def _reader(door: _Door, paths: _Paths, tally: _Tally, until: float) -> None:
    """One connection, written by hand: a client library would take more of the two cores than what is measured."""
    client = await _Client.open(door)
    try:
        while time.monotonic() < until:
            path = paths.next()
            began = time.monotonic()
            status, body = await client.get(path)
            tally.seconds.append(time.monotonic() - began)
            tally.failed += status != 200
            paths.read(path, body)
    finally:
        client.close()


class _Client:
    def __init__(self, door: _Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = "".join(f"{name}: {value}\r\n" for name, value in door.headers.items())
        self._head = f" HTTP/1.1\r\nHost: {urlsplit(door.url).netloc}\r\n{head}\r\n".encode()
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, door: _Door) -> _Client:
        url = urlsplit(door.url)
        return cls(door, *await asyncio.open_connection(url.hostname, url.port))

    async def get(self, path: str) -> tuple[int, bytes]:
        self._writer.write(b"GET " + path.encode() + self._head)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        return int(head[9:12]), await self._reader.readexactly(int(length[1])) if length else b""

    def close(self) -> None:
        self._writer.close()


async def _opened(door: _Door, numbers: range) -> Row:
    """Each of these for the first time."""
    client, took = await _Client.open(door), []
    half_a_year_ago = time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 182 * 86_400))
    for number in numbers:
        path = f"/api/conversations/cnv_{number:026}"
        began = time.monotonic()
        for part in ("", "/entries?limit=100", "/calendar", f"/entries?order=oldest&at={half_a_year_ago}"):
            status, body = await client.get(path + part)
            assert status == 200, body
        took.append(1_000 * (time.monotonic() - began))
    client.close()
    return percentiles(took)


async def _write(rig: Rig, number: Number, many: int, read: _Paths) -> None:
    """Messages come in, as much is read, until it is cancelled."""
    paths, url, began = _Paths(many), f"{rig.facts['gateway_url']}/api/webhooks/whatsapp", read.asked
    for serial in itertools.count(1):
        while read.asked - began < serial * READ_FOR_ONE_WRITTEN:
            await asyncio.sleep(LOOK_SECONDS)
        body = _message(number, paths, serial)
        headers = {HEADER: sign(SECRET, body), "Content-Type": "application/json"}
        async with rig.session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()


def _message(number: Number, paths: _Paths, serial: int) -> bytes:
    now = time.time_ns()
    message = {
        "id": f"wamid.read.{now}.{serial}",
        "from": f"1666{int(paths.some()[-7:]):07}",
        "timestamp": str(now // 1_000_000_000),
        "type": "text",
        "text": {"body": f"written while it is read, number {serial}"},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15557000000", "phone_number_id": number.phone_number_id},
        "messages": [message],
    }
    entry = {"id": ACCOUNT, "changes": [{"field": "messages", "value": value}]}
    return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


async def _counts(archive: _Door) -> dict[str, Any]:
    client = await _Client.open(archive)
    _, body = await client.get("/api/archive/cache")
    client.close()
    counts: dict[str, Any] = orjson.loads(body)
    return counts


def _hits(before: dict[str, Any], after: dict[str, Any]) -> float:
    """Percent of the answers that no database was asked for."""
    reads = after["reads"] - before["reads"]
    return round(100 * (after["hits"] - before["hits"]) / reads, 1) if reads else 0.0


SCENARIO: Final = Scenario("reading", "conversations read by many while messages come in", 150, run)
