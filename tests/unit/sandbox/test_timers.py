"""The wheel: nothing early, nothing lost, nothing more than a tick late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.timers import TICK_SECONDS, Wheel


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0, 1e6))
def test_each_item_comes_out_in_its_tick(delays: list[float], start: float) -> None:
    wheel: Wheel[int] = Wheel()
    for item, delay in enumerate(delays):
        wheel.add(start + delay, item)
    assert len(wheel) == len(delays)
    out: list[int] = []
    while (now := wheel.next_due) is not None:
        items = wheel.take_due(now)
        assert items
        for item in items:
            assert -1e-6 <= now - (start + delays[item]) <= TICK_SECONDS + 1e-6
        out += items
    assert sorted(out) == list(range(len(delays)))


def test_items_due_together_keep_their_order() -> None:
    wheel: Wheel[str] = Wheel()
    for item in "abc":
        wheel.add(5.0, item)
    wheel.add(4.0, "first")
    assert wheel.take_due(3.99) == []
    assert wheel.take_due(6.0) == ["first", "a", "b", "c"]
    assert wheel.next_due is None
