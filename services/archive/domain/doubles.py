"""Which records of an export were recorded already when they were sent: the same chat, seen by a phone and by us.

An export has no ids, and its clock is the phone's: minutes mostly. So two are one where direction and words are the same and the
minute is, or the next to it. Each entry stands for one record, however often something is said.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from unicodedata import normalize

from services.archive.domain.indexing import FILE_TYPES

MINUTE: Final = timedelta(minutes=1)
_GAP: Final = timedelta(hours=1)
"""Spans that are closer are looked through as one."""
_UNNAMED_TYPE: Final = "media"
_BY_TYPE: Final = frozenset({"location", "contacts"})
"""Exports say these in other words than the provider does."""
_FILE_NAME: Final = re.compile(r".+\.\w{2,5}")


class Said(NamedTuple):
    """A record, or an entry, as far as it can be told again. `body` in any spelling that is the same for both."""

    sent_at: datetime
    is_outgoing: bool
    type: str
    body: str


def spans(moments: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Where their doubles may be: from the first moment to before the second, in order, apart from each other."""
    found: list[tuple[datetime, datetime]] = []
    for minute in sorted({_minute(moment) for moment in moments}):
        start, end = minute - MINUTE, minute + 2 * MINUTE
        if found and start - found[-1][1] <= _GAP:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def doubles(records: Mapping[int, Said], entries: Sequence[Said]) -> dict[int, int]:
    """To records, by their index, the index of the entry that each of them is."""
    waiting: defaultdict[tuple[bool, str, datetime], list[int]] = defaultdict(list)
    for index, entry in enumerate(entries):
        waiting[entry.is_outgoing, _words(entry), _minute(entry.sent_at)].append(index)
    found: dict[int, int] = {}
    for shift in (timedelta(), -MINUTE, MINUTE):  # all of the same minute first: nobody takes another one's
        for index, record in records.items():
            if index in found:
                continue
            likely = waiting.get((record.is_outgoing, _words(record), _minute(record.sent_at) + shift), ())
            double = next((one for one in likely if _is_alike(record.type, entries[one].type)), None)
            if double is not None:
                found[index] = double
                waiting[record.is_outgoing, _words(record), _minute(record.sent_at) + shift].remove(double)
    return found


def _words(said: Said) -> str:
    if said.type in _BY_TYPE:
        return f"~{said.type}"
    lines = said.body.split("\n")
    if said.type in FILE_TYPES:  # an export names the file as the phone calls it
        lines = ["~file", *(line for line in lines if not _FILE_NAME.fullmatch(line.strip()))]
    words = " ".join(" ".join(lines).split())
    return (words if words.isascii() else normalize("NFC", words)) or f"~{said.type}"


def _is_alike(one: str, other: str) -> bool:
    """What is said is the same already; which kind of file it was, an export may not know."""
    are_files = one in FILE_TYPES, other in FILE_TYPES
    return one == other or not any(are_files) or (all(are_files) and _UNNAMED_TYPE in {one, other})


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)
