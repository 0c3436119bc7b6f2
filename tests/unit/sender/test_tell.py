"""What is told of outcomes in one go is what is told of each."""

from __future__ import annotations

from datetime import UTC, datetime

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Rejected, Retry, Sent, Unknown
from services.sender.store.attempts import Head, Settled
from services.sender.tell import event_of, events_of
from shared.ids import MessageId, TenantId

NOW = datetime(2026, 11, 22, 19, 30, 0, 123456, tzinfo=UTC)
TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-01"
OUTCOMES: list[Outcome] = [
    Sent("wamid.1"),
    Retry("code", 1.0),
    Sent("wamid.2"),
    Rejected("code", "detail"),
    PauseNumber("code", "detail"),
    PauseTemplate("code", 1.0),
    Unknown("code"),
    Sent("wamid.3"),
]


def test_outcomes_are_told_together_as_they_are_alone() -> None:
    settled = [
        Settled(
            Head(
                AttemptId(MessageId(f"msg_{n}"), n), TenantId("tnt_1"), TRACEPARENT if n % 2 else None, NOW, NOW if n else None
            ),
            outcome,
            NOW,
        )
        for n, outcome in enumerate(OUTCOMES)
    ]
    envelope = {"event_id", "occurred_at"}
    together = {event.model_dump_json(exclude=envelope): type(event) for event in events_of(settled)}
    assert together == {event.model_dump_json(exclude=envelope): type(event) for event in map(event_of, settled)}
    assert len({event.event_id for event in events_of(settled)}) == len(settled)


def test_of_nothing_nothing_is_told() -> None:
    assert events_of([]) == []
