"""What may be sent: phones, moments, contents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.admission import (
    E164,
    Moments,
    is_address,
    is_forgotten,
    moments,
    normalized_address,
    normalized_phone,
)
from shared.errors import FieldError
from shared.free_json import json_faults
from shared.ids import new_id

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "phone"),
    [
        ("+15551234567", "+15551234567"),
        ("+1 (555) 123-45.67", "+15551234567"),
        ("+1234567", "+1234567"),
        ("+123456789012345", "+123456789012345"),
        ("+123456", None),
        ("+1234567890123456", None),
        ("15551234567", None),
        ("+05551234567", None),
        ("0015551234567", None),
        ("", None),
        ("+", None),
        ("+1555123456a", None),
        ("+1555123456٣", None),
        ("+15551234567\n", None),
        ("+1555\t1234567", None),
        ("++15551234567", None),
    ],
)
def test_a_phone_is_brought_to_e164_or_refused(text: str, phone: str | None) -> None:
    assert normalized_phone(text) == phone


@given(st.text(st.sampled_from("+0123456789 -().a٣"), max_size=20))
def test_what_is_taken_for_a_phone_is_e164_and_stays_as_it_is(text: str) -> None:
    phone = normalized_phone(text)
    assert phone is None or (E164.fullmatch(phone) and phone.isascii() and normalized_phone(phone) == phone)


def test_now_is_meant_where_no_time_or_a_past_one_is_given() -> None:
    for given_time in (None, NOW, NOW - timedelta(days=400)):
        assert moments(given_time, None, NOW) == Moments(NOW, is_scheduled=False, expires_at=None)


def test_a_second_ahead_is_a_clock_that_is_off_and_is_kept_all_the_same() -> None:
    soon = NOW + timedelta(seconds=1)
    assert moments(soon, None, NOW) == Moments(soon, is_scheduled=False, expires_at=None)
    later = NOW + timedelta(seconds=1, microseconds=1)
    assert moments(later, None, NOW) == Moments(later, is_scheduled=True, expires_at=None)


def test_a_message_needs_time_to_leave_before_it_expires() -> None:
    due = NOW + timedelta(hours=1)
    for scheduled, expires in ((due, due), (due, NOW), (None, NOW), (None, NOW - timedelta(days=1))):
        fault = moments(scheduled, expires, NOW)
        assert isinstance(fault, FieldError)
        assert (fault.pointer, fault.code) == ("/expires_at", "time.too_early")
    assert moments(due, due + timedelta(microseconds=1), NOW) == Moments(due, True, due + timedelta(microseconds=1))


@given(
    st.none() | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))])),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_any_two_moments_give_a_plan_or_a_fault_and_the_plan_is_never_in_the_past(
    scheduled: datetime | None, expires: datetime | None
) -> None:
    plan = moments(scheduled, expires, NOW)
    if isinstance(plan, FieldError):
        assert plan.pointer in {"/scheduled_time", "/expires_at"}
    else:
        assert plan.not_before >= NOW
        assert plan.expires_at is None or plan.expires_at > plan.not_before


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("+1 (555) 123-4567", "+15551234567"),
        ("US.13491208655302741918", "US.13491208655302741918"),
        ("US.ENT.1349", "US.ENT.1349"),
        ("us.1349", None),
        ("group:1", None),
        ("15551234567", None),
    ],
)
def test_an_address_is_a_phone_number_or_a_user_id(given: str, address: str | None) -> None:
    assert normalized_address(given) == address


def test_a_message_can_go_to_a_group_too() -> None:
    assert is_address("group:12036304@g.us")
    assert not is_address("group:")
    assert not is_address("group:a b")
    assert not is_address("+1 555")


@pytest.mark.parametrize(("days", "forgotten"), [(0, False), (6.9, False), (7.1, True), (3_000, True)])
def test_what_the_sender_calls_a_message_is_forgotten_after_a_week(days: float, forgotten: bool) -> None:
    assert is_forgotten(new_id("msg"), datetime.now(UTC) + timedelta(days=days)) is forgotten


def test_free_json_is_held_to_what_every_hop_can_carry() -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    value = {"a/b~c": [2**53, 2**53 + 1, -(2**53) - 1], "deep": deep, "fine": [True, None, 1.5, "x"]}
    assert [(fault.pointer, fault.code) for fault in json_faults(value, "/p")] == [
        ("/p/a~1b~0c/1", "number.out_of_range"),
        ("/p/a~1b~0c/2", "number.out_of_range"),
        ("/p/deep" + "/0" * 16, "json.too_deep"),
    ]
