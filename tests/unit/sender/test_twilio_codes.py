"""What Twilio's answers mean: an expectation per code, and nothing that raises."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Rejected, Retry, Scope, Sent, Unknown
from services.sender.provider.twilio_codes import CODES, outcome_of

# Twilio, error dictionary, read 2026-11. Every code of the table stands in exactly one of these.
NUMBER_WAITS = {14107: 1.0, 20429: 1.0, 21611: 60.0, 30001: 60.0, 63017: 1.0, 63018: 60.0, 63026: 300.0, 63038: 3600.0}
RETRIED = {30008, 63009, 63010, 63011, 63012, 63019, 63023, 63037}
PAUSED = {10001, 20003, 20005, 20006, 20008, 20010, 20151, 20403, 20404, 30002}
PAUSED |= {21212, 21470, 21471, 21472, 21603, 21609, 63001, 63002, 63007, 63008, 63020, 63022}
REJECTED = {10002, 20413, 20422, 21211, 21214, 21217, 21266, 21401, 21408}
REJECTED |= {21602, 21604, 21606, 21607, 21608, 21610, 21612, 21614, 21617, 21618, 21620, 21623, 21654, 21655, 21656}
REJECTED |= {30003, 30004, 30005, 30006, 30007}
REJECTED |= {63003, 63005, 63006, 63013, 63014, 63015, 63016, 63021, 63024, 63025, 63027, 63028, 63029, 63030, 63031}
REJECTED |= {63032, 63033, 63034, 63040, 63049}
TEMPLATE_RESTS = {63041}

SID = "SM0123456789abcdef0123456789abcdef"


def answer(code: Any, status: int, retry_after: str | None = None) -> Outcome:
    return outcome_of(
        status, orjson.dumps({"code": code, "message": "Something", "more_info": "…", "status": status}), retry_after
    )


def test_every_code_has_one_expectation_and_one_row() -> None:
    assert sorted([*NUMBER_WAITS, *RETRIED, *PAUSED, *REJECTED, *TEMPLATE_RESTS]) == sorted(CODES)


@pytest.mark.parametrize(("code", "seconds"), NUMBER_WAITS.items())
def test_a_throttle_says_nothing_about_the_message(code: int, seconds: float) -> None:
    for status in (400, 429):
        assert answer(code, status) == Retry(f"provider.{code}", seconds, counted=False, scope=Scope.NUMBER)
    assert answer(code, 429, "5") == Retry(f"provider.{code}", 5.0, counted=False, scope=Scope.NUMBER)


@pytest.mark.parametrize("code", sorted(RETRIED))
def test_the_channels_trouble_comes_back_and_counts(code: int) -> None:
    assert answer(code, 400) == Retry(f"provider.{code}", None)


@pytest.mark.parametrize("code", sorted(PAUSED))
def test_an_unfit_account_or_sender_pauses_the_number_and_says_what_to_do(code: int) -> None:
    outcome = answer(code, 401)
    assert isinstance(outcome, PauseNumber)
    assert outcome.code == f"provider.{code}"
    repair, _, said = outcome.detail.partition(" The provider says: ")
    assert len(repair) > 40
    assert said == "Something"


@pytest.mark.parametrize("code", sorted(REJECTED))
def test_what_twilio_will_never_take_is_rejected(code: int) -> None:
    assert answer(code, 400) == Rejected(f"provider.{code}", "Something")


def test_a_template_can_rest_alone() -> None:
    assert answer(63041, 400) == PauseTemplate("provider.63041", 10_800.0)


def test_an_unknown_code_is_judged_by_its_http_status() -> None:
    assert answer(99999, 400) == Rejected("provider.99999", "Something")
    assert answer(99999, 429) == Retry("provider.99999", 1.0, counted=False, scope=Scope.NUMBER)


@pytest.mark.parametrize("code", [20500, 20503, 20429, 21211])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_error_of_the_server_leaves_the_outcome_open_whatever_its_body(code: int, status: int) -> None:
    assert answer(code, status) == Unknown(f"provider.http_{status}")


@pytest.mark.parametrize("status", [200, 201])
def test_an_acceptance_carries_its_sid(status: int) -> None:
    assert outcome_of(status, orjson.dumps({"sid": SID, "status": "queued"}), None) == Sent(SID)


@pytest.mark.parametrize("sid", [None, "", 5, "SM1", "AC" + SID[2:], SID + "0", "SM" + "g" * 32])
def test_an_acceptance_that_cannot_be_read_may_have_been_one(sid: Any) -> None:
    assert outcome_of(201, orjson.dumps({"sid": sid}), None) == Unknown("provider.unreadable_answer")


@pytest.mark.parametrize("status", [302, 400, 401, 404, 500])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"code":"21211"}', b'{"code":true}'])
def test_without_an_error_body_the_outcome_is_open(status: int, body: bytes) -> None:
    assert outcome_of(status, body, None) == Unknown(f"provider.http_{status}")


def test_too_many_is_a_throttle_with_any_body() -> None:
    assert outcome_of(429, b"slow down", "5") == Retry("provider.http_429", 5.0, counted=False, scope=Scope.NUMBER)


garbage = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["code", "message", "sid", "status"]), inner),
    max_leaves=8,
)


@given(st.integers(100, 599), st.binary(max_size=50) | garbage.map(orjson.dumps), st.none() | st.text(max_size=8))
@example(400, b'{"code":' * 2000, None)
@example(201, b"[" * 100_000, None)
def test_no_answer_raises(status: int, body: bytes, retry_after: str | None) -> None:
    assert isinstance(outcome_of(status, body, retry_after), Outcome)
