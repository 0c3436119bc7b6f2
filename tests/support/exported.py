"""Entries as exports show them, with what a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from services.archive.domain.content import body_of
from services.archive.domain.entry import Direction
from services.archive.domain.exported import ExportedEntry
from shared.ids import new_id

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)


def entry(
    content: dict[str, Any] | str = "hello",
    *,
    author: str = "Ana",
    outgoing: bool = False,
    seconds: float = 0,
    **more: Any,
) -> ExportedEntry:
    """A text, or a content of any type."""
    shaped = {"type": "text", "text": {"body": content}} if isinstance(content, str) else content
    moment = NOON + timedelta(seconds=seconds)
    given: dict[str, Any] = {
        "id": new_id("ent"),
        "conversation_id": "cnv_" + "0" * 26,
        "conversation": "Ana",
        "direction": Direction.OUTGOING if outgoing else Direction.INCOMING,
        "author": "You" if outgoing else author,
        "address": None,
        "type": shaped["type"],
        "content": shaped,
        "body": body_of(shaped),
        "sent_at": moment,
        "local": moment,
    }
    return ExportedEntry(**(given | more))
