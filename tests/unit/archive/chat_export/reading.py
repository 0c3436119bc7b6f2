"""Both passes over a text, for the tests of the parser."""

from __future__ import annotations

from datetime import datetime

from services.archive.chat_export.findings import DayOrder, Doubt, Options, Survey
from services.archive.chat_export.reader import Reader
from services.archive.chat_export.survey import survey
from services.archive.domain.imported import Record

LATEST = datetime(2030, 1, 1)  # noqa: DTZ001  # wall time, as in exports


def read(
    data: bytes | str, *, block: int = 1 << 20, day_order: DayOrder | None = None
) -> tuple[Survey, list[Record], list[Doubt]]:
    raw = data.encode() if isinstance(data, str) else data
    blocks = [raw[start : start + block] for start in range(0, len(raw), block)]
    options = Options(day_order=day_order, latest=LATEST)
    found = Survey.from_json(survey(blocks, options).as_json())
    reader = Reader(found, options)
    records = [record for part in blocks for record in reader.feed(part)] + reader.finish()
    return found, records, reader.take_doubts()
