"""What every message of a template is checked against, looked up seldom."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.gateway import tenants
from services.gateway.templates import (
    FRESH_SECONDS,
    Described,
    TemplateDirectory,
    parameter_faults,
    take_reading,
)
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.support.told import silent_outbox

ORDER = ("order", "en_US")


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


async def read(pool: Pool, tenant_id: TenantId, text: str, account_id: str = "1") -> None:
    components = [{"type": "BODY", "text": text}]
    described = Described(*ORDER, "77", "approved", "utility", None, None, "POSITIONAL", components)
    async with silent_outbox(pool, "gateway").transaction() as unit:
        await take_reading(unit, tenant_id, account_id, [described], datetime.now(UTC))


async def tenant(pool: Pool) -> TenantId:
    async with pool.acquire() as connection:
        return await tenants.create(connection, "Acme")


def message(*texts: str) -> dict[str, Any]:
    parameters = [{"type": "text", "text": text} for text in texts]
    template = {"name": ORDER[0], "language": {"code": ORDER[1]}, "components": [{"type": "body", "parameters": parameters}]}
    return {"type": "template", "template": template}


async def test_what_is_known_is_looked_up_once_in_five_seconds(pool: Pool) -> None:
    clock, tenant_id = Clock(), await tenant(pool)
    directory = TemplateDirectory(pool, clock)
    assert await directory.known(tenant_id, [ORDER]) == {}
    await read(pool, tenant_id, "{{1}}")
    assert await directory.known(tenant_id, [ORDER]) == {}
    clock.seconds += FRESH_SECONDS + 1
    known = await directory.known(tenant_id, [ORDER, ("other", "en")])
    assert known.keys() == {ORDER}
    assert parameter_faults(known, message("Ana")) == []
    assert [fault.code for fault in parameter_faults(known, message("Ana", "77"))] == ["template.parameter_count"]
    assert parameter_faults(known, {"type": "text", "text": {"body": "x"}}) == []


async def test_each_tenant_knows_its_own_and_one_fitting_account_is_enough(pool: Pool) -> None:
    tenant_id, other = await tenant(pool), await tenant(pool)
    await read(pool, tenant_id, "{{1}}")
    await read(pool, tenant_id, "{{1}} {{2}}", account_id="2")
    directory = TemplateDirectory(pool, Clock())
    assert await directory.known(other, [ORDER]) == {}
    known = await directory.known(tenant_id, [ORDER])
    assert parameter_faults(known, message("a")) == parameter_faults(known, message("a", "b")) == []
    assert parameter_faults(known, message()) != []
