"""Which gates a batch of outcomes closes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.gate import closings
from shared.events.catalogue import MessageDeferred, MessageSent
from shared.events.values import Gate, Tier
from shared.ids import EventId, MessageId, TenantId

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
PUT_BACK = frozenset({MessageId("msg_a"), MessageId("msg_b")})


def deferred(message: str, gate: Gate | None) -> MessageDeferred:
    head: dict[str, Any] = {"tenant_id": TenantId("tnt"), "message_id": MessageId(message), "attempt": 1}
    return MessageDeferred(**head, event_id=EventId("e"), occurred_at=AT, retry_at=AT, code="c", gate=gate)


times = st.integers(0, 5).map(lambda n: AT + timedelta(minutes=n))
some_gates = st.builds(Gate, scope=st.sampled_from(["num_1", "tnt", "*"]), tier=st.sampled_from(Tier), until=times)
events = st.lists(st.builds(deferred, st.sampled_from(["msg_a", "msg_b", "msg_c"]), st.none() | some_gates), max_size=12)


@given(events)
def test_each_gate_of_a_message_that_was_put_back_is_closed_once_until_its_latest_time(told: list[MessageDeferred]) -> None:
    expected: dict[tuple[str, Tier], datetime] = {}
    for event in told:
        if event.gate is not None and event.message_id in PUT_BACK:
            key = event.gate.scope, event.gate.tier
            expected[key] = max(expected.get(key, AT), event.gate.until)
    assert {(gate.scope, gate.tier): gate.until for gate in closings(told, PUT_BACK)} == expected


@given(events, st.data())
def test_gates_come_in_one_order_whatever_the_order_of_the_outcomes(told: list[MessageDeferred], data: st.DataObject) -> None:
    assert closings(data.draw(st.permutations(told)), PUT_BACK) == closings(told, PUT_BACK)


def test_other_outcomes_close_nothing() -> None:
    sent = MessageSent(tenant_id=TenantId("tnt"), message_id=MessageId("msg_a"), attempt=1, wamid="w", started_at=AT)
    assert closings([sent, deferred("msg_a", None)], PUT_BACK) == []
