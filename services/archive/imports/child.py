"""The reading process: a file's text to a survey, or to the rows of its entries. `python -m services.archive.imports.child`.

It reads the file from the store and writes media to it; the database it leaves to the service, which is one block behind it. It
ends with the service: its input breaks off then.
"""

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
import traceback
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final
from zoneinfo import ZoneInfo

import orjson
from pydantic import SecretStr

from services.archive.chat_export.findings import DayOrder, Doubt, NotAnExport, Options, Survey
from services.archive.chat_export.reader import Reader
from services.archive.chat_export.survey import survey
from services.archive.domain.file_types import plain_name, type_by_name
from services.archive.domain.imported import Record
from services.archive.imports.frames import write_frame
from services.archive.imports.handed import open_handed
from services.archive.imports.opened import Opened, Text
from services.archive.imports.refusal import Refused
from services.archive.imports.rows import KeptFile, Place, RowMaker, Rows, Speaker
from services.archive.store.imports import Part
from shared.config import ObjectsSettings
from shared.ids import new_id
from shared.objects.store import NoObject, ObjectsAway, Written, open_objects

BLOCK_RECORDS: Final = 8_000
"""And of lines that were not understood."""
BLOCK_BYTES: Final = 6 * 1024 * 1024
"""Of text: records may be long. A block ends with whichever comes first."""
SHOWN_CHARS: Final = 80
"""Of a file that is no export, in the refusal."""
PROGRESS_BYTES: Final = 4 * 1024 * 1024
NICENESS: Final = 5
"""What is read live goes first."""
GARBAGE_THRESHOLD: Final = 50_000
"""Records make no cycles: looking for some after every 700 of them would be a twentieth of the work."""


class Service:
    """The service's side of the pipes."""

    def __init__(self, lines: BinaryIO, out: BinaryIO) -> None:
        self._out = out
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    def say(self, kind: str, header: dict[str, Any], sections: Sequence[bytes] = ()) -> None:
        write_frame(self._out, kind, header, sections)

    def hear(self) -> Any:
        """The next line; waits for it."""
        return orjson.loads(self._lines.get())

    def _listen(self, lines: BinaryIO) -> None:
        for line in lines:
            self._lines.put(line)
        os._exit(0)  # the service is gone, or has done with us


def main() -> None:
    """One job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    service = Service(sys.stdin.buffer, sys.stdout.buffer)
    try:
        job = service.hear()
        (_survey if job["kind"] == "survey" else _read)(service, job)
    except Refused as error:
        service.say("refused", {"code": error.code, "detail": error.detail})
    except NotAnExport as error:
        service.say("refused", {"code": "import.not_an_export", "detail": _not_an_export(error)})
    except NoObject:
        service.say("refused", {"code": "import.file_gone", "detail": "The file is not here any more: send it again."})
    except ObjectsAway:
        service.say("away", {})
    except BrokenPipeError:
        pass  # the service is gone: nobody is left to hear of it
    except Exception as error:  # noqa: BLE001  # told without the error's words, which may quote the file
        where = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        service.say("failed", {"error": type(error).__name__, "where": where[-8:]})


def _open(job: Mapping[str, Any]) -> tuple[Opened, Options]:
    settings = ObjectsSettings(**{**job["objects"], "secret_access_key": SecretStr(job["objects"]["secret_access_key"])})
    parts = [Part(*part) for part in job["parts"]]
    day_order = DayOrder(job["day_order"]) if job["day_order"] else None
    options = Options(day_order=day_order, latest=datetime.fromisoformat(job["latest"]))
    return Opened(open_handed(open_objects(settings), parts), sum(part.size for part in parts)), options


def _survey(service: Service, job: Mapping[str, Any]) -> None:
    opened, options = _open(job)
    text = opened.find_text(options)
    found = survey(_told(service, opened.blocks(text), text.size), options)
    service.say("surveyed", {"survey": found.as_json(), "text": text, "media": opened.media_count})


def _told(service: Service, blocks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same blocks; the service hears now and then how far they are."""
    read = told = 0
    for block in blocks:
        yield block
        read += len(block)
        if read - told >= PROGRESS_BYTES:
            service.say("read", {"read": read, "of": size})
            told = read


