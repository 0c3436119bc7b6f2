"""What outcomes mean for holds, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.settlement import DEFERRED, DONE, UNSETTLED, settlements
from shared.events.catalogue import MessageDeferred, MessageFailed, MessageSent, MessageUnsettled
from shared.events.event import Event
from shared.ids import EventId
from tests.contract.events.samples import samples

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
RETRY_AT = datetime(2026, 11, 20, 11, tzinfo=UTC)


def outcome(kind: str, message: str = "msg_a", attempt: int = 1) -> Event:
    """Of fixed bytes, so that hypothesis can repeat itself."""
    event_id = EventId(f"{kind}.{message}.{attempt}")
    head: dict[str, Any] = {"tenant_id": "tnt", "message_id": message, "attempt": attempt, "event_id": event_id}
    match kind:
        case "sent":
            return MessageSent(**head, wamid="w", started_at=AT)
        case "failed":
            return MessageFailed(**head, code="c", detail="d", started_at=AT)
        case "deferred":
            return MessageDeferred(**head, retry_at=RETRY_AT, code="c")
        case _:
            return MessageUnsettled(**head, code="c", started_at=AT)


kinds = st.sampled_from(["sent", "failed", "deferred", "unsettled"])
outcomes = st.lists(st.builds(outcome, kinds, st.sampled_from(["msg_a", "msg_b"]), st.integers(1, 3)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("kind", "settlement"),
    [
        ("sent", ("msg_a", 1, DONE, None, False)),
        ("failed", ("msg_a", 1, DONE, None, False)),
        ("deferred", ("msg_a", 1, DEFERRED, RETRY_AT, True)),
        ("unsettled", ("msg_a", 1, UNSETTLED, None, False)),
    ],
)
def test_each_outcome_has_its_meaning(kind: str, settlement: tuple[object, ...]) -> None:
    assert settlements([outcome(kind)]) == [settlement]


def test_an_uncounted_deferral_counts_no_failure() -> None:
    event = outcome("deferred").model_copy(update={"counted": False})
    assert settlements([event]) == [("msg_a", 1, DEFERRED, RETRY_AT, False)]


@given(outcomes, st.data())
def test_any_order_and_repetition_settles_the_same(told: list[Event], data: st.DataObject) -> None:
    again = data.draw(st.permutations(told + data.draw(st.lists(st.sampled_from(told), max_size=3))))
    assert sorted(settlements(again), key=str) == sorted(settlements(told), key=str)


@given(outcomes)
def test_the_last_attempt_and_of_it_the_most_final_outcome_counts(told: list[Event]) -> None:
    finality = [UNSETTLED, DEFERRED, DONE]
    settled = {settlement[0]: settlement for settlement in settlements(told)}
    assert len(settled) == len(settlements(told))
    single = [settlements([event])[0] for event in told]
    for message_id, settlement in settled.items():
        own = [one for one in single if one[0] == message_id]
        assert (settlement[1], finality.index(settlement[2])) == max((one[1], finality.index(one[2])) for one in own)


def test_what_is_no_outcome_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"message\.released"):
        settlements([samples()["message.released.v1"]])
