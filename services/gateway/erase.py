"""Erasure of a person: the gateway goes through all services, a step at a time, until none of them finds anything any more.

Nothing travels by events: each step is asked for, answered and written down, so that a process that dies in the middle leaves an
erasure that goes on where it was. Who it is about stands sealed in its row until it is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import aiohttp
import asyncpg
import structlog
from pydantic import ValidationError

from services.gateway.domain import erasure
from services.gateway.domain.erasure import State
from services.gateway.erasing import OwnParts
from services.gateway.store import contacts, erasing
from services.gateway.store import erasures as store
from services.gateway.store.erasures import Claimed
from shared.auth.seal import Sealer, SealError
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Connection, Pool
from shared.erasure.person import Person
from shared.erasure.steps import PATH, Asking, Parts, Step
from shared.http.internal import CLIENT_HEADER, TENANT_HEADER
from shared.ids import TenantId, new_id
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

COLUMN: Final = "erasures.sealed_person"
STEP_SECONDS: Final = 15.0
LEASE: Final = timedelta(seconds=40)
"""After a crash it goes on when this is over. A step asks twice at most, so nobody else takes it before it is written down."""
STEPS_AT_ONCE: Final = 200
"""Before another erasure has its turn."""
AWAY: Final = "service.unavailable"
INTERNAL: Final = "internal"
"""Our own fault, which its traceback tells: only this one erasure waits for it to be mended."""
_BROKEN: Final = (TimeoutError, aiohttp.ClientError, ValidationError)


class ServiceAway(Exception):
    """A service did not answer a step."""


@dataclass(frozen=True, slots=True)
class InnerServices:
    """Asks the others for their steps. `urls` are their base URLs by name, `token` the internal one."""

    session: aiohttp.ClientSession
    urls: Mapping[str, str]
    token: str

    async def step(self, service: str, tenant_id: TenantId, requested_by: str, asking: Asking) -> Step:
        """Raises `ServiceAway`."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            TENANT_HEADER: tenant_id,
            CLIENT_HEADER: requested_by,
            "Content-Type": "application/json",
        }
        try:
            async with self.session.post(
                f"{self.urls[service].rstrip('/')}{PATH}",
                data=asking.model_dump_json().encode(),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=STEP_SECONDS),
            ) as answer:
                if answer.status != 200:
                    raise ServiceAway(f"{service} answered {answer.status}")
                return Step.model_validate_json(await answer.read())
        except _BROKEN as error:
            raise ServiceAway(f"{service}: {type(error).__name__}") from None


