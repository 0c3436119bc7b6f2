"""An entry as exports show it: who said what, where and when, with the names that its reader may see."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from services.archive.domain.entry import Direction

GROUP_PREFIX: Final = "group:"
CHAT_PREFIX: Final = "chat:"
NOTICE: Final = "notice"
REVOKED: Final = "revoked"

_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_EXTENSIONS: Final = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "video/mp4": "mp4",
    "video/3gpp": "3gp",
    "video/webm": "webm",
    "audio/ogg": "opus",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/csv": "csv",
    "text/vcard": "vcf",
    "text/x-vcard": "vcf",
}
_KINDS: Final = {"image": "PHOTO", "video": "VIDEO", "audio": "AUDIO", "sticker": "STICKER"}


class ConversationHead(NamedTuple):
    """A conversation as its export begins with it."""

    id: str
    number_id: str
    address: str
    name: str | None
    title: str | None
    entry_count: int
    last_entry_at: datetime | None = None

    def shown(self) -> str:
        """What people call it."""
        plain = self.address.removeprefix(CHAT_PREFIX)
        return self.title or self.name or ("Group" if plain.startswith(GROUP_PREFIX) else plain) or "Conversation"

    @property
    def phone(self) -> str | None:
        """The other side's address, of a conversation of two."""
        return None if self.address.startswith((GROUP_PREFIX, CHAT_PREFIX)) else self.address


@dataclass(slots=True)
class ExportedEntry:
    """An entry. `file` is where its file stands within the zip; None where there is none."""

    id: str
    conversation_id: str
    conversation: str
    direction: Direction
    author: str
    address: str | None
    type: str
    content: dict[str, Any]
    body: str
    sent_at: datetime
    local: datetime
    message_id: str | None = None
    wamid: str | None = None
    status: str | None = None
    edited_at: datetime | None = None
    media: dict[str, Any] | None = None
    reactions: Mapping[str, int] | None = None
    bookmark: str | None = None
    labels: Sequence[str] = ()
    file: str | None = None

    @property
    def is_notice(self) -> bool:
        return self.type == NOTICE

    @property
    def is_revoked(self) -> bool:
        return self.type == REVOKED

    @property
    def caption(self) -> str:
        """What was said with a file."""
        return text_at(self.content, self.type, "caption") or text_at(self.content, self.type, "text")

    @property
    def file_name(self) -> str:
        """What its sender called the file."""
        named = (self.media or {}).get("file_name")
        return named if isinstance(named, str) and named else text_at(self.content, self.type, "filename")


def text_at(content: Mapping[str, Any], *path: str) -> str:
    """The text at a path of a content, which comes from outside: empty where there is none."""
    found: Any = content
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def safe_name(text: str, *, most: int = 80) -> str:
    """A text as a file may be called on any system: no path, no control or direction marks, nothing that a system reserves."""
    plain = "".join(char for char in unicodedata.normalize("NFC", text) if unicodedata.category(char) not in {"Cc", "Cf", "Cs"})
    return _UNSAFE.sub("_", plain).strip(" .")[:most].strip(" .") or "_"


def media_name(ordinal: int, entry: ExportedEntry) -> str:
    """What the file of an export's n-th entry is called, as WhatsApp calls them on iOS: made by us, but for the cleaned name of a
    document."""
    mime = str((entry.media or {}).get("mime_type") or "").partition(";")[0].strip().lower()
    own = safe_name(entry.file_name) if entry.file_name else ""
    extension = _EXTENSIONS.get(mime) or (own.rpartition(".")[2].lower() if "." in own else "")
    if not re.fullmatch("[a-z0-9]{1,8}", extension):
        extension = "bin"
    if kind := _KINDS.get(entry.type):
        return f"{ordinal:08d}-{kind}-{entry.local:%Y-%m-%d-%H-%M-%S}.{extension}"
    stem = own.rpartition(".")[0] if own.lower().endswith(f".{extension}") else own
    return f"{ordinal:08d}-{stem or 'FILE'}.{extension}"
