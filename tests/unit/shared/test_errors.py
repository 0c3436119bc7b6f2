"""Failures are data: codes that can be logged, and nothing else in their text."""

from __future__ import annotations

import pickle

import pytest

from shared.errors import BatchFailed, Failure, FieldError, Permanent, Rejected, Retry
from shared.ids import EventId


@pytest.mark.parametrize("failure", [Rejected("a.b", "a sentence"), Retry("a.b", after=3), Permanent("a.b")])
def test_the_text_of_a_failure_is_its_code(failure: Failure) -> None:
    assert str(failure) == failure.code == "a.b"
    assert isinstance(failure, Failure)


def test_a_rejection_keeps_its_faults_and_is_one_of_a_kind() -> None:
    fault = FieldError("/to", "phone.invalid", "must be a phone number")
    one, other = Rejected("a.b", "x", 422, [fault]), Rejected("a.b", "x", 422, [fault])
    assert one.errors == [fault]
    assert one != other  # exceptions are told apart by identity: a group keeps both
    assert len({one, other}) == 2


def test_a_retry_counts_unless_it_says_otherwise() -> None:
    assert Retry("a").counted
    assert Retry("a").after is None
    assert not Retry("a", counted=False).counted


def test_a_partial_failure_names_each_event_and_shows_their_number_only() -> None:
    given = {EventId("evt_1"): Retry("x"), EventId("evt_2"): Permanent("y")}
    failed = BatchFailed(given)
    assert failed.failures == given
    given.clear()
    assert len(failed.failures) == 2
    assert str(failed) == "2 events failed"


def test_a_failure_survives_a_process_border() -> None:
    assert pickle.loads(pickle.dumps(Permanent("a.b"))).code == "a.b"  # noqa: S301  # our own bytes
