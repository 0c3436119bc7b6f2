"""Files of messages: what a file is by its first bytes, which class the provider counts it to, and how large it may be.

Source: WhatsApp Cloud API, media, "Supported media types", read 2026-11. Any other type passes as a document.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

import puremagic

from shared.ids import NumberId, TenantId

HEAD_BYTES: Final = 64 * 1024
"""Enough of a file to tell what it is."""
LARGEST_BYTES: Final = 100 * 1024 * 1024
UNTYPED: Final = "application/octet-stream"
LONGEST_NAME: Final = 240
_MIB: Final = 1024 * 1024
_KIB: Final = 1024
_SURE: Final = 0.5
"""From this confidence on puremagic's word is taken."""


class Kind(StrEnum):
    """As messages call it."""

    IMAGE = "image"
    STICKER = "sticker"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


KINDS: Final[Mapping[str, Kind]] = {
    "audio/aac": Kind.AUDIO,
    "audio/amr": Kind.AUDIO,
    "audio/mpeg": Kind.AUDIO,
    "audio/mp4": Kind.AUDIO,
    "audio/ogg": Kind.AUDIO,
    "image/jpeg": Kind.IMAGE,
    "image/png": Kind.IMAGE,
    "image/webp": Kind.STICKER,
    "video/mp4": Kind.VIDEO,
    "video/3gpp": Kind.VIDEO,
}
LIMITS: Final[Mapping[Kind, int]] = {
    Kind.AUDIO: 16 * _MIB,
    Kind.DOCUMENT: LARGEST_BYTES,
    Kind.IMAGE: 5 * _MIB,
    Kind.STICKER: 500 * _KIB,
    Kind.VIDEO: 16 * _MIB,
}
STILL_STICKER_BYTES: Final = 100 * _KIB
_ALIASES: Final[Mapping[str, str]] = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
    "video/3gp": "video/3gpp",
    "audio/x-wav": "audio/wav",
}
_CLAIMS_NOTHING: Final = frozenset({"", UNTYPED, "binary/octet-stream", "application/x-www-form-urlencoded"})
_MIME: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

_ISO_MEDIA: Final = ("video/mp4", "audio/mp4", "video/3gpp", "audio/3gpp", "video/quicktime", "audio/aac")
_MATROSKA: Final = ("video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska")
_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_ZIPPED: Final = (
    (b"word/", f"{_OOXML}wordprocessingml.document"),
    (b"xl/", f"{_OOXML}spreadsheetml.sheet"),
    (b"ppt/", f"{_OOXML}presentationml.presentation"),
)
_OLE: Final = ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint")
_HAVE_SIGNATURES: Final = frozenset(
    {*KINDS, *_OLE, *(mime for _, mime in _ZIPPED), "application/pdf", "image/gif", "audio/wav"}
)
"""Without its signature a file is none of these."""


class BadFile(Exception):
    """A file that cannot be taken; `code` is stable, the text says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Nature:
    """What a file is."""

    mime_type: str
    kind: Kind
    is_animated: bool = False

    @property
    def limit_bytes(self) -> int:
        return STILL_STICKER_BYTES if self.kind is Kind.STICKER and not self.is_animated else LIMITS[self.kind]


@dataclass(frozen=True, slots=True, repr=False)
class MediaRecord:
    """A tenant's file. Its name may be personal, so it has no `repr`."""

    id: str
    wire_id: int
    kind: Kind
    mime_type: str
    size_bytes: int
    sha256: str
    """Hexadecimal."""
    file_name: str | None
    is_animated: bool
    object_key: str
    number_id: NumberId | None
    wamid: str | None
    created_at: datetime


