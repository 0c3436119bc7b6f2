"""An export as NDJSON: an object a line, everything that is known of an entry."""

from __future__ import annotations

from typing import Any, Final

import orjson

from services.archive.domain.exported import ExportedEntry

_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z


class NdjsonForm:
    """Writes lines."""

    head = b""

    def entry(self, entry: ExportedEntry) -> bytes:
        """Its line. What is not known is left out."""
        media = dict(entry.media or {})
        media.pop("object_key", None)
        if entry.file is not None:
            media["file"] = entry.file
        line: dict[str, Any] = {
            "id": entry.id,
            "conversation_id": entry.conversation_id,
            "conversation": entry.conversation,
            "direction": entry.direction.value,
            "author": entry.author,
            "address": entry.address,
            "type": entry.type,
            "text": entry.body,
            "content": entry.content,
            "sent_at": entry.sent_at,
            "local_time": entry.local.isoformat(),
            "message_id": entry.message_id,
            "provider_id": entry.wamid,
            "status": entry.status,
            "edited_at": entry.edited_at,
            "reactions": entry.reactions,
            "media": media or None,
            "bookmark": None if entry.bookmark is None else {"note": entry.bookmark},
            "labels": entry.labels or None,
        }
        return orjson.dumps({name: value for name, value in line.items() if value is not None}, option=_OPTIONS)
