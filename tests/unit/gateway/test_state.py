"""Where a message stands: the same in whatever order and however often it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.state import MOST_LINES, UNCONFIRMED, Change, State, Telling, changes_of, first_of, told
from services.gateway.domain.status import RANKS, Status
from services.gateway.domain.timeline import Entry, entries_of, line_of, name_of, readable
from shared.events.catalogue import MessageDeferred, MessageSent, MessageUnsettled
from shared.ids import MessageId, TenantId
from tests.contract.events.samples import samples

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
MESSAGE, TENANT = MessageId("msg_a"), TenantId("tnt")
FIRST = State(Status.ACCEPTED, None, None, None, NOW, line_of(name_of(Status.ACCEPTED, NOW)))


def change(status: Status, seconds: float, wamid: str | None = None, code: str | None = None) -> Change:
    return Change(status, NOW + timedelta(seconds=seconds), wamid, code)


def deferral(seconds: float, code: str = "limit.pair", wait: float = 6, *, counted: bool = False) -> Change:
    at = NOW + timedelta(seconds=seconds)
    return Change(Status.SCHEDULED, at, code=code, until=at + timedelta(seconds=wait), counted=counted)


def shown_of(state: State) -> list[Entry]:
    """As the tenant reads it."""
    return readable(entries_of(state.timeline))


told_by_others = [status for status in Status if status not in {Status.SCHEDULED, Status.QUEUED, Status.SENT}]
moments = st.integers(0, 10) | st.sampled_from([0.25, 0.5, 1.25, 3.75])
codes = st.none() | st.just("code")
changes = st.builds(change, st.sampled_from(told_by_others), moments, st.none() | st.just("wamid"), codes) | st.builds(
    change, st.just(Status.SENT), moments, st.just("wamid"), codes
)
deferrals = st.builds(deferral, st.integers(0, 10), st.sampled_from(["limit.pair", "circuit.open"]), counted=st.booleans())


@given(st.lists(st.one_of(changes, deferrals), max_size=15), st.data())
def test_any_order_and_repetition_gives_the_same_status_and_entries(told_of: list[Change], data: st.DataObject) -> None:
    more = data.draw(st.lists(st.sampled_from(told_of), max_size=5)) if told_of else []
    again = data.draw(st.permutations(told_of + more))
    once, twice = told(FIRST, told_of)[0], told(FIRST, again)[0]
    assert (once.status, once.wamid) == (twice.status, twice.wamid)
    shown = [{(e.status, e.at) for e in shown_of(s) if e.until is None} for s in (once, twice)]
    taken = {(c.status, c.at) for c in told_of if c.until is not None}
    assert shown[0] - taken == shown[1] - taken


@given(st.lists(st.one_of(changes, deferrals), max_size=15), st.integers(0, 15))
def test_told_in_two_parts_is_as_told_at_once(told_of: list[Change], cut: int) -> None:
    first, new_first = told(FIRST, told_of[:cut])
    second, new_second = told(first, told_of[cut:])
    at_once, new = told(FIRST, told_of)
    assert second.timeline == at_once.timeline
    assert (second.status, second.wamid, second.code) == (at_once.status, at_once.wamid, at_once.code)
    assert new_first + new_second == new


@given(st.lists(changes, max_size=15))
def test_each_entry_is_new_once_and_written_once(told_of: list[Change]) -> None:
    state, new = told(FIRST, told_of)
    assert len({(c.status, c.at) for c in new}) == len(new)
    assert len({(e.status, e.at) for e in entries_of(state.timeline)}) == len(entries_of(state.timeline)) == 1 + len(new)
    assert told(state, told_of) == (state, [])


@given(st.lists(changes, max_size=15))
def test_the_status_is_the_highest_told_with_its_own_code(told_of: list[Change]) -> None:
    state, new = told(FIRST, told_of)
    assert RANKS[state.status] == max(RANKS[c.status] for c in [*new, change(Status.ACCEPTED, 0)])
    if state.status is not Status.ACCEPTED:
        first = next(c for c in new if c.status is state.status)
        assert state.code == first.code
    assert (state.wamid is not None) == any(c.wamid is not None for c in told_of)


ANSWERED = change(Status.SENT, 0.7, "wamid")


@pytest.mark.parametrize("seconds", [0, 1, 60])
def test_that_a_message_is_sent_is_told_once_by_the_answer_or_by_the_report(seconds: int) -> None:
    report = change(Status.SENT, seconds, "wamid")
    state, new = told(FIRST, [ANSWERED, report])
    assert new == [ANSWERED]
    reported_first, both = told(FIRST, [report, ANSWERED])
    assert both == [report, ANSWERED]
    assert [e[:2] for e in shown_of(state)] == [e[:2] for e in shown_of(reported_first)]
    read = change(Status.READ, seconds)
    assert told(told(FIRST, [ANSWERED, read])[0], [report])[1] == [], "nor when it comes last"


@pytest.mark.parametrize("report", [change(Status.SENT, -1, "wamid"), change(Status.SENT, 0, "wamid of another attempt")])
def test_a_report_that_says_more_than_the_answer_is_new(report: Change) -> None:
    assert told(FIRST, [ANSWERED, report])[1] == [ANSWERED, report]


def test_a_message_put_back_keeps_its_status_and_has_no_error() -> None:
    state, new = told(FIRST, [deferral(1)])
    assert (state.status, state.code, len(new)) == (Status.ACCEPTED, None, 1)
    assert entries_of(state.timeline)[-1] == (
        Status.SCHEDULED,
        NOW + timedelta(seconds=1),
        "limit.pair",
        NOW + timedelta(seconds=7),
    )


def test_a_long_wait_for_one_thing_stays_one_line_and_attempts_do_not() -> None:
    state = told(FIRST, [deferral(n, "circuit.open") for n in range(1, 100)])[0]
    assert [e.at for e in entries_of(state.timeline)] == [NOW, NOW + timedelta(seconds=99)]
    assert told(state, [deferral(5, "circuit.open")])[0].timeline == state.timeline, "told again, late"
    other = told(state, [deferral(100, "limit.pair")])[0]
    assert [e.code for e in entries_of(other.timeline)] == [None, "circuit.open", "limit.pair"]
    attempts = told(FIRST, [deferral(n, "provider.131000", counted=True) for n in range(1, 10)])[0]
    assert len(entries_of(attempts.timeline)) == 10


def test_a_timeline_is_bounded_however_often_a_message_is_put_back() -> None:
    codes = ["limit.pair", "circuit.open"]
    state = told(FIRST, [deferral(n, codes[n % 2]) for n in range(1, 3 * MOST_LINES)])[0]
    assert state.timeline.count("\n") == MOST_LINES
    ended = told(state, [change(Status.SENT, 1_000), change(Status.READ, 1_001)])[0]
    assert [e.status for e in entries_of(ended.timeline)][-2:] == [Status.SENT, Status.READ]


UNSETTLED = MessageUnsettled(tenant_id=TENANT, message_id=MESSAGE, attempt=1, code="provider.timeout", started_at=NOW)
LAST_WORD = UNSETTLED.model_copy(update={"code": UNCONFIRMED, "occurred_at": NOW + timedelta(minutes=15)})


@pytest.mark.parametrize("order", [(UNSETTLED, LAST_WORD), (LAST_WORD, UNSETTLED), (UNSETTLED, LAST_WORD, UNSETTLED)])
def test_when_nobody_reports_the_error_says_so_and_the_status_stays(order: tuple[MessageUnsettled, ...]) -> None:
    state = told(FIRST, [c for event in order for c in changes_of(event)])[0]
    assert (state.status, state.code) == (Status.UNKNOWN, UNCONFIRMED)
    assert "not sent again" in (state.detail or "")
    settled = told(state, [change(Status.DELIVERED, 2_000, "wamid")])[0]
    assert (settled.status, settled.code, settled.detail) == (Status.DELIVERED, None, None)


def test_that_it_was_released_is_no_status() -> None:
    state, new = told(FIRST, [change(Status.QUEUED, 1)])
    assert (state.status, [c.status for c in new]) == (Status.ACCEPTED, [Status.QUEUED])


def test_queued_comes_with_the_outcome() -> None:
    released = NOW + timedelta(seconds=2)
    event = MessageSent(tenant_id=TENANT, message_id=MESSAGE, attempt=1, wamid="w", started_at=NOW, released_at=released)
    assert [c.status for c in changes_of(event)] == [Status.QUEUED, Status.SENDING, Status.SENT]
    former = event.model_copy(update={"released_at": None})
    assert [c.status for c in changes_of(former)] == [Status.SENDING, Status.SENT]


def put_down(seconds: float, code: str = "limit.pair") -> MessageDeferred:
    """Released half a second before it was put down for a limit."""
    at = NOW + timedelta(seconds=seconds)
    return MessageDeferred(
        tenant_id=TENANT,
        message_id=MESSAGE,
        attempt=1,
        code=code,
        counted=False,
        released_at=at - timedelta(seconds=0.5),
        occurred_at=at,
        retry_at=at + timedelta(seconds=6),
    )


def test_a_deferral_tells_of_its_release_and_when_the_message_may_leave() -> None:
    told_of = changes_of(put_down(1))
    assert [c.status for c in told_of] == [Status.QUEUED, Status.SCHEDULED]
    assert told_of[1].until == NOW + timedelta(seconds=7)


@pytest.mark.parametrize("again", [[], [5], [1, 98]])
def test_releases_of_a_long_wait_do_not_add_up(again: list[int]) -> None:
    events = [put_down(seconds) for seconds in [*range(1, 100), *again]]
    state = told(FIRST, [c for event in events for c in changes_of(event)])[0]
    kept = [(e.status, e.at) for e in entries_of(state.timeline)]
    first, last = NOW + timedelta(seconds=0.5), NOW + timedelta(seconds=99)
    assert kept == [(Status.ACCEPTED, NOW), (Status.QUEUED, first), (Status.SCHEDULED, last)]
    other = told(state, changes_of(put_down(200, "circuit.open")))[0]
    assert [e.status for e in entries_of(other.timeline)][3:] == [Status.QUEUED, Status.SCHEDULED]


def test_a_timeline_with_releases_is_bounded_too() -> None:
    events = [put_down(n, ["limit.pair", "circuit.open"][n % 2]) for n in range(1, 3 * MOST_LINES)]
    state = told(FIRST, [c for event in events for c in changes_of(event)])[0]
    assert state.timeline.count("\n") <= MOST_LINES + 1


@given(st.lists(changes, max_size=8), st.lists(changes, max_size=8))
def test_the_first_of_each_status_is_counted_once_however_it_is_told(before: list[Change], after: list[Change]) -> None:
    state, once = told(FIRST, before)
    counted = [change.status for change in first_of(FIRST.timeline, once)]
    _, again = told(state, [*before, *after])
    counted += [change.status for change in first_of(state.timeline, again)]
    assert len(counted) == len(set(counted))
    assert set(counted) <= {change.status for change in (*before, *after)}


def test_a_hold_without_an_end_takes_the_place_of_the_same_before_it() -> None:
    held = [Change(Status.SCHEDULED, NOW + timedelta(seconds=n), code="template.paused") for n in (1, 2)]
    state, new = told(FIRST, held)
    assert new == held
    assert (state.status, state.code) == (Status.ACCEPTED, None)
    assert entries_of(state.timeline)[1:] == [Entry(Status.SCHEDULED, NOW + timedelta(seconds=2), "template.paused")]
    assert told(state, held[1:]) == (state, [])


OWN = [
    subject
    for subject, event in sorted(samples().items())
    if event.event_owner in {"scheduler", "sender"} and subject.startswith("message.") and subject != "message.requested.v1"
]


@pytest.mark.parametrize("subject", OWN)
def test_every_event_of_scheduler_and_sender_tells_of_a_state(subject: str) -> None:
    event = samples()[subject]
    assert isinstance(event, Telling)
    told_of = changes_of(event)
    assert told_of
    assert changes_of(event) == told_of