@dataclass(frozen=True, slots=True)
class Erasures:
    """Asks for erasures and goes on with those that are asked for. `key` is the one of the digests that stay of addresses."""

    outbox: Outbox
    pool: Pool
    sealer: Sealer
    key: bytes
    own: OwnParts
    parts: Parts
    others: InnerServices

    async def request(self, unit: Unit, tenant_id: TenantId, requested_by: str, person: Person) -> asyncpg.Record:
        """Let the person be erased; the row."""
        erasure_id = new_id("ers")
        sealed = self.sealer.seal(tenant_id, COLUMN, erasure_id, person.model_dump_json())
        log.info("erasure.requested", erasure_id=erasure_id, tenant_id=tenant_id, requested_by=requested_by)
        return await store.insert(
            unit.connection,
            store.New(
                erasure_id, tenant_id, requested_by, self.digests(tenant_id, person), person.contact_ids, person.participant_ids,
                sealed,
            ),
        )  # fmt: skip

    async def verify(
        self, connection: Connection, tenant_id: TenantId, row: asyncpg.Record, person: Person
    ) -> asyncpg.Record | None:
        """Count what there is of the person now; None where the erasure is not completed."""
        sealed = self.sealer.seal(tenant_id, COLUMN, row["id"], person.model_dump_json())
        return await store.verify(connection, tenant_id, row["id"], sealed)

    async def person(
        self,
        connection: Connection,
        tenant_id: TenantId,
        addresses: Sequence[str],
        contact_ids: Sequence[str],
        others: Sequence[str],
    ) -> Person:
        """Everything that names whoever has these addresses, contacts and (`others`) participants."""
        asked = Person(addresses=erasure.spelt(addresses), contact_ids=list(contact_ids))
        found = await erasing.contacts(connection, tenant_id, asked, "")
        known = [stored.contact for stored in await contacts.find(connection, tenant_id, list(found.items))]
        person = erasure.person_of(addresses, known, others)
        return person.model_copy(update={"contact_ids": list(dict.fromkeys([*contact_ids, *person.contact_ids]))})

    def digests(self, tenant_id: TenantId, person: Person) -> list[bytes]:
        return [erasure.digest(self.key, tenant_id, address) for address in person.addresses]

    async def work(self) -> bool:
        """Go on with the erasure that is due for longest; True where there may be more to do."""
        one = await store.claim(self.pool, LEASE)
        if one is None:
            return False
        try:
            person = Person.model_validate_json(self.sealer.open(one.tenant_id, COLUMN, one.id, one.sealed_person))
        except SealError as error:  # another master key than the one it was asked for under
            await self._put_off(one, error, "erasure.sealed_by_another_key")
            return True
        for _ in range(STEPS_AT_ONCE):
            try:
                after, wait = await self._step(one, person)
            except Exception as error:
                is_away = isinstance(error, ServiceAway) or is_unavailable(error)
                if not is_away:
                    log.exception("erasure.broke", erasure_id=one.id, service=one.progress.service)
                await self._put_off(one, error, AWAY if is_away else INTERNAL)
                return True
            is_over = after.progress.state is State.COMPLETED or wait > timedelta()
            if not await store.save(self.pool, after, code=None, wait=wait if is_over else LEASE):
                return True  # another replica has it
            if is_over:
                _log(after)
                return True
            one = after
        await store.save(self.pool, one, code=None, wait=timedelta())
        return True

    async def _step(self, one: Claimed, person: Person) -> tuple[Claimed, timedelta]:
        progress = one.progress
        asking = Asking(person=person, place=progress.place, erase=progress.erases)
        step = await self._ask(one, asking)
        media = 0
        if step.wamids and progress.erases:
            async with self.outbox.transaction() as unit:
                media = await self.own.see_to(unit, one.tenant_id, step.wamids)
            step = await self._ask(one, asking.model_copy(update={"announced": step.wamids}))
            if step.wamids and step.place == progress.place:  # others have come meanwhile: once more, with those
                return replace_progress(one, progress), timedelta()
        if media:
            log.info("erasure.media", erasure_id=one.id, files=media)
        after, wait = progress.stepped(step.part, step.found, step.place)
        return replace_progress(one, after), wait

    async def _ask(self, one: Claimed, asking: Asking) -> Step:
        if one.progress.service == "gateway":
            return await self.parts.step(self.outbox, one.tenant_id, asking)
        return await self.others.step(one.progress.service, one.tenant_id, "gateway", asking)

    async def _put_off(self, one: Claimed, error: Exception, code: str = AWAY) -> None:
        told = str(error) if isinstance(error, ServiceAway | SealError) else type(error).__name__  # others may quote the person
        log.warning("erasure.put_off", erasure_id=one.id, service=one.progress.service, error=told)
        late = one._replace(failures=one.failures + 1)
        await store.save(self.pool, late, code=code, wait=erasure.wait_after(late.failures))


def replace_progress(one: Claimed, progress: erasure.Progress) -> Claimed:
    """After a step, which has not failed."""
    return one._replace(progress=progress, failures=0)


def _log(one: Claimed) -> None:
    log.info(
        "erasure.completed" if one.progress.state is State.COMPLETED else "erasure.pass",
        erasure_id=one.id,
        erased=_total(one.progress.erased),
        remaining=_total(one.progress.remaining),
        passes=one.progress.passes,
    )


def _total(counts: erasure.Counts) -> int:
    return sum(sum(parts.values()) for parts in dict(counts).values())
