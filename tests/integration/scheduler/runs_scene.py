"""Runs in the scheduler's tests: what is opened, what the gateway answers, what the ledger says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from services.scheduler import dispatch, expand, hold, release
from services.scheduler.domain.run import RunCounts, RunKind, RunSpec
from services.scheduler.runs import cancel_runs, counts, open_run, pause_runs, resume_runs
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import AudienceFound, MessageAccepted, MessageReleased, MessageRequested, MessageRequestRefused
from shared.events.event import Event
from shared.events.values import Audience, Recipient, Variant
from shared.ids import TenantId
from tests.integration.scheduler.telling import NUMBER, TENANT, nothing, now
from tests.support.told import told

E = TypeVar("E", bound=Event)

CONTENT = {"type": "template", "template": {"name": "hello", "language": {"code": "en"}}}


def spec(**changes: Any) -> RunSpec:
    given: dict[str, Any] = {
        "audience": Audience(group_ids=["grp_1"]),
        "variants": [Variant(content=CONTENT)],
        "number_id": NUMBER,
        "due_at": now(),
    }
    return RunSpec(**{**given, **changes})


def recipient(number: int, **changes: Any) -> Recipient:
    return Recipient(**{"to": f"+1555{number:07}", "zone": "Europe/Madrid", "content": CONTENT, **changes})


def page(
    run_id: str,
    number: int,
    recipients: Sequence[Recipient],
    cursor: str | None = None,
    tenant: TenantId = TENANT,
    **changes: Any,
) -> AudienceFound:
    return AudienceFound(
        tenant_id=tenant, run_id=run_id, page=number, recipients=list(recipients), next_cursor=cursor, **changes
    )


async def opened(
    outbox: Outbox, kind: RunKind = RunKind.CAMPAIGN, owner: str = "cmp_1", tenant: TenantId = TENANT, **changes: Any
) -> str:
    async with outbox.transaction() as unit:
        return await open_run(unit, tenant, kind, owner, spec(**changes), now=now())


async def opened_with(
    outbox: Outbox, recipients: Sequence[Recipient], tenant: TenantId = TENANT, kind: RunKind = RunKind.CAMPAIGN, **changes: Any
) -> str:
    """A run whose whole audience is found."""
    run_id = await opened(outbox, kind, tenant=tenant, **changes)
    pages = [recipients[start : start + 500] for start in range(0, len(recipients), 500)] or [[]]
    for number, part in enumerate(pages):
        cursor = f"c{number}" if number < len(pages) - 1 else None
        await find(outbox, page(run_id, number, part, cursor, tenant))
    return run_id


async def find(outbox: Outbox, *pages: AudienceFound, at: datetime | None = None) -> None:
    await expand.expand(outbox, pages, at or now())


async def pause(outbox: Outbox, *run_ids: str, code: str = "campaign.paused") -> list[str]:
    async with outbox.transaction() as unit:
        return await pause_runs(unit, run_ids, code, None)


async def resume(outbox: Outbox, *run_ids: str) -> list[str]:
    async with outbox.transaction() as unit:
        return await resume_runs(unit, run_ids)


async def cancel(outbox: Outbox, *run_ids: str) -> list[str]:
    async with outbox.transaction() as unit:
        return await cancel_runs(unit, run_ids)


async def settle_down(outbox: Outbox) -> None:
    """Fold and dispatch until neither finds anything to do now."""
    while await dispatch.fold(outbox) or await dispatch.dispatch(outbox):
        pass
    await dispatch.dispatch(outbox)


def accept(request: MessageRequested) -> MessageAccepted:
    """What the gateway makes of a request."""
    names = ("message_id", "run_id", "number_id", "to", "content", "tier", "not_before", "expires_at", "on_unknown", "hours")
    given = {name: getattr(request, name) for name in (*names, "needs_consent", "traceparent")}
    return MessageAccepted(tenant_id=request.tenant_id, **given)


def refuse(request: MessageRequested, code: str = "number.unknown") -> MessageRequestRefused:
    return MessageRequestRefused(
        tenant_id=request.tenant_id, message_id=request.message_id, run_id=request.run_id, code=code, detail="/from is unknown"
    )


async def state_of(pool: Pool, run_id: str) -> str:
    state: str = await pool.fetchval("SELECT state FROM runs WHERE id = $1", run_id)
    return state


async def counted(pool: Pool, run_id: str) -> RunCounts:
    """The counts, which are those of the rows."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        found = (await counts(connection, [run_id]))[run_id]
        rows = await connection.fetch("SELECT state, count(*) AS n FROM recipients WHERE run_id = $1 GROUP BY state", run_id)
        beside = await connection.fetchrow(
            "SELECT count(delivered_at) AS delivered, count(read_at) AS read, count(failed_at) AS undelivered "
            "FROM recipients WHERE run_id = $1",
            run_id,
        )
    assert beside is not None
    by_rows = RunCounts(**{row["state"]: row["n"] for row in rows}, **dict(beside), duplicates=found.duplicates)
    assert found == by_rows
    return found


async def heard(pool: Pool, kind: type[E]) -> list[E]:
    return [event for event in await told(pool) if isinstance(event, kind)]


async def asked_for(outbox: Outbox, pool: Pool) -> list[MessageRequested]:
    """What the dispatch asks for until it has nothing more to do now."""
    await settle_down(outbox)
    return await heard(pool, MessageRequested)


async def held(outbox: Outbox, requests: list[MessageRequested]) -> None:
    await hold.hold(outbox, [accept(request) for request in requests], nothing)


async def let_go(outbox: Outbox, pool: Pool) -> list[MessageReleased]:
    await release.release_due(outbox)
    return await heard(pool, MessageReleased)
