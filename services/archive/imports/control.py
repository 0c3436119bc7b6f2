"""What a tenant decides about an import: start it after a look, end it, take it back. Each of these twice is safe."""

from __future__ import annotations

from services.archive.domain.importing import CANCELABLE, UNDOABLE, ImportOptions, ImportState
from services.archive.imports.upload import UNKNOWN
from services.archive.store import imports as store
from services.archive.store.imports import Import
from shared.bus.outbox import Unit
from shared.errors import Rejected
from shared.ids import TenantId


async def start(unit: Unit, tenant: TenantId, import_id: str, wishes: dict[str, object]) -> Import:
    """Store what was surveyed; `wishes` replace options. Raises `Rejected` 404, 409 where it is not ready."""
    found = await _locked(unit, tenant, import_id)
    options = ImportOptions.model_validate({**found.options.model_dump(), **wishes})
    if found.state in {ImportState.IMPORTING, ImportState.COMPLETED} and options == found.options:
        return found
    if found.state is not ImportState.READY:
        raise Rejected("import.not_ready", f"The import is {found.state}: it is started once it is ready.", 409)
    return await store.set_options(unit.connection, import_id, options, ImportState.IMPORTING)


async def cancel(unit: Unit, tenant: TenantId, import_id: str) -> Import:
    """End it where it is; what was stored stays until it is undone. Raises `Rejected` 404, 409 where it has ended otherwise."""
    found = await _locked(unit, tenant, import_id)
    if found.state is ImportState.CANCELED:
        return found
    if found.state not in CANCELABLE:
        raise Rejected("import.ended", f"The import is {found.state}: there is nothing to cancel.", 409)
    return await store.end(unit.connection, found, ImportState.CANCELED)


async def undo(unit: Unit, tenant: TenantId, import_id: str) -> Import:
    """Take away what it stored. Raises `Rejected` 404, 409 while it still works."""
    found = await _locked(unit, tenant, import_id)
    if found.state in {ImportState.UNDOING, ImportState.UNDONE}:
        return found
    if found.state not in UNDOABLE:
        raise Rejected("import.not_ended", f"The import is {found.state}: cancel it first.", 409)
    return await store.undo(unit.connection, import_id)


async def _locked(unit: Unit, tenant: TenantId, import_id: str) -> Import:
    found = await store.lock(unit.connection, tenant, import_id)
    if found is None:
        raise UNKNOWN
    return found
