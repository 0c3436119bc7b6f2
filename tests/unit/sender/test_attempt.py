"""The name under which an attempt travels to the provider and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.domain.attempt import AttemptId, parse_attempt_id
from shared.ids import MessageId

MESSAGE = MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4")


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
