"""What may be uploaded, and what may be sent as what.

Source: WhatsApp Cloud API, media, supported types and sizes, read 2026-09; the refusal's words are recorded ones.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from services.sandbox.domain.errors import GraphError, bad_parameter

MEGABYTE: Final = 1024 * 1024
STATIC_STICKER_BYTES: Final = 100 * 1024
ANIMATED_STICKER_BYTES: Final = 500 * 1024


class MediaClass(NamedTuple):
    kind: str
    max_bytes: int


_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_BY_KIND: Final = {
    MediaClass("audio", 16 * MEGABYTE): ("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"),
    MediaClass("document", 100 * MEGABYTE): (
        "text/plain",
        "application/pdf",
        "application/msword",
        "application/vnd.ms-excel",
        "application/vnd.ms-powerpoint",
        f"{_OFFICE}wordprocessingml.document",
        f"{_OFFICE}spreadsheetml.sheet",
        f"{_OFFICE}presentationml.presentation",
    ),
    MediaClass("image", 5 * MEGABYTE): ("image/jpeg", "image/png"),
    MediaClass("sticker", ANIMATED_STICKER_BYTES): ("image/webp",),
    MediaClass("video", 16 * MEGABYTE): ("video/mp4", "video/3gpp"),
}
CLASSES: Final = MappingProxyType({mime: of for of, mimes in _BY_KIND.items() for mime in mimes})
ANY_DOCUMENT: Final = MediaClass("document", 100 * MEGABYTE)
KINDS: Final = frozenset(of.kind for of in _BY_KIND)

_SIGNS: Final = (
    (0, b"\xff\xd8\xff", frozenset({"image/jpeg"})),
    (0, b"\x89PNG\r\n\x1a\n", frozenset({"image/png"})),
    (8, b"WEBP", frozenset({"image/webp"})),
    (0, b"%PDF-", frozenset({"application/pdf"})),
    (0, b"OggS", frozenset({"audio/ogg"})),
    (0, b"#!AMR", frozenset({"audio/amr"})),
    (0, b"ID3", frozenset({"audio/mpeg"})),
    (4, b"ftyp", frozenset({"video/mp4", "video/3gpp", "audio/mp4"})),
    (0, b"GIF8", frozenset[str]()),
    (0, b"PK\x03\x04", frozenset(mime for mime in CLASSES if mime.startswith(_OFFICE))),
)
"""Where a file's own mark stands, and what may call itself so; a content without any mark is believed."""


def bare(mime_type: str) -> str:
    """Without its parameters, in lower case."""
    return mime_type.partition(";")[0].strip().lower()


def check_upload(content: bytes, mime_type: str, *, any_document: bool) -> None:
    """Raises `GraphError`: 100 for a type that is not taken, 131053 for one that is not the content's, and for the size."""
    mime = bare(mime_type)
    of = CLASSES.get(mime)
    if of is None:
        if not any_document or "/" not in mime:
            listed = ", ".join(CLASSES)
            raise bad_parameter(
                f"Param file must be a file with one of the following types: {listed}. Received file of type "
                f"'{mime[:100] or 'application/octet-stream'}'."
            )
        of = ANY_DOCUMENT
    elif any(content[at : at + len(sign)] == sign and mime not in names for at, sign, names in _SIGNS):
        raise GraphError(131053, f"The file's content is not of type '{mime}'.")
    if not content:
        raise GraphError(131053, "The file is empty.")
    limit = of.max_bytes
    if of.kind == "sticker" and not is_animated(content):
        limit = STATIC_STICKER_BYTES
    if len(content) > limit:
        raise GraphError(131053, f"The file is too large: {len(content)} bytes, {of.kind} takes at most {limit}.")


def fits(kind: str, mime_type: str) -> bool:
    """Whether a file of that type can be sent as `kind`. Anything can be sent as a document."""
    of = CLASSES.get(bare(mime_type))
    return kind == "document" or (of is not None and of.kind == kind)


def is_animated(webp: bytes) -> bool:
    """Whether an extended WebP says that it moves."""
    return webp[12:16] == b"VP8X" and len(webp) > 20 and bool(webp[20] & 0x02)
