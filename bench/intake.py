"""Webhooks as Meta brings them: how many, how soon answered, in singles and in batches, with the broker there and without it."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bench.offer import accept, text
from bench.records import percentiles
from bench.rig import ACCOUNT, Number, Rig
from bench.scenario import Report, Row, Scale, Scenario
from shared.auth.signatures import HEADER, sign

SECRET: Final = "bench-app-secret"  # noqa: S105  # of a sandbox that lives as long as this run
EVENTS_PER_SECOND: Final = 3_300
"""What a thousand messages a second become: three reports of each and some answers."""
BATCH: Final = 100
"""Updates a payload; Meta's have up to a thousand."""
CONNECTIONS: Final = 32
MESSAGES: Final = 5_000
INBOUND_EVERY: Final = 4
"""One of so many updates is a message that somebody wrote; the others are reports."""
LATER: Final = timedelta(days=300)
PATIENCE_SECONDS: Final = 120.0
WAITING: Final = "SELECT count(*) FROM gateway.webhooks WHERE quarantined IS NULL"
TAKEN: Final = "SELECT count(*) FROM gateway.inbound WHERE wamid LIKE $1 || '%'"


async def run(rig: Rig, scale: Scale) -> Report:
    """Singles and batches at the rate that is promised, both as fast as it goes, then without the broker."""
    [number] = await rig.connect(1, per_second=1_000)
    ids = await _waiting(rig, number, scale.of(MESSAGES, 200))
    updates = _Updates(number, ids)
    seconds = scale.of(10.0, 1.0)
    await _offered(rig, updates, size=1, per_second=EVENTS_PER_SECOND, seconds=scale.of(3.0, 0.5))
    rows = {
        f"singles, {EVENTS_PER_SECOND:,}/s": await _offered(
            rig, updates, size=1, per_second=EVENTS_PER_SECOND, seconds=seconds
        ),
        f"batches of {BATCH}, {EVENTS_PER_SECOND:,}/s": await _offered(
            rig, updates, size=BATCH, per_second=EVENTS_PER_SECOND, seconds=seconds
        ),
        "singles, as fast as it goes": await _offered(rig, updates, size=1, per_second=None, seconds=seconds),
        f"batches of {BATCH}, as fast as it goes": await _offered(rig, updates, size=BATCH, per_second=None, seconds=seconds),
    }
    with _stopped(rig, "rabbitmq"):
        for name, size in (("singles", 1), (f"batches of {BATCH}", BATCH)):
            rows[f"{name}, {EVENTS_PER_SECOND:,}/s, broker away"] = await _offered(
                rig, updates, size=size, per_second=EVENTS_PER_SECOND, seconds=seconds, is_read=False
            )
    await _until_read(rig)
    return Report(
        rows,
        [
            f"of {INBOUND_EVERY} updates one is a message, the others report on {len(ids):,} messages; {CONNECTIONS} connections.",
            "ack: from the moment an update was due to be brought until it was answered 200; signed, checked and durable.",
        ],
    )


class _Updates:
    """Payloads without end, each update another one. `prefix` tells this run's messages from the next one's."""

    def __init__(self, number: Number, ids: Sequence[str]) -> None:
        self._number = number
        self._reports = itertools.cycle((message, status) for status in ("sent", "delivered", "read") for message in ids)
        self._serial = itertools.count(1)
        self.prefix = ""
        self.messages = 0
        """Of this run, so far."""

    def begin(self) -> None:
        """Another run."""
        self.prefix, self.messages = f"wamid.{time.time_ns()}.", 0

    def payload(self, size: int) -> bytes:
        """Of so many updates."""
        statuses, messages = [], []
        for _ in range(size):
            serial = next(self._serial)
            now = str(int(time.time()))
            if serial % INBOUND_EVERY:
                message, status = next(self._reports)
                statuses.append(
                    {
                        "id": f"wamid.{message}",
                        "status": status,
                        "timestamp": now,
                        "recipient_id": "15551234567",
                        "biz_opaque_callback_data": f"{message}.1",
                    }
                )
            else:
                self.messages += 1
                body = {"body": f"what somebody wrote, number {serial}"}
                sender = f"1666{serial % 1_000_000:07d}"
                messages.append(
                    {"id": f"{self.prefix}{serial}", "from": sender, "timestamp": now, "type": "text", "text": body}
                )
        value: dict[str, Any] = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15557000000", "phone_number_id": self._number.phone_number_id},
        }
        if statuses:
            value["statuses"] = statuses
        if messages:
            value["messages"] = messages
        entry = {"id": ACCOUNT, "changes": [{"field": "messages", "value": value}]}
        return orjson.dumps({"object": "whatsapp_business_account", "entry": [entry]})


