"""Files small enough to write down, that begin as files of their type do."""

from __future__ import annotations

import os
from typing import Final

PNG: Final = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(range(60))
JPEG: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\0" + bytes(range(200))
OPUS: Final = b"OggS\0\x02" + bytes(20) + b"\x01\x13OpusHead\x01\x01" + bytes(60)
VORBIS: Final = b"OggS\0\x02" + bytes(20) + b"\x01\x1e\x01vorbis" + bytes(60)
MP4: Final = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2" + bytes(80)
THREE_GP: Final = b"\0\0\0\x18ftyp3gp5\0\0\x02\0" + bytes(80)
PDF: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
STICKER: Final = b"RIFF\x24\0\0\0WEBPVP8 " + bytes(40)
MOVING_STICKER: Final = b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\x02" + bytes(40)
DOCX: Final = b"PK\x03\x04\x14\0\x06\0" + bytes(18) + b"[Content_Types].xml" + bytes(40) + b"word/document.xml" + bytes(20)
MP3: Final = b"\xff\xfb\x90\x64" + bytes(100)
AAC: Final = b"\xff\xf1\x50\x80" + bytes(100)
AMR: Final = b"#!AMR\n" + bytes(60)
ZIP: Final = b"PK\x03\x04\x14\0\0\0" + bytes(60)
WORD: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60)


def grown(head: bytes, size: int) -> bytes:
    """The file with so many bytes."""
    return head + os.urandom(size - len(head))