def _read(service: Service, job: Mapping[str, Any]) -> None:
    opened, options = _open(job)
    text, resume = Text(*job["text"]), job["resume"]
    reader = Reader(Survey.from_json(job["survey"]), options, resume["state"] if resume else None)
    reading = _Reading(service, job, opened, reader)
    for block in opened.blocks(text, reader.offset if resume else 0):
        reading.take(reader.feed(block))
    reading.take(reader.finish())
    reading.end()


class _Reading:
    """Gathers records to blocks, and has their rows made."""

    def __init__(self, service: Service, job: Mapping[str, Any], opened: Opened, reader: Reader) -> None:
        self._service = service
        self._opened = opened
        self._reader = reader
        self._objects = open_objects(
            ObjectsSettings(**{**job["objects"], "secret_access_key": SecretStr(job["objects"]["secret_access_key"])})
        )
        self._media_prefix = job["media_prefix"]
        self._maker = RowMaker(Place(*job["place"]), ZoneInfo(job["time_zone"]))
        self._speakers: dict[str, Speaker] = {}
        self._written: dict[int, Written] = {}
        self._records: list[Record] = []
        self._doubts: list[Doubt] = []
        self._bytes = 0

    def take(self, records: list[Record]) -> None:
        self._records += records
        self._doubts += self._reader.take_doubts()
        self._bytes += sum(len(record.body) for record in records)
        if max(len(self._records), len(self._doubts)) >= BLOCK_RECORDS or self._bytes >= BLOCK_BYTES:
            self._send("block")

    def end(self) -> None:
        self._send("last")

    def _send(self, kind: str) -> None:
        records = self._records
        self._know([record.author for record in records if record.author is not None])
        files = self._files(records)
        rows = self._maker.rows(records, self._speakers, files)
        header = {
            "records": len(records),
            "repeated": rows.repeated,
            "months": sorted(rows.months),
            "first": rows.first,
            "last": rows.last,
            "files": {str(index): kept for index, kept in rows.files.items()},
            "doubts": [(doubt.line, str(doubt.reason), _storable(doubt.text)) for doubt in self._doubts],
            "offset": self._reader.offset,
            "state": self._reader.state(),
            "width": len(rows.fingerprints[0]) if rows.fingerprints else 0,
        }
        self._service.say(kind, header, _sections(rows))
        self._records, self._doubts, self._bytes = [], [], 0

    def _know(self, names: Iterable[str]) -> None:
        """Asks the service for speakers who were not there before."""
        strangers = list(dict.fromkeys(name for name in names if name not in self._speakers))
        if strangers:
            self._service.say("strangers", {"names": strangers})
            told = self._service.hear()
            self._speakers |= {name: Speaker(*told[index]) for index, name in enumerate(strangers)}

    def _files(self, records: Sequence[Record]) -> dict[int, KeptFile]:
        kept: dict[int, KeptFile] = {}
        for index, record in enumerate(records):
            if record.file_name is None or (member := self._opened.media(record.file_name)) is None:
                continue
            kept[index] = self._keep(member, record.file_name)
        return kept

    def _keep(self, member: zipfile.ZipInfo, file_name: str) -> KeptFile:
        """The key is the member's place in the zip file: after a crash the same one is written again."""
        key = f"{self._media_prefix}/{member.header_offset}"
        written = self._written.get(member.header_offset)
        if written is None:
            self._service.say("media", {"object_key": key})
            self._service.hear()  # it is kept in mind
            written = self._objects.put_blocking(key, self._opened.media_blocks(member))
            self._written[member.header_offset] = written
        name = plain_name(file_name)
        return KeptFile(new_id("fil"), key, type_by_name(name), written.size_bytes, written.sha256, name)


def _sections(rows: Rows) -> tuple[bytes, ...]:
    return (
        "".join(rows.entries).encode(errors="replace"),
        "".join(rows.search).encode(errors="replace"),
        "".join(rows.keys).encode(),
        b"".join(rows.fingerprints),
        "".join(rows.entry_ids).encode(),
    )


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode(errors="replace").decode()


def _printable(text: str) -> str:
    """Its beginning, with what cannot be shown as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:SHOWN_CHARS])[:SHOWN_CHARS]


def _not_an_export(error: NotAnExport) -> str:
    shown = _printable(" | ".join(line for line in error.first_lines[:3] if line.strip()))
    return (
        f"This is no exported chat: no line begins with a date and a time. It begins: {shown}"
        if shown
        else "The file is empty."
    )


if __name__ == "__main__":
    main()
    os._exit(0)  # the interpreter would wait for the listener, which waits for the service
