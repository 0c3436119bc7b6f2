"""The media type of a file by its name: what it is given out as, never more than a claim."""

from __future__ import annotations

from typing import Final

UNKNOWN: Final = "application/octet-stream"
FILE_NAME_CHARS: Final = 255

_TYPES: Final = {
    "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif",
    "mp4": "video/mp4", "3gp": "video/3gpp", "webm": "video/webm", "mov": "video/quicktime",
    "opus": "audio/ogg", "ogg": "audio/ogg", "m4a": "audio/mp4", "mp3": "audio/mpeg", "aac": "audio/aac", "amr": "audio/amr",
    "wav": "audio/wav", "pdf": "application/pdf", "vcf": "text/vcard", "txt": "text/plain", "csv": "text/csv",
    "zip": "application/zip", "doc": "application/msword", "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}  # fmt: skip


def type_by_name(name: str) -> str:
    """The media type that a name's ending stands for."""
    return _TYPES.get(name.rpartition(".")[2].lower(), UNKNOWN)


def plain_name(name: str) -> str:
    """A file's name without folders and without what cannot be seen."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(char for char in last if char.isprintable()).strip()[-FILE_NAME_CHARS:] or "file"
