"""What happens to a content right before it leaves."""

from __future__ import annotations

import asyncio

import pytest

from services.sender import prepare
from services.sender.domain.outcome import Outcome, Retry
from services.sender.domain.retry import longer_each_time
from services.sender.numbers import Number
from services.sender.prepare import Preparation, is_plain
from shared.events.catalogue import MessageReleased
from shared.events.values import Content
from tests.integration.sender.scene import released


class Slow:
    """Never comes back."""

    async def put_in(self, content: Content, _event: MessageReleased, _number: Number) -> Content | Outcome:
        await asyncio.Event().wait()
        return content


async def test_who_prepares_for_too_long_gives_the_message_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its attempt would be taken for lost, and the message might be sent twice."""
    monkeypatch.setattr(prepare, "LONGEST_SECONDS", 0.01)
    event = released(content={"type": "image", "image": {"id": "1"}})
    outcome = await Preparation([Slow()]).ready(event, None)  # type: ignore[arg-type]  # no number is looked at
    assert outcome == Retry("sender.preparation_slow", after=2.0, counted=False)


def test_a_plain_text_is_not_prepared() -> None:
    text = {"type": "text", "text": {"body": "x"}}
    assert is_plain(text)
    assert not is_plain({**text, "context": {"message_id": "wamid.x"}})
    assert not is_plain({"type": "image", "image": {"id": "1"}})


def test_a_wait_that_turns_out_longer_is_looked_at_less_and_less_often() -> None:
    waits = [longer_each_time(0.5, attempt, 30) for attempt in range(1, 60)]
    assert waits[0] == 0.5
    assert waits == sorted(waits)
    assert waits[-1] == 30
    assert longer_each_time(1, 10**6, 30) == 30
