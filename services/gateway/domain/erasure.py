"""Who is erased, and how far an erasure has come. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from services.gateway.domain.contact import Contact
from services.gateway.domain.phone import parse_phone
from shared.erasure.person import Person
from shared.ids import TenantId
from shared.phones import spellings

SERVICES: Final = ("gateway", "scheduler", "sender", "archive")
"""In the order in which they erase. Whoever is to be written to goes first."""
CLEAN_PASSES: Final = 2
"""So many that find nothing, one after the other: the first may have looked while something was on its way between two services."""
SETTLE: Final = timedelta(seconds=5)
"""Before the second of them: longer than an event is under way."""
_FIRST_WAIT: Final = 2.0
_LONGEST_WAIT: Final = timedelta(hours=1)


class State(StrEnum):
    RUNNING = "running"
    VERIFYING = "verifying"
    COMPLETED = "completed"


Counts = Mapping[str, Mapping[str, int]]
"""By service and part."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an erasure is. A pass goes through the services in their order and erases, or counts what is left; they take turns
    until `CLEAN_PASSES` have counted nothing."""

    state: State
    erases: bool = True
    clean_passes: int = 0
    service: str = SERVICES[0]
    place: str = ""
    erased: Counts = field(default_factory=dict)
    remaining: Counts = field(default_factory=dict)
    passes: int = 0

    def stepped(self, part: str, found: int, place: str | None) -> tuple[Progress, timedelta]:
        """After a step that found so much, with the time until the next one."""
        after = self
        if found and self.erases:
            after = replace(self, erased=_added(self.erased, self.service, part, found))
        elif found:
            after = replace(self, remaining=_added(self.remaining, self.service, part, found))
        if place is not None:
            return replace(after, place=place), timedelta()
        following = SERVICES.index(self.service) + 1
        if following < len(SERVICES):
            return replace(after, service=SERVICES[following], place=""), timedelta()
        return _passed(replace(after, service=SERVICES[0], place="", passes=self.passes + 1))


def _added(counts: Counts, service: str, part: str, found: int) -> Counts:
    of_service = counts.get(service, {})
    return {**counts, service: {**of_service, part: of_service.get(part, 0) + found}}


def _passed(progress: Progress) -> tuple[Progress, timedelta]:
    """At the end of a pass."""
    if progress.erases:
        return replace(progress, erases=False, remaining={}), timedelta()
    if progress.state is State.VERIFYING:
        return replace(progress, state=State.COMPLETED), timedelta()
    if progress.remaining:
        return replace(progress, erases=True, clean_passes=0), wait_after(progress.passes // 2)
    if progress.clean_passes + 1 < CLEAN_PASSES:
        return replace(progress, clean_passes=progress.clean_passes + 1), SETTLE
    return replace(progress, state=State.COMPLETED, clean_passes=0), timedelta()


def wait_after(times: int) -> timedelta:
    """Until it is tried again, after so many tries."""
    return min(timedelta(seconds=_FIRST_WAIT * 2 ** min(times, 20)), _LONGEST_WAIT)


def person_of(addresses: Iterable[str], contacts: Sequence[Contact], participant_ids: Sequence[str]) -> Person:
    """All that names them: each phone number in its spellings, and what their contacts are called by."""
    known = [*addresses, *(value for contact in contacts for kind, value in contact.identifiers.items() if kind != "username")]
    return Person(addresses=spelt(known), contact_ids=[one.id for one in contacts], participant_ids=list(participant_ids))


def spelt(addresses: Iterable[str]) -> list[str]:
    """Each once, phone numbers in all their spellings."""
    found = [spelling for address in addresses for spelling in (spellings(address) if address.startswith("+") else (address,))]
    return list(dict.fromkeys(found))


def canonical(phone: str) -> str | None:
    """The one spelling of a number that a request names; None for what is none."""
    return parse_phone(phone)


def digest(key: bytes, tenant_id: TenantId, address: str) -> bytes:
    """What is kept of an address, for somebody who has it to compare."""
    return hmac.digest(key, f"{tenant_id} {address}".encode(), "sha256")
