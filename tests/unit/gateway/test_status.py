"""The public status has one order."""

from __future__ import annotations

from services.gateway.domain.status import RANKS, Status


def test_no_two_statuses_stand_equally_high() -> None:
    assert len(set(RANKS.values())) == len(Status) == len(RANKS)


def test_the_order_is_the_documented_one() -> None:
    way = [
        Status.ACCEPTED,
        Status.SCHEDULED,
        Status.QUEUED,
        Status.SENDING,
        Status.UNKNOWN,
        Status.SENT,
        Status.DELIVERED,
        Status.READ,
    ]
    assert sorted(way, key=RANKS.__getitem__) == way
    for end in (Status.CANCELED, Status.EXPIRED, Status.SUPPRESSED, Status.FAILED):
        assert RANKS[Status.SENT] < RANKS[end] < RANKS[Status.DELIVERED]