class Wanted(NamedTuple):
    """A file that came with an inbound message and is at the provider, under `provider_id`; what is said of it may be false."""

    tenant_id: TenantId
    provider_id: str
    number_id: NumberId
    wamid: str
    phone_number_id: str
    mime_type: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What the first bytes say: the type, and the others that begin the same way; `of` is a family of which all may, but PDF."""

    types: tuple[str, ...]
    of: str | None = None

    def allows(self, mime_type: str) -> bool:
        return mime_type in self.types or (
            self.of is not None and mime_type.startswith(self.of) and mime_type != "application/pdf"
        )


_PREFIXES: Final = (
    (b"\xff\xd8\xff", _Found(("image/jpeg",))),
    (b"\x89PNG\r\n\x1a\n", _Found(("image/png",))),
    (b"GIF87a", _Found(("image/gif",))),
    (b"GIF89a", _Found(("image/gif",))),
    (b"OggS", _Found(("audio/ogg", "video/ogg"))),
    (b"\x1aE\xdf\xa3", _Found(_MATROSKA)),
    (b"#!AMR", _Found(("audio/amr", "audio/amr-wb"))),
    (b"ID3", _Found(("audio/mpeg", "audio/aac"))),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _Found(_OLE, "application/")),
)


def nature_of(head: bytes, claimed: str | None) -> Nature:
    """What a file is whose first bytes are `head` and of which its sender says that it is of the type `claimed`.

    Raises `BadFile` where that is not true, or is no type.
    """
    if not head:
        raise BadFile("media.empty", "The file is empty.")
    claim = base_type(claimed)
    found = _signature(head)
    if claim in _CLAIMS_NOTHING:
        return _nature(head, found.types[0] if found else _guessed(head))
    if not _MIME.fullmatch(claim):
        raise BadFile("media.type_malformed", "The type is no media type, such as image/jpeg.")
    if found is None and (claim in _HAVE_SIGNATURES or (claim.startswith("text/") and not _is_text(head))):
        raise BadFile("media.type_mismatch", f"The file says that it is {claim}, and its bytes do not.")
    if found is not None and not found.allows(claim):
        raise BadFile("media.type_mismatch", f"The file says that it is {claim}, and its bytes that it is {found.types[0]}.")
    return _nature(head, claim)


def nature_of_received(head: bytes, claimed: str | None) -> Nature:
    """The same of a file that is taken whatever it is: where the claim is not true, what the bytes say."""
    try:
        return nature_of(head, claimed)
    except BadFile:
        found = _signature(head) if head else None
        mime_type = found.types[0] if found else _guessed(head)
        return Nature(mime_type, KINDS.get(mime_type, Kind.DOCUMENT), _is_animated(head))


def base_type(claimed: str | None) -> str:
    """A media type in lower case, without parameters, under its usual name."""
    mime_type = (claimed or "").partition(";")[0].strip().lower()
    return _ALIASES.get(mime_type, mime_type)


def clean_type(claimed: str | None) -> str | None:
    """The same; None where it is no media type."""
    mime_type = base_type(claimed)
    return mime_type if _MIME.fullmatch(mime_type) else None


def check_size(nature: Nature, size_bytes: int) -> None:
    """Raises `BadFile` where a file of its class is too large."""
    if size_bytes > nature.limit_bytes:
        raise BadFile("media.too_large", f"A file of type {nature.mime_type} has {nature.limit_bytes} bytes at most.")


def clean_name(name: str | None) -> str | None:
    """A file's name without folders and without what no name has; None where nothing is left."""
    if name is None:
        return None
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(c for c in last if c.isprintable() and not "\ud800" <= c <= "\udfff").strip(" .")
    return kept[-LONGEST_NAME:] or None


def _nature(head: bytes, mime_type: str) -> Nature:
    if mime_type == "audio/ogg" and b"OpusHead" not in head[:4096]:
        raise BadFile("media.type_unsupported", "Ogg audio must be Opus.")
    return Nature(mime_type, KINDS.get(mime_type, Kind.DOCUMENT), _is_animated(head))


def _signature(head: bytes) -> _Found | None:
    for prefix, found in _PREFIXES:
        if head.startswith(prefix):
            return found
    if head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"WAVE"):
        return _Found(("image/webp",) if head[8:12] == b"WEBP" else ("audio/wav", "audio/wave"))
    if head[4:8] == b"ftyp":
        return _iso_media(head[8:12])
    if b"%PDF-" in head[:1024]:
        return _Found(("application/pdf",))
    if head.startswith(b"PK\x03\x04"):
        return _Found((next((mime for mark, mime in _ZIPPED if mark in head), "application/zip"),), "application/")
    return _frames(head)


def _frames(head: bytes) -> _Found | None:
    """Audio that begins with its first frame: 11 or 12 bits set, then a layer, which is none in AAC's framing (ISO 13818-7)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return _Found(("audio/aac",))
    is_frame = head[1] & 0x06 != 0 and head[1] & 0x18 != 0x08 and head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C
    return _Found(("audio/mpeg",)) if is_frame else None


def _iso_media(brand: bytes) -> _Found:
    """ISO 14496-12: what is in the container its brand says only roughly."""
    if brand in (b"heic", b"heix", b"mif1", b"msf1", b"avif"):
        return _Found(("image/avif" if brand == b"avif" else "image/heic", "image/heif"))
    first = {b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"qt  ": "video/quicktime"}.get(brand, "video/mp4")
    if brand.startswith(b"3g"):
        first = "video/3gpp"
    return _Found((first, *_ISO_MEDIA))


def _is_animated(head: bytes) -> bool:
    """WebP's extended header says so (RFC 9649 §2.7)."""
    return head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 0x02)


def _guessed(head: bytes) -> str:
    """The type of a file without one of the signatures above."""
    if _is_text(head):
        return "text/plain"
    try:
        guesses = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNTYPED
    likely = (guess.mime_type for guess in guesses if guess.confidence >= _SURE)
    return next((mime for mime in likely if _MIME.fullmatch(mime) and mime not in _HAVE_SIGNATURES), UNTYPED)


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True  # UTF-16
    return not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head[:4096])
