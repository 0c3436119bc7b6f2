"""What can be said of a started campaign: where its recipients are, when it will be over, its figures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from services.scheduler.domain.campaign import Campaign, CampaignState
from services.scheduler.domain.estimate import Pace, Plan
from services.scheduler.domain.hours import NeverOpenError
from services.scheduler.domain.run import ANYWHERE, RunCounts, RunTerms
from services.scheduler.domain.zones import resolve
from services.scheduler.payloads.campaigns import CampaignStats, Counts, FailureCount, Interval, Point, Progress, VariantStats
from services.scheduler.runs import counts
from services.scheduler.store import campaigns as store
from shared.db.pool import Connection, Pool
from shared.ids import TenantId

SHORTEST_SECONDS: Final = 5.0
"""After its start or resumption a rate over less than that says nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What slows a run down beside its terms. `paced_seconds`: for how long it has been running."""

    terms: RunTerms
    messages_per_second: int
    paced_seconds: float = 0.0
    per_day: int | None = None

    @property
    def pace(self) -> Pace:
        own = self.terms.pacing
        if own is None:
            return Pace(self.messages_per_second)
        return Pace(
            self.messages_per_second,
            own.messages_per_minute / 60,
            None if own.ramp_from is None else own.ramp_from / 60,
            (own.ramp_minutes or 0) * 60.0,
        )


async def counts_of(connection: Connection | Pool, run_ids: Sequence[str]) -> Mapping[str, Counts]:
    """By run, where its recipients are."""
    found = await counts(connection, run_ids) if run_ids else {}
    return {run_id: Counts(**_counted(of_run)) for run_id, of_run in found.items()}


async def progress(connection: Connection | Pool, campaign: Campaign, now: datetime) -> Progress | None:
    """Where the recipients are, how fast it goes and when it will be over; None for a draft."""
    if campaign.run is None:
        return None
    found = (await counts(connection, [campaign.run.id])).get(campaign.run.id, RunCounts())
    state, rate, end = campaign.state(now), None, None
    row = await store.pace(connection, campaign.run.id)
    if row is not None and row["is_expanded"] and state in {CampaignState.STARTING, CampaignState.RUNNING}:
        if state is CampaignState.RUNNING:
            begun = max(row["since"], campaign.first_due_at or row["since"])
            seconds = (now - begun).total_seconds()
            rate = (found.sent + found.failed - row["base_sent"]) / seconds * 60 if seconds >= SHORTEST_SECONDS else None
        waiting = found.pending + found.outstanding
        unknown = await store.unknown_outcomes(connection, campaign.run.id) if found.outstanding else 0
        if waiting > unknown or not waiting:
            end = await _end(connection, campaign, row, waiting - unknown, now)
    return Progress(
        **_counted(found), messages_per_minute=None if rate is None else round(max(0.0, rate), 1), estimated_end_at=end
    )


async def _end(
    connection: Connection | Pool, campaign: Campaign, row: asyncpg.Record, waiting: int, now: datetime
) -> datetime | None:
    number = (await store.numbers(connection, TenantId(campaign.tenant_id))).get(row["number_id"])
    if number is None or number["paused"] is not None:
        return None
    limits = Limits(RunTerms.model_validate_json(row["terms"]), number["messages_per_second"], row["paced_seconds"])
    return await estimated_end(connection, row["id"], waiting, limits, now)


async def estimated_end(
    connection: Connection | Pool, run_id: str, waiting: int, limits: Limits, now: datetime
) -> datetime | None:
    """When those who wait will have left, at the allowed rates. None: nobody can know, or later than in half a year."""
    terms = limits.terms
    zones: Mapping[str, int] = {ANYWHERE: waiting}
    if waiting and (terms.hours is not None or terms.local_time is not None):
        sample = await store.waiting_zones(connection, run_id)
        seen = sum(sample.values()) or 1
        zones = {zone: count * waiting // seen for zone, count in sample.items()} or zones
    wall = terms.local_time
    ready = {zone: terms.due_at or now if wall is None else resolve(wall, zone) for zone in zones}
    begun = max(now, min(ready.values()))
    plan = Plan(
        waiting=zones,
        ready=ready,
        started=begun - timedelta(seconds=limits.paced_seconds),
        pace=limits.pace,
        hours=terms.hours,
        per_day=limits.per_day,
    )
    try:  # months of openings in a dozen zones take a moment, in which messages are to be released
        return await asyncio.to_thread(plan.end, now)
    except NeverOpenError:
        return None


async def stats(pool: Pool, campaign: Campaign, names: Sequence[str], interval: Interval) -> CampaignStats:
    """Its figures by variant (`names` in their order), by reason and over time; none for a draft."""
    if campaign.run is None:
        return CampaignStats(variants=[], failures=[], interval=interval, series=[])
    run_id = campaign.run.id
    return CampaignStats(
        variants=[_variant(row, names) for row in await store.variants(pool, run_id)],
        failures=[FailureCount(**row) for row in await store.failures(pool, run_id)],
        interval=interval,
        series=[Point(**row) for row in await store.series(pool, run_id, interval)],
    )


def variant_name(names: Sequence[str], index: int) -> str:
    """Of the variant at a place of its campaign's list."""
    return names[index] if index < len(names) else str(index)


def _variant(row: asyncpg.Record, names: Sequence[str]) -> VariantStats:
    ended, sent = row["sent"] + row["failed"], row["sent"]
    return VariantStats(
        name=variant_name(names, row["variant"]),
        recipients=row["recipients"],
        sent=sent,
        delivered=row["delivered"],
        read=row["read"],
        failed=row["failed"],
        sent_rate=_share(sent, ended),
        delivered_rate=_share(row["delivered"], sent),
        read_rate=_share(row["read"], sent),
        failed_rate=_share(row["failed"], ended),
    )


def _counted(found: RunCounts) -> dict[str, Any]:
    ended = found.ended
    return {
        "total": found.total,
        "pending": found.pending,
        "outstanding": found.outstanding,
        "ended": ended,
        "duplicates": found.duplicates,
        "delivered": found.delivered,
        "read": found.read,
        "percent": round(100 * _share(sum(ended.values()), found.total), 1),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