@dataclass(slots=True)
class _Tally:
    """What came of the requests: seconds until each answer, by status."""

    acks: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)


async def _offered(
    rig: Rig, updates: _Updates, *, size: int, per_second: int | None, seconds: float, is_read: bool = True
) -> Row:
    """So many updates a second by the clock, or as fast as `CONNECTIONS` take them. Requests are made before the clock starts."""
    updates.begin()
    count = round((per_second or EVENTS_PER_SECOND) * seconds / size)
    url = urlsplit(f"{rig.facts['gateway_url']}/api/webhooks/whatsapp")
    requests = [_request(url.netloc, url.path, updates.payload(size)) for _ in range(count)]
    tally = _Tally()
    turn = enumerate(requests)
    began = time.monotonic()
    pace = None if per_second is None else size / per_second
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(_bring(url.hostname or "", url.port or 0, turn, tally, began, pace))
    took = time.monotonic() - began
    row: Row = {
        "updates": count * size,
        "events_per_second": round(count * size / took),
        **{f"ack_{name}": value for name, value in percentiles(1_000 * ack for ack in tally.acks).items()},
        "refused": sum(tally.statuses.values()) - tally.statuses[200],
    }
    if is_read:
        row["read_after_s"] = await _until_read(rig)
        row["lost"] = updates.messages - await rig.database.fetchval(TAKEN, updates.prefix)
    return row


async def _bring(
    host: str, port: int, turn: Iterator[tuple[int, bytes]], tally: _Tally, began: float, pace: float | None
) -> None:
    """One connection, one request after the other. Written by hand, for a client library would take more of the two cores than what
    is measured."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for at, request in turn:
            due = time.monotonic() if pace is None else began + at * pace
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            tally.acks.append(time.monotonic() - due)
            status = int(head[9:12])
            tally.statuses[status] += 1
            if (length := _length(head)) > 0:
                await reader.readexactly(length)
    finally:
        writer.close()


def _request(host: str, path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{HEADER}: {sign(SECRET, body)}\r\nUser-Agent: facebookexternalua\r\n\r\n"
    )
    return head.encode() + body


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _waiting(rig: Rig, number: Number, how_many: int) -> list[str]:
    """Messages that are not due for long: nobody but these webhooks says anything of them."""
    due = (datetime.now(UTC) + LATER).isoformat()
    return await accept(rig, [text(number, f"+1777{n:07d}", scheduled_time=due) for n in range(how_many)])


async def _until_read(rig: Rig) -> float:
    """Wait until no payload waits to be read; the seconds that took."""
    began = time.monotonic()
    while await rig.database.fetchval(WAITING) and time.monotonic() - began < PATIENCE_SECONDS:
        await asyncio.sleep(0.05)
    return round(time.monotonic() - began, 1)


@contextmanager
def _stopped(rig: Rig, name: str) -> Iterator[None]:
    """A server that neither answers nor ends: worse than one that is gone, which the stack would start again."""
    pids = [pid for process in rig.pids(name) for pid in (process, *_children(process))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    """Those it has started, and theirs."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
    return [each for child in own for each in (child, *_children(child))]


SCENARIO: Final = Scenario("intake", "webhooks in: signed, durable, answered", 90, run)
