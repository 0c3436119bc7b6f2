"""What a hold keeps of a message, to be known at its release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.hours import open_span
from services.scheduler.domain.obstacle import Openings, UnusableHoursError, is_free_form, template_of
from shared.events.catalogue import MessageAccepted
from shared.events.values import DailySpan, Hours, Tier
from shared.ids import EventId, MessageId, NumberId, TenantId

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
NIGHT = Hours(zone="Europe/Berlin", quiet=[DailySpan(start="21:00", end="08:00")])
NEVER = Hours(zone="Etc/UTC", quiet=[DailySpan(start="00:00", end="00:00")])
NOWHERE = Hours(zone="No/Where", quiet=[DailySpan(start="21:00", end="08:00")])


def accepted(due: datetime, hours: Hours | None, tier: Tier = Tier.NORMAL) -> MessageAccepted:
    return MessageAccepted(
        event_id=EventId("e"),
        occurred_at=AT,
        tenant_id=TenantId("tnt"),
        message_id=MessageId("msg"),
        number_id=NumberId("num"),
        to="+15551234567",
        content={},
        tier=tier,
        not_before=due,
        hours=hours,
    )


@pytest.mark.parametrize(
    ("content", "template", "free_form"),
    [
        ({"type": "template", "template": {"name": "sale", "language": {"code": "en_US"}}}, "sale:en_US", False),
        ({"type": "template", "template": {"name": "sale"}}, None, False),
        ({"type": "template", "template": "sale"}, None, False),
        ({"type": "template"}, None, False),
        ({"type": "text", "text": {"body": "template"}}, None, True),
        ({"type": "reaction"}, None, True),
        ({}, None, True),
    ],
)
def test_a_template_is_known_by_name_and_language(content: dict[str, Any], template: str | None, free_form: bool) -> None:
    assert template_of(content) == template
    assert is_free_form(content) is free_form


@pytest.mark.parametrize(
    ("due", "quiet_at"),
    [
        ("2026-11-20T10:00Z", "2026-11-20T20:00Z"),
        ("2026-11-20T19:59Z", "2026-11-20T20:00Z"),
        ("2026-11-20T20:00Z", "2026-11-20T20:00Z"),
        ("2026-11-21T06:59Z", "2026-11-21T06:59Z"),
        ("2026-11-21T07:00Z", "2026-11-21T20:00Z"),
    ],
)
def test_a_message_may_leave_until_its_hours_close(due: str, quiet_at: str) -> None:
    kept, closes = Openings().quiet_at(accepted(datetime.fromisoformat(due), NIGHT))
    assert kept is not None
    assert Hours.model_validate_json(kept) == NIGHT
    assert closes == datetime.fromisoformat(quiet_at)


@pytest.mark.parametrize("hours", [NEVER, NOWHERE])
def test_hours_that_nobody_can_keep_are_closed_at_once(hours: Hours) -> None:
    openings = Openings()
    assert openings.quiet_at(accepted(AT, hours))[1] == AT
    with pytest.raises(UnusableHoursError):
        openings.span(hours.model_dump_json(), AT)


def test_a_critical_message_and_one_without_hours_may_always_leave() -> None:
    openings = Openings()
    assert openings.quiet_at(accepted(AT, NIGHT, Tier.CRITICAL)) == (None, None)
    assert openings.quiet_at(accepted(AT, None)) == (None, None)
    assert openings.quiet_at(accepted(AT, Hours(zone="Etc/UTC")))[1] is None


times = st.integers(0, 14 * 24 * 60).map(lambda minutes: AT + timedelta(minutes=minutes))


@given(st.lists(times, min_size=1, max_size=20))
def test_what_was_worked_out_before_changes_nothing(asked: list[datetime]) -> None:
    openings = Openings()
    text = NIGHT.model_dump_json()
    assert [openings.span(text, at) for at in asked] == [open_span(NIGHT, NIGHT.zone, at) for at in asked]
