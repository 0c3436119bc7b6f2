"""When to give up, and how long to wait before the next try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.domain.attempt import AttemptId, parse_attempt_id
from services.sender.domain.outcome import (
    BACKOFF_CAP_SECONDS,
    MAX_FAILURES,
    NotSent,
    Outcome,
    Refused,
    Sent,
    Unknown,
    backoff_seconds,
    settle,
)
from shared.ids import MessageId

MESSAGE = MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4")


@given(st.integers(0, 1_000), st.floats(0, 1))
def test_the_wait_lies_between_nothing_and_the_cap(failures: int, jitter: float) -> None:
    wait = backoff_seconds(failures, jitter)
    assert 0 <= wait <= BACKOFF_CAP_SECONDS
    assert wait <= 2.0**failures


@given(st.integers(0, 50), st.floats(0, 1))
def test_the_wait_grows_with_the_failures(failures: int, jitter: float) -> None:
    assert backoff_seconds(failures, jitter) <= backoff_seconds(failures + 1, jitter)


@pytest.mark.parametrize("failures", range(MAX_FAILURES + 3))
def test_a_message_is_given_up_at_its_last_counted_failure(failures: int) -> None:
    settled = settle(NotSent("provider.2"), failures)
    if failures + 1 < MAX_FAILURES:
        assert settled == NotSent("provider.2")
    else:
        assert settled == Refused("attempts.exhausted", f"gave up after {failures + 1} failed attempts; the last: provider.2")


@pytest.mark.parametrize("outcome", [Sent("w"), Refused("c", "d"), Unknown("c"), NotSent("provider.4", 60, counted=False)])
def test_everything_else_stays_as_it_is_however_many_failures(outcome: Outcome) -> None:
    assert settle(outcome, 1_000) is outcome


@given(st.integers(0, 999_999))
def test_an_attempts_name_comes_back_as_it_was(attempt: int) -> None:
    assert parse_attempt_id(str(AttemptId(MESSAGE, attempt))) == AttemptId(MESSAGE, attempt)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ".",
            "x",
            MESSAGE,
            f"{MESSAGE}.",
            f"{MESSAGE}.-1",
            f"{MESSAGE}.1.5",
            f"{MESSAGE}. 1",
            f"{MESSAGE}.1\n",
            f"{MESSAGE}.٣",
        ),
        *(f"num{MESSAGE[3:]}.1", f" {MESSAGE}.1", f"{MESSAGE[:-1]}.1", f"{MESSAGE}.{'9' * 5_000}", f"{MESSAGE}.{2**31}"),
    ],
    ids=range(15),
)
def test_another_name_is_nobodys(text: str) -> None:
    assert parse_attempt_id(text) is None


@given(st.text(max_size=50))
def test_no_text_raises(text: str) -> None:
    parse_attempt_id(text)
    parse_attempt_id(f"{MESSAGE}.{text}")
