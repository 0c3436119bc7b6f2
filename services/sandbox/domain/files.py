"""The smallest files of each kind that a virtual user sends: their marks are right, their content is nothing."""

from __future__ import annotations

import base64
from types import MappingProxyType
from typing import Final

_PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_WEBP: Final = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
_PDF: Final = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"  # noqa: E501  # one file
_OPUS: Final = b"OggS\x00\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
_MP4: Final = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom\x00\x00\x00\x08moov"

FILES: Final = MappingProxyType(
    {
        "image/png": base64.b64decode(_PNG),
        "image/webp": base64.b64decode(_WEBP),
        "application/pdf": _PDF,
        "audio/ogg": _OPUS,
        "video/mp4": _MP4,
    }
)
