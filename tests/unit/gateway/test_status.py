"""The public status only climbs, in whatever order it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.status import RANKS, Change, Status, changes_of, highest, readable
from shared.ids import MessageId, TenantId
from tests.contract.events.samples import samples

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)

entries = st.lists(
    st.tuples(
        st.sampled_from(Status),
        st.integers(0, 5_000_000).map(lambda us: NOW + timedelta(microseconds=us)),
        st.none() | st.just("code"),
    ),
    max_size=12,
)
changes = st.builds(
    Change,
    st.sampled_from(["msg_a", "msg_b", "msg_c"]).map(MessageId),
    st.just(TenantId("tnt")),
    st.sampled_from(Status),
    st.integers(0, 10).map(lambda s: NOW + timedelta(seconds=s)),
    st.none() | st.just("wamid"),
    st.none() | st.just("code"),
)


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


@given(st.lists(changes, max_size=15), st.data())
def test_any_order_and_repetition_gives_the_same_statuses(told: list[Change], data: st.DataObject) -> None:
    again = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=5) if told else st.just([]))))
    assert {c.message_id: c.status for c in highest(told)} == {c.message_id: c.status for c in highest(again)}


@given(st.lists(changes, max_size=15), st.integers(0, 15))
def test_told_in_two_parts_is_as_told_at_once(told: list[Change], cut: int) -> None:
    in_parts = highest([*highest(told[:cut]), *highest(told[cut:])])
    assert [(c.message_id, c.status) for c in in_parts] == [(c.message_id, c.status) for c in highest(told)]


@given(st.lists(changes, max_size=15))
def test_there_is_one_change_per_message_in_the_order_of_ids_and_with_the_wamid_if_any_has_it(told: list[Change]) -> None:
    top = highest(told)
    assert [c.message_id for c in top] == sorted({c.message_id for c in told})
    for change in top:
        own = [c for c in told if c.message_id == change.message_id]
        assert RANKS[change.status] == max(RANKS[c.status] for c in own)
        assert (change.wamid is not None) == any(c.wamid is not None for c in own)


@given(entries, st.data())
def test_a_timeline_reads_in_order_whatever_order_its_rows_come_in(
    rows: list[tuple[Status, datetime, str | None]], data: st.DataObject
) -> None:
    shown = readable(rows)
    assert all(before[1] <= after[1] for before, after in pairwise(shown))
    assert [entry[:2] for entry in readable(data.draw(st.permutations(rows)))] == [entry[:2] for entry in shown]


@given(entries)
def test_a_timeline_keeps_late_lower_entries_and_shows_reports_once(rows: list[tuple[Status, datetime, str | None]]) -> None:
    shown = [status for status, _, _ in readable(rows)]
    once = {Status.SENT, Status.DELIVERED, Status.READ}
    assert set(shown) == {status for status, _, _ in rows}
    for status in Status:
        told = sum(row[0] is status for row in rows)
        assert shown.count(status) == (min(told, 1) if status in once else told)


@given(entries)
def test_no_time_is_moved_by_a_second_or_more(rows: list[tuple[Status, datetime, str | None]]) -> None:
    for status, at, _ in readable(rows):
        assert any(row[0] is status and timedelta() <= at - row[1] < timedelta(seconds=1) for row in rows)


def test_the_providers_whole_second_does_not_stand_before_our_own_microseconds() -> None:
    sent_at = NOW + timedelta(milliseconds=700)
    rows = [(Status.READ, NOW, None), (Status.DELIVERED, NOW, None), (Status.SENT, NOW, None), (Status.SENT, sent_at, None)]
    assert [status for status, _, _ in readable(rows)] == [Status.SENT, Status.DELIVERED, Status.READ]
    late = [(Status.READ, NOW, None), (Status.DELIVERED, NOW + timedelta(seconds=3), None)]
    assert [status for status, _, _ in readable(late)] == [Status.READ, Status.DELIVERED]


def test_what_we_saw_ourselves_stands_in_the_order_we_saw_it() -> None:
    """A message released, put back by the provider and released again, all within a second."""
    told = [Status.QUEUED, Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT]
    rows = [(status, NOW + timedelta(milliseconds=100 * n), None) for n, status in enumerate(told, 1)]
    shown = readable([(Status.READ, NOW, None), (Status.DELIVERED, NOW, None), *rows])
    assert [status for status, _, _ in shown] == [*told, Status.DELIVERED, Status.READ]


OWN = [s for s, event in sorted(samples().items()) if event.event_owner in {"scheduler", "sender"}]


@pytest.mark.parametrize("subject", OWN)
def test_every_event_of_scheduler_and_sender_tells_of_a_state(subject: str) -> None:
    event = samples()[subject]
    told = changes_of(event)
    assert told
    assert {(c.message_id, c.tenant_id) for c in told} == {(event.model_dump()["message_id"], event.tenant_id)}
    assert changes_of(event) == told


def test_an_event_that_tells_of_no_state_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"message\.accepted"):
        changes_of(samples()["message.accepted.v1"])
