"""Events of these tests only."""

from __future__ import annotations

from collections.abc import Iterable

from shared.events.event import Event
from shared.ids import TenantId

TENANT = TenantId("ten_test")


class Happened(Event, name="test.happened", version=1, owner="test"):
    """The one most tests use."""

    seq: int


class HappenedV2(Event, name="test.happened", version=2, owner="test"):
    """Same name, other version."""

    seq: int


class HappenedTwice(Event, name="test.happened_twice", version=1, owner="test"):
    """Its name begins like another's."""

    seq: int


class OtherHappened(Event, name="test.other.happened", version=1, owner="test"):
    """One word more."""

    seq: int


def happened(seqs: Iterable[int]) -> list[Event]:
    return [Happened(tenant_id=TENANT, seq=seq) for seq in seqs]


def seq(event: Event) -> int:
    return event.seq  # type: ignore[attr-defined,no-any-return]  # every event here has one
