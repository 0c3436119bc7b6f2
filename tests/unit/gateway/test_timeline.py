"""Timelines: kept as text, read in the order things happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.status import Status
from services.gateway.domain.timeline import Entry, entries_of, has, hides_sent, line_of, name_of, readable, waiting

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)
moments = st.integers(0, 5_000_000).map(lambda us: NOW + timedelta(microseconds=us))
entries = st.lists(st.builds(Entry, st.sampled_from(Status), moments, st.none() | st.just("code"), st.none()), max_size=12)
put_back = st.builds(Entry, st.just(Status.SCHEDULED), moments, st.just("limit.pair"), moments)


def kept(rows: list[Entry]) -> str:
    return "".join(line_of(name_of(e.status, e.at), e.code, e.until) for e in rows)


@given(st.lists(st.one_of(entries.filter(bool).map(lambda rows: rows[0]), put_back)))
def test_what_is_kept_is_what_is_read(rows: list[Entry]) -> None:
    assert entries_of(kept(rows)) == rows


def test_equal_moments_have_one_name_whatever_their_offset() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert name_of(Status.SENT, elsewhere) == name_of(Status.SENT, NOW) == "sent 2026-11-20T10:00:00Z"
    assert name_of(Status.READ, NOW + timedelta(microseconds=5)) == "read 2026-11-20T10:00:00.000005Z"


@given(st.datetimes(NOW.replace(1000, tzinfo=None), NOW.replace(9000, tzinfo=None), timezones=st.timezones() | st.just(UTC)))
def test_a_moment_is_written_in_utc_as_every_version_has_written_it(moment: datetime) -> None:
    assert name_of(Status.SENT, moment) == f"sent {moment.astimezone(UTC).isoformat().removesuffix('+00:00')}Z"


@given(entries, st.data())
def test_a_timeline_reads_in_order_whatever_order_it_was_told_in(rows: list[Entry], data: st.DataObject) -> None:
    shown = readable(rows)
    assert all(before.at <= after.at for before, after in pairwise(shown))
    assert [entry[:2] for entry in readable(data.draw(st.permutations(rows)))] == [entry[:2] for entry in shown]


@given(entries)
def test_a_timeline_keeps_late_lower_entries_and_shows_reports_once(rows: list[Entry]) -> None:
    shown = [entry.status for entry in readable(rows)]
    once = {Status.SENT, Status.DELIVERED, Status.READ}
    assert set(shown) == {entry.status for entry in rows}
    for status in Status:
        told = sum(entry.status is status for entry in rows)
        assert shown.count(status) == (min(told, 1) if status in once else told)


@given(entries)
def test_no_time_is_moved_by_a_second_or_more(rows: list[Entry]) -> None:
    for entry in readable(rows):
        assert any(e.status is entry.status and timedelta() <= entry.at - e.at < timedelta(seconds=1) for e in rows)


def test_the_providers_whole_second_does_not_stand_before_our_own_microseconds() -> None:
    sent_at = NOW + timedelta(milliseconds=700)
    rows = [Entry(Status.READ, NOW), Entry(Status.DELIVERED, NOW), Entry(Status.SENT, NOW), Entry(Status.SENT, sent_at)]
    assert [entry.status for entry in readable(rows)] == [Status.SENT, Status.DELIVERED, Status.READ]
    late = [Entry(Status.READ, NOW), Entry(Status.DELIVERED, NOW + timedelta(seconds=3))]
    assert [entry.status for entry in readable(late)] == [Status.READ, Status.DELIVERED]


@given(entries, st.integers(0, 5))
def test_a_report_is_hidden_where_it_would_not_show(rows: list[Entry], seconds: int) -> None:
    report = Entry(Status.SENT, NOW + timedelta(seconds=seconds))
    if hides_sent(kept(rows), name_of(report.status, report.at)):
        assert readable([*rows, report]) == readable(rows)
    elif not any(entry.status is Status.SENT for entry in rows):
        assert readable([*rows, report]) != readable(rows)


def test_our_own_microseconds_stand_for_the_providers_whole_second() -> None:
    rows = [Entry(Status.SENT, NOW), Entry(Status.SENT, NOW + timedelta(milliseconds=700))]
    assert readable(rows) == readable(rows[::-1]) == rows[1:]


def test_what_we_saw_ourselves_stands_in_the_order_we_saw_it() -> None:
    """A message released, put back by the provider and released again, all within a second."""
    told = [Status.QUEUED, Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.SENT]
    rows = [Entry(status, NOW + timedelta(milliseconds=100 * n)) for n, status in enumerate(told, 1)]
    shown = readable([Entry(Status.READ, NOW), Entry(Status.DELIVERED, NOW), *rows])
    assert [entry.status for entry in shown] == [*told, Status.DELIVERED, Status.READ]


def test_a_message_waits_for_what_put_it_back_last_until_it_has_left() -> None:
    until = NOW + timedelta(seconds=6)
    rows = [Entry(Status.ACCEPTED, NOW), Entry(Status.SCHEDULED, NOW + timedelta(seconds=1), "limit.pair", until)]
    assert waiting(Status.ACCEPTED, rows) == ("limit.pair", until)
    assert waiting(Status.UNKNOWN, rows) == ("limit.pair", until)
    assert waiting(Status.ACCEPTED, rows[::-1]) == ("limit.pair", until), "a sender's clock may be behind ours"
    assert waiting(Status.ACCEPTED, rows[:1]) is None
    assert waiting(Status.ACCEPTED, []) is None
    for status in (Status.SENT, Status.CANCELED, Status.FAILED, Status.READ):
        assert waiting(status, rows) is None
    assert waiting(Status.UNKNOWN, [*rows, Entry(Status.UNKNOWN, until, "provider.timeout")]) is None


def test_what_holds_a_message_until_nobody_knows_when_is_a_wait_too() -> None:
    held = Entry(Status.SCHEDULED, NOW + timedelta(seconds=2), "template.paused")
    assert entries_of(kept([held])) == [held]
    accepted, scheduled = Entry(Status.ACCEPTED, NOW), Entry(Status.SCHEDULED, NOW)
    assert waiting(Status.SCHEDULED, [accepted, scheduled, held]) == ("template.paused", None)
    assert waiting(Status.SCHEDULED, [accepted, scheduled]) is None
    assert waiting(Status.FAILED, [accepted, held]) is None


def test_a_status_is_looked_for_by_its_whole_name() -> None:
    lines = kept([Entry(Status.ACCEPTED, NOW), Entry(Status.SENT, NOW, "sending")])
    assert has(lines, Status.SENT)
    assert not has(lines, Status.SENDING)
    assert not has("", Status.SENT)
