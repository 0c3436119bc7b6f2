"""Imports as they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from services.archive.domain.importing import ImportState
from services.archive.payloads.imports import ImportFailure, ImportPreview, ImportProgress, ImportView, PreviewPerson
from services.archive.store.imports import Import

SHOWN_PEOPLE: Final = 200
_AT_WORK: Final = frozenset({ImportState.SURVEYING, ImportState.IMPORTING})


def view(found: Import, now: datetime) -> ImportView:
    """An import with its progress as of now."""
    is_waiting = found.state is ImportState.UPLOADING
    return ImportView(
        id=found.id,
        state=found.state,
        file_name=found.file_name,
        size_bytes=found.size_bytes,
        received_bytes=found.received_bytes,
        upload_url=f"/api/imports/{found.id}/file" if is_waiting else None,
        time_zone=found.options.time_zone,
        day_order=found.options.day_order,
        me=list(found.options.me),
        conversation_id=found.conversation_id,
        preview=_preview(found),
        progress=_progress(found, now),
        entry_count=found.entry_count,
        known_count=found.known_count,
        file_count=found.file_count,
        doubt_count=found.doubt_count,
        undone_count=found.undone_count,
        error=ImportFailure(code=found.error_code, detail=found.error_detail or "") if found.error_code else None,
        created_at=found.created_at,
        ended_at=found.ended_at,
    )


def _preview(found: Import) -> ImportPreview | None:
    if found.survey is None:
        return None
    survey = found.survey["survey"]
    return ImportPreview(
        platform=survey["platform"],
        records=survey["records"],
        first_at=datetime.fromisoformat(survey["first"]),
        last_at=datetime.fromisoformat(survey["last"]),
        people=[PreviewPerson(name=person["name"], records=person["records"]) for person in survey["people"][:SHOWN_PEOPLE]],
        people_count=len(survey["people"]),
        day_order=survey["day_order"],
        day_order_confidence=survey["confidence"],
        day_order_reasons=list(survey["reasons"]),
        media_files=found.survey["media"],
    )


def _progress(found: Import, now: datetime) -> ImportProgress | None:
    if found.state is ImportState.UPLOADING and found.size_bytes:
        return ImportProgress(bytes_read=found.received_bytes, bytes_total=found.size_bytes)
    if found.state not in _AT_WORK or not found.text_bytes:
        return None
    left = None
    if found.state is ImportState.IMPORTING and found.importing_at is not None and found.read_bytes:
        elapsed = (now - found.importing_at).total_seconds()
        left = max(0, round(elapsed * (found.text_bytes - found.read_bytes) / found.read_bytes))
    return ImportProgress(bytes_read=found.read_bytes, bytes_total=found.text_bytes, seconds_left=left)
