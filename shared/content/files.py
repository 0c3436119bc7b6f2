"""What the provider takes as a file of each kind. Source: WhatsApp Cloud API, media, "supported media types", read 2026-11."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

_MIB: Final = 1024 * 1024
_AUDIO: Final = frozenset({"audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"})
_VIDEO: Final = frozenset({"video/mp4", "video/3gpp"})


class File(Protocol):
    """What is known of a file."""

    @property
    def mime_type(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


class Rule(NamedTuple):
    mime_types: frozenset[str] | None
    """None: any."""
    most_bytes: int


RULES: Final = {
    "image": Rule(frozenset({"image/jpeg", "image/png"}), 5 * _MIB),
    "video": Rule(_VIDEO, 16 * _MIB),
    "gif": Rule(_VIDEO, 16 * _MIB),
    "audio": Rule(_AUDIO, 16 * _MIB),
    "document": Rule(None, 100 * _MIB),
    "sticker": Rule(frozenset({"image/webp"}), 500 * 1024),
}


def file_fault(kind: str, file: File) -> tuple[str, str] | None:
    """A code and a sentence where a file is none that the provider takes as an image, a video, …; None where it is."""
    rule = RULES[kind]
    mime_type = file.mime_type.partition(";")[0].strip().lower()
    if rule.mime_types is not None and mime_type not in rule.mime_types:
        return "media.wrong_type", f"is {mime_type}; as {kind} goes {', '.join(sorted(rule.mime_types))}"
    if file.size_bytes > rule.most_bytes:
        return "media.too_large", f"has {file.size_bytes} bytes; as {kind} go {rule.most_bytes} at most"
    return None
