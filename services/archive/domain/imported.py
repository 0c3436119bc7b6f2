"""A message of an exported chat, and the entry it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Any, Final, NamedTuple

from services.archive.domain.content import without_nul
from services.archive.domain.entry import FIRST_MOMENT, LAST_MOMENT

LOST_FILE: Final[Mapping[str, str]] = {"lost": "not_exported"}
"""The `media` of an entry whose file did not come with the export."""


class Kind(StrEnum):
    """What a record of an export is. `media`: a file was left out, and the export does not say of which kind."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    GIF = "gif"
    AUDIO = "audio"
    STICKER = "sticker"
    DOCUMENT = "document"
    MEDIA = "media"
    CONTACTS = "contacts"
    LOCATION = "location"
    LIVE_LOCATION = "live_location"
    POLL = "poll"
    EVENT = "event"
    CALL = "call"
    REVOKED = "revoked"
    EMPTY = "empty"
    NOTICE = "notice"


FILE_KINDS: Final = frozenset({Kind.IMAGE, Kind.VIDEO, Kind.GIF, Kind.AUDIO, Kind.STICKER, Kind.DOCUMENT, Kind.MEDIA})
"""Kinds that a file belongs to, whether the export has it or not."""
_CAPTIONED: Final = frozenset({"image", "video", "document", "media"})


class Record(NamedTuple):
    """One message, call or notice of an exported chat.

    `at` is the wall time of the phone that exported, without a zone. `author` is a label within one export, cleaned of marks; None
    for a notice. `body` is what was said, without what the application wrote around it: of a file its caption, of a notice or a
    call its wording. `file_name` is as the text names it: never a path. `details` hold what a kind has beside (see `content_of`).
    `fingerprint` is the same for the same message in every export of the chat that shows the same local time and names.
    """

    ordinal: int
    line: int
    at: datetime
    author: str | None
    kind: Kind
    body: str
    file_name: str | None
    is_edited: bool
    fingerprint: bytes
    details: Mapping[str, Any] | None = None


def type_of_kind(kind: Kind) -> str:
    """The type of the entry: an animation is a video without sound."""
    return "video" if kind is Kind.GIF else kind.value


def content_of(record: Record) -> dict[str, Any]:
    """The content of its entry, in the shape that live ones have. Details: `voice` of an audio, `latitude`, `longitude`, `name`,
    `address` and `url` of a location, `question` and `options` of a poll, `name` of a contact."""
    type_ = type_of_kind(record.kind)
    if record.kind is Kind.TEXT:
        return {"type": "text", "text": {"body": without_nul(record.body)}}
    said: dict[str, Any] = dict(record.details or {})
    if record.kind in FILE_KINDS:
        if record.body:
            said["caption" if type_ in _CAPTIONED else "text"] = record.body
        if record.file_name:
            said["filename"] = record.file_name
        if record.kind is Kind.GIF:
            said["is_animation"] = True
    elif record.kind is Kind.CONTACTS:
        return {"type": type_, type_: [{"name": {"formatted_name": without_nul(said.get("name") or record.body)}}]}
    elif record.body and record.kind not in {Kind.POLL, Kind.REVOKED, Kind.EMPTY}:
        said["text"] = record.body
    return {"type": type_, type_: {key: _storable(value) for key, value in said.items()}}


def sent_at_of(local: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall time, UTC. A wall time that occurs twice is taken for its first; one that a clock change left out is
    read by the clock before it."""
    return min(max(local.replace(tzinfo=zone).astimezone(UTC), FIRST_MOMENT), LAST_MOMENT)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return without_nul(value)
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return {key: _storable(inner) for key, inner in value.items()} if isinstance(value, dict) else value
