"""A callback tried out: one post that is made at once, once, and kept in the log like any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from services.sender.callbacks.crew import tried
from services.sender.callbacks.keys import Keys
from services.sender.callbacks.post import Poster
from services.sender.domain.callback import (
    EXHAUSTED,
    TEST,
    CallbackFormat,
    DeliveryState,
    Reply,
    Verdict,
    body_of,
    headers_of,
)
from services.sender.store import callback_deliveries
from services.sender.store.callback_deliveries import Told
from shared.auth.seal import SealError
from shared.bus.outbox import Unit
from shared.errors import Rejected
from shared.ids import TenantId, new_id

_USER: Final = "15550000000"
_SENTENCE: Final = "This is a test of your callback."


@dataclass(frozen=True, slots=True)
class Sample:
    """An `Update` that is nobody's."""

    update_id: str
    at: datetime
    data: Mapping[str, Any]
    graph: Mapping[str, Any]
    type: str = TEST
    number_id: None = None


async def try_out(keys: Keys, poster: Poster, row: asyncpg.Record, now: datetime) -> tuple[Told, Reply]:
    """Post a made-up update to the callback of the row. Raises `Rejected` where its secret cannot be read."""
    update, form = sample(now), CallbackFormat(row["format"])
    body = body_of(form, update)
    assert body is not None
    try:
        secret = keys.open(TenantId(row["tenant_id"]), row["id"], row["sealed_secret"])
    except SealError:
        raise Rejected("secret.unreadable", "Its secret cannot be read any more; give it a new one.", 409) from None
    reply = await poster.post(row["url"], headers_of(form, [secret], update.update_id, body, now), body)
    return Told(new_id("dlv"), row["id"], update.update_id, update.type, None, update.at, body), reply


async def keep(unit: Unit, told: Told, reply: Reply, now: datetime) -> dict[str, Any]:
    """Into the log; a `TestResult`."""
    done = tried(reply, now)
    verdict = Verdict(DeliveryState.DELIVERED, 0) if reply.is_success else Verdict(DeliveryState.FAILED, 1, code=EXHAUSTED)
    await callback_deliveries.insert_tried(unit.connection, told, verdict, done)
    return {"delivery_id": told.id, "delivered": reply.is_success, **done}


def sample(now: datetime) -> Sample:
    """An update that says nothing, in both forms: in the provider's an inbound text from a number that nobody has."""
    update_id = new_id("upd")
    message = {
        "from": _USER,
        "id": f"wamid.{update_id}",
        "timestamp": str(int(now.timestamp())),
        "type": "text",
        "text": {"body": _SENTENCE},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550000001", "phone_number_id": "0"},
        "contacts": [{"profile": {"name": "Test"}, "wa_id": _USER, "user_id": f"US.{_USER}"}],
        "messages": [message],
    }
    return Sample(
        update_id=update_id,
        at=now,
        data={"text": _SENTENCE},
        graph={"entry_id": "0", "field": "messages", "value": value},
    )
