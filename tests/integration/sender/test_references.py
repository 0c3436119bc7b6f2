"""Messages of ours that a content names: the provider gets its own names for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from services.sender.references import PATIENCE
from shared.events.catalogue import MessageDeferred, MessageFailed, MessageReleased
from shared.ids import MessageId, TenantId, new_id
from tests.integration.sender.scene import Scene, released, scene
from tests.support.database import Database
from tests.support.told import told

OLD = "msg_00000000000000000000000000"
"""Made in 1970."""


def answer(message_id: str, **changes: Any) -> MessageReleased:
    content = {"type": "text", "text": {"body": "yes"}, "context": {"message_id": message_id}}
    return released(content=content, **changes)


def reaction(message_id: str, **changes: Any) -> MessageReleased:
    return released(content={"type": "reaction", "reaction": {"message_id": message_id, "emoji": "👍"}}, **changes)


async def sent(there: Scene, count: int, **changes: Any) -> list[MessageReleased]:
    events = [released(**changes) for _ in range(count)]
    await there.delivery.take(events)
    await there.until_settled(count)
    return events


def body_of(there: Scene, event: MessageReleased) -> dict[str, Any]:
    body: dict[str, Any] = there.provider.bodies[f"{event.message_id}.{event.attempt}"]
    return body


async def test_what_it_names_is_called_as_the_provider_calls_it(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        first, second = await sent(there, 2)
        events = [answer(first.message_id), reaction(second.message_id), answer("wamid.theirs"), reaction("wamid.theirs")]
        await there.delivery.take(events)
        await there.until_settled(6)
        bodies = [body_of(there, event) for event in events]
        pin = {"type": "pin", "pin": {"type": "pin", "message_id": first.message_id, "expiration_days": 1}}
        pinned = released(to="group:12036304@g.us", content=pin)
        await there.delivery.take([pinned])
        await there.until_settled(7)
        in_group = body_of(there, pinned)
    assert bodies[0]["context"] == {"message_id": f"wamid.{first.message_id}.1"}
    assert bodies[1]["reaction"] == {"message_id": f"wamid.{second.message_id}.1", "emoji": "👍"}
    assert [bodies[2]["context"]["message_id"], bodies[3]["reaction"]["message_id"]] == ["wamid.theirs"] * 2
    assert in_group["pin"] == {"type": "pin", "message_id": f"wamid.{first.message_id}.1", "expiration_days": 1}
    assert (in_group["recipient_type"], in_group["to"]) == ("group", "12036304@g.us")
    assert events[0].content["context"] == {"message_id": first.message_id}, "what was told stays as it is"


async def test_of_what_nobody_knows_a_quotation_is_left_out_and_a_reaction_fails(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        [elsewhere] = await sent(there, 1, tenant_id=TenantId("tnt_b"))
        events = [answer(OLD), answer(elsewhere.message_id, first_due_at=datetime.now(UTC) - PATIENCE), reaction(OLD)]
        await there.delivery.take(events)
        await there.until_settled(4)
        bodies = [body_of(there, event) for event in events[:2]]
        failed = [event for event in await told(there.pool) if isinstance(event, MessageFailed)]
    assert all("context" not in body and body["text"] == {"body": "yes"} for body in bodies)
    assert [(event.message_id, event.code) for event in failed] == [(events[2].message_id, "reference.unknown")]


async def test_what_was_just_written_is_waited_for(database: Database, tmp_path: Path) -> None:
    """Its turn at the sender comes later than that of its answer; the wait counts for nothing, and ends."""
    async with scene(database, tmp_path) as there:
        first = released()
        early, late = answer(first.message_id), reaction(new_id("msg"), first_due_at=datetime.now(UTC) - timedelta(minutes=2))
        await there.delivery.take([early, late])
        await there.until_settled(2)
        events = await told(there.pool)
        [put_back] = [event for event in events if isinstance(event, MessageDeferred)]
        [failed] = [event for event in events if isinstance(event, MessageFailed)]
        assert (put_back.message_id, put_back.code) == (early.message_id, "reference.unsent")
        assert put_back.counted is False
        assert (failed.message_id, failed.code) == (late.message_id, "reference.unknown")
        await there.delivery.take([first])
        await there.until_settled(3)
        again = early.model_copy(update={"attempt": 2})
        await there.delivery.take([again])
        await there.until_settled(4)
        body = body_of(there, again)
    assert body["context"] == {"message_id": f"wamid.{first.message_id}.1"}


async def test_a_business_scoped_user_id_is_no_phone_number_to_the_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        event = released(to="US.13491208655302741918", message_id=MessageId(new_id("msg")))
        await there.delivery.take([event])
        await there.until_settled(1)
        body = body_of(there, event)
    assert body["recipient"] == "US.13491208655302741918"
    assert "to" not in body
