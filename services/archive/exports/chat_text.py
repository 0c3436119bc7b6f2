"""An export in WhatsApp's own text form, as an iPhone writes it: `[2026-11-20, 12:00:00] Ana: At the door`.

The shape with the year first is taken because nobody can read its days for months. Records end with CRLF and lines within one with
LF, so that what looks like a record in somebody's text is not taken for one. Marks and phrases are WhatsApp's English ones.
"""

from __future__ import annotations

from typing import Any, Final

from services.archive.domain.exported import ExportedEntry, text_at

LRM: Final = "\u200e"
_OMITTED: Final = {
    "image": "image omitted",
    "video": "video omitted",
    "audio": "audio omitted",
    "sticker": "sticker omitted",
    "document": "document omitted",
    "contacts": "Contact card omitted",
}
_EDITED: Final = f" {LRM}<This message was edited>"
_FIXED: Final = {
    "revoked": f"{LRM}This message was deleted.",
    "live_location": f"{LRM}Live location shared",
    "empty": "",
}
_SPOKEN_BY_APP: Final = frozenset({"notice", "call"})
_NO_MARKS: Final = {ord(mark): None for mark in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"}


class ChatForm:
    """Writes records."""

    head = b""

    def entry(self, entry: ExportedEntry) -> bytes:
        """Its record."""
        said = _lines(_said(entry))
        mark = LRM if entry.file is not None or entry.type in _OMITTED else ""
        author = _one_line(entry.conversation if entry.is_notice else entry.author)
        return f"{mark}[{entry.local:%Y-%m-%d, %H:%M:%S}] {author}: {said}\r\n".encode(errors="replace")


def _said(entry: ExportedEntry) -> str:
    if entry.type in _FIXED:
        return _FIXED[entry.type]
    if entry.type in _SPOKEN_BY_APP:
        return LRM + (text_at(entry.content, entry.type, "text") or entry.body or "Voice call")
    said = _sent(entry)
    return said + _EDITED if entry.edited_at is not None else said


def _sent(entry: ExportedEntry) -> str:
    match entry.type:
        case "text":
            return text_at(entry.content, "text", "body")
        case "location":
            return _location(entry.content.get("location"))
        case "poll":
            return _poll(entry.content.get("poll"), entry.body)
        case _ if entry.file is not None:
            return _with_caption(entry, f"{LRM}<attached: {entry.file.rpartition('/')[2]}>")
        case "document" if entry.file_name:
            named = f"{_one_line(entry.file_name)} • {LRM}document omitted"
            return f"{entry.caption}\n{named}" if entry.caption else named
        case "media":
            return f"<Media omitted>\n{entry.caption}" if entry.caption else "<Media omitted>"
        case "event":
            return f"{LRM}EVENT:\n{entry.body}"
        case "contacts" if names := [name for name in map(_contact_name, _items(entry.content.get("contacts"))) if name]:
            return f"{', '.join(names)} {LRM}{_OMITTED['contacts']}"
        case "video" if isinstance(clip := entry.content.get("video"), dict) and clip.get("is_animation") is True:
            return _with_caption(entry, f"{LRM}GIF omitted")
        case kind if kind in _OMITTED:
            return _with_caption(entry, f"{LRM}{_OMITTED[kind]}")
        case _:
            return entry.body


def _with_caption(entry: ExportedEntry, what: str) -> str:
    return f"{entry.caption} {what}" if entry.caption else what


def _location(place: Any) -> str:
    if not isinstance(place, dict):
        return f"{LRM}Location"
    latitude, longitude = place.get("latitude"), place.get("longitude")
    has_point = isinstance(latitude, int | float) and isinstance(longitude, int | float)
    url = f"https://maps.google.com/?q={latitude},{longitude}" if has_point else text_at(place, "url")
    name, address = _one_line(text_at(place, "name")), _one_line(text_at(place, "address"))
    if not name:
        return f"{LRM}Location: {url}"
    return f"{LRM}{name} ({address}): {url}" if address else f"{LRM}{name}: {url}"


def _poll(poll: Any, body: str) -> str:
    if not isinstance(poll, dict):
        return body
    lines = [f"{LRM}POLL:", _one_line(text_at(poll, "question"))]
    for option in _items(poll.get("options")):
        votes = option.get("votes")
        count = votes if isinstance(votes, int) else 0
        lines.append(f"{LRM}OPTION: {_one_line(text_at(option, 'name'))} ({count} {'vote' if count == 1 else 'votes'})")
    return "\n".join(lines)


def _items(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _contact_name(card: dict[str, Any]) -> str:
    return _one_line(text_at(card, "name", "formatted_name"))


def _lines(text: str) -> str:
    """With LF for every line end: CR would end a record."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _one_line(text: str) -> str:
    """A name: without line ends, and without the marks that headers are told by."""
    return " ".join(_lines(text).translate(_NO_MARKS).split())
