"""Change what a tenant wants of time and words, and tell the others."""

from __future__ import annotations

from services.gateway.domain.tenant_settings import TenantSettings, faults
from services.gateway.payloads.settings import ChangeSettings
from services.gateway.store import settings as store
from shared.bus.outbox import Unit
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.events.catalogue import TenantChanged
from shared.ids import TenantId
from shared.telemetry.tracing import current_traceparent


async def change(unit: Unit, tenant_id: TenantId, body: ChangeSettings) -> TenantSettings:
    """Change what the body names; what changes nothing tells nothing. Raises `Rejected` 422."""
    before = await store.lock(unit.connection, tenant_id)
    given = body.model_dump(include=body.model_fields_set)
    given = {name: value for name, value in given.items() if value is not None}
    kept = before.model_dump(exclude={*body.model_fields_set})
    wanted = TenantSettings(**{**kept, **given})
    if wanted.hours is not None and not (wanted.hours.quiet or wanted.hours.allowed):
        wanted = wanted.model_copy(update={"hours": None})
    found = list(faults(wanted))
    if found:
        raise Rejected("request.invalid", f"{found[0].pointer} {found[0].detail}.", errors=found)
    if wanted == before:
        return before
    after = await store.update(unit.connection, tenant_id, wanted)
    unit.emit(
        TenantChanged(
            tenant_id=tenant_id,
            traceparent=current_traceparent(),
            revision=after.revision,
            time_zone=after.time_zone,
            hours=after.told_hours(),
        )
    )
    return after


async def time_zone_of(pool: Pool, tenant_id: TenantId) -> str:
    """The tenant's own zone."""
    return (await store.find(pool, tenant_id)).time_zone
