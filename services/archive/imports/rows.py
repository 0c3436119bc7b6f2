"""Records to rows, in the text form that PostgreSQL's COPY takes: made aside from the loop, sent as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, NamedTuple

import orjson

from services.archive.domain.content import body_of, without_nul
from services.archive.domain.doubles import Said
from services.archive.domain.entry import month_of
from services.archive.domain.imported import FILE_KINDS, LOST_FILE, Kind, Record, content_of, sent_at_of, type_of_kind
from services.archive.domain.indexing import content_literal, place_literal
from shared.ids import new_id

ENTRY_COLUMNS: Final = (
    "id", "sent_at", "tenant_id", "conversation_id", "direction", "type", "content", "author_no", "import_no", "edited_at",
    "revoked_at", "media",
)  # fmt: skip
SEARCH_COLUMNS: Final = (
    "sent_at", "conversation_no", "author_no", "tenant_no", "is_outgoing", "is_notice", "entry_id", "type", "body", "tsv",
)  # fmt: skip
KEY_COLUMNS: Final = ("conversation_no", "fingerprint", "import_no", "entry_id", "sent_at")
NULL: Final = "\\N"
_TYPES: Final = {kind: type_of_kind(kind) for kind in Kind}
_LOST: Final = orjson.dumps(LOST_FILE).decode()


class Speaker(NamedTuple):
    """Who an author of the export is in the conversation."""

    author_no: int
    is_outgoing: bool


class Place(NamedTuple):
    """Where an import's entries go."""

    tenant_id: str
    tenant_no: int
    conversation_id: str
    conversation_no: int
    import_no: int


class KeptFile(NamedTuple):
    """Media of a record, written to the store."""

    file_id: str
    object_key: str
    mime_type: str
    size_bytes: int
    sha256: str
    file_name: str


@dataclass(slots=True)
class Rows:
    """The rows of a block, a line each, in the file's order: entry, search row and key of one record have one index."""

    entries: list[str] = field(default_factory=list)
    search: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    fingerprints: list[bytes] = field(default_factory=list)
    entry_ids: list[str] = field(default_factory=list)
    files: dict[int, KeptFile] = field(default_factory=dict)
    months: set[datetime] = field(default_factory=set)
    first: str = ""
    last: str = ""
    repeated: int = 0
    """Records whose fingerprint another one of the block has."""


class RowMaker:
    """Makes the rows of one import."""

    def __init__(self, place: Place, zone: tzinfo) -> None:
        self._place = place
        self._zone = zone
        self._local: datetime | None = None
        self._sent_at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
        self._moment = self._placed = ""

    def rows(self, records: Sequence[Record], speakers: Mapping[str, Speaker], files: Mapping[int, KeptFile]) -> Rows:
        """The rows of these records; `speakers` knows every author, `files` are media by the record's index."""
        made = Rows()
        seen: set[bytes] = set()
        for index, record in enumerate(records):
            if record.fingerprint in seen:
                made.repeated += 1
                continue
            seen.add(record.fingerprint)
            self._add(made, record, speakers.get(record.author) if record.author is not None else None, files.get(index))
        return made

    def _add(self, made: Rows, record: Record, speaker: Speaker | None, kept: KeptFile | None) -> None:
        place, moment = self._place, self._moment_of(record, made)
        type_ = _TYPES[record.kind]
        content = content_of(record)
        body = without_nul(record.body) if record.kind is Kind.TEXT else body_in(record, content)
        entry_id = new_id("ent")
        author = str(speaker.author_no) if speaker is not None else NULL
        is_outgoing = speaker is not None and speaker.is_outgoing
        media = _media_of(record, kept)
        made.entries.append(
            f"{entry_id}\t{moment}\t{place.tenant_id}\t{place.conversation_id}\t{'outgoing' if is_outgoing else 'incoming'}"
            f"\t{type_}\t{escaped_json(content)}\t{author}\t{place.import_no}"
            f"\t{moment if record.is_edited else NULL}\t{moment if record.kind is Kind.REVOKED else NULL}\t{media}\n"
        )
        # Terms and the types of imports hold nothing to be escaped.
        tsv = f"{content_literal(place.tenant_no, body, type_)} {self._placed}"
        made.search.append(
            f"{moment}\t{place.conversation_no}\t{author}\t{place.tenant_no}\t{'t' if is_outgoing else 'f'}"
            f"\t{'t' if record.kind is Kind.NOTICE else 'f'}\t{entry_id}\t{type_}\t{escaped(body)}\t{tsv}\n"
        )
        made.keys.append(f"{place.conversation_no}\t\\\\x{record.fingerprint.hex()}\t{place.import_no}\t{entry_id}\t{moment}\n")
        if kept is not None:
            made.files[len(made.fingerprints)] = kept
        made.fingerprints.append(record.fingerprint)
        made.entry_ids.append(entry_id)

    def _moment_of(self, record: Record, made: Rows) -> str:
        """The instant as text; neighbours mostly share it."""
        if record.at != self._local or not made.months:
            self._local, self._sent_at = record.at, sent_at_of(record.at, self._zone)
            self._moment = self._sent_at.isoformat()
            self._placed = place_literal(self._place.tenant_no, self._sent_at, self._place.conversation_no)
            made.months.add(month_of(self._sent_at))
            if not made.first or self._moment < made.first:
                made.first = self._moment
            made.last = max(made.last, self._moment)
        return self._moment


def key_row(conversation_no: int, fingerprint: bytes, import_no: int, entry_id: str, sent_at: datetime) -> bytes:
    """A row of `KEY_COLUMNS`."""
    return f"{conversation_no}\t\\\\x{fingerprint.hex()}\t{import_no}\t{entry_id}\t{sent_at.isoformat()}\n".encode()


def body_in(record: Record, content: Mapping[str, Any]) -> str:
    """What is shown and found of an entry that is no text."""
    if record.kind in {Kind.REVOKED, Kind.EMPTY}:
        return ""
    return body_of(content)


def said_in(row: bytes) -> Said | None:
    """What a row of `SEARCH_COLUMNS` says, its body as `spelt` gives it; None of a notice, which nobody has said."""
    moment, _, _, _, is_outgoing, is_notice, _, type_, body, _ = row.decode().split("\t")
    return None if is_notice == "t" else Said(datetime.fromisoformat(moment), is_outgoing == "t", type_, _with_breaks(body))


def spelt(body: str) -> str:
    """A body as rows have it, but for its line breaks."""
    return _with_breaks(escaped(body))


def _with_breaks(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")


def escaped(text: str) -> str:
    """A value as COPY spells it."""
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if text.isprintable():  # no control characters: the usual case, told at once
        return text
    return text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r").replace("\x00", "")


def escaped_json(value: Any) -> str:
    """A JSON value as COPY spells it: of what must be escaped it holds backslashes only."""
    text = orjson.dumps(value).decode()
    return text.replace("\\", "\\\\") if "\\" in text else text


def _media_of(record: Record, kept: KeptFile | None) -> str:
    if kept is not None:
        return escaped_json(media_of(kept))
    return _LOST if record.kind in FILE_KINDS else NULL


def media_of(kept: KeptFile) -> dict[str, Any]:
    """A kept file as its entry shows it."""
    return {
        "file_id": kept.file_id,
        "mime_type": kept.mime_type,
        "size_bytes": kept.size_bytes,
        "file_name": kept.file_name,
    }
