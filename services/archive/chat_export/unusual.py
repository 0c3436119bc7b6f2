"""Records that are not just somebody's words: no known author, or a body in which the application has its hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.archive.chat_export.bodies import LEADING_MARKS, Said, said_in, sameness
from services.archive.chat_export.characters import without_marks
from services.archive.chat_export.findings import Doubt, DoubtReason, Platform, Survey
from services.archive.chat_export.markers import MARKERS, is_notice
from services.archive.domain.imported import Kind

Told = tuple[str | None, Kind, str, str | None, bool, Mapping[str, Any] | None, bytes]
"""Author, kind, body, file name, whether edited, details, and what the fingerprint is made of."""
_SHOWN_CHARS: Final = 200
_NAME_CHARS: Final = 132
_SHORT_CHARS: Final = 40
_MAX_SHORT: Final = 4096
"""The application repeats itself: what short bodies are is remembered."""
_ALSO_UNMARKED: Final = frozenset({Kind.TEXT, Kind.EMPTY, Kind.REVOKED, Kind.CALL, Kind.LIVE_LOCATION})
"""What Android writes as bare words. `image omitted` is iOS's; on Android somebody has typed it."""


class Unusual:
    """Knows who speaks in the file. `authors`: by what stands before the body, the name and what of it goes into a fingerprint."""

    def __init__(self, survey: Survey) -> None:
        end = survey.shape.author_end
        self.authors: dict[str | None, tuple[str, bytes]] = {}
        for person in survey.people:
            known = (person.name, f"{person.name}\x00".encode("utf-8", "replace"))
            for raw in person.raw_names:
                self.authors |= {raw + end: known, raw + ":": known}
        self.names_with_colons = tuple(raw for person in survey.people for raw in person.raw_names if end in raw)
        self._short: dict[str, tuple[Kind, str, str | None, bool, Mapping[str, Any] | None, bytes]] = {}
        self._is_android = survey.platform is Platform.ANDROID
        self._names = tuple(sorted({person.name for person in survey.people if len(person.name) > 1})[:5000])

    def record(self, who: str | None, author: tuple[str, bytes] | None, body: str, line: int, doubts: list[Doubt]) -> Told:
        """What the record is. `author` is what `authors` has of `who`."""
        if author is None:
            return self._notice(_words_of_group(who or "", body))
        short = self._short.get(body)
        if short is not None:
            return author[0], *short[:5], author[1] + short[5]
        said = said_in(body)
        if self._is_android and said.kind not in _ALSO_UNMARKED and body in MARKERS.as_written:
            said = Said(Kind.TEXT, body)
        # A mark alone proves no notice, nor do the words: people type them too.
        is_marked = said.kind is Kind.TEXT and body[:1] in LEADING_MARKS
        if is_marked and (is_notice(body) or (said.is_unknown and self._begins_with_name(body))):
            return self._notice(body)
        if said.is_unknown:
            doubts.append(Doubt(line, DoubtReason.UNKNOWN_MARKER, body[:_SHOWN_CHARS]))
        same = sameness(said).encode("utf-8", "replace")
        if len(body) <= _SHORT_CHARS and not said.is_unknown and len(self._short) < _MAX_SHORT:
            self._short[body] = (*said[:5], same)
        return author[0], *said[:5], author[1] + same

    def _begins_with_name(self, body: str) -> bool:
        return without_marks(body).lstrip("~ \u202f").startswith(self._names)

    def _notice(self, body: str) -> Told:
        said = Said(Kind.NOTICE, without_marks(body).strip())
        return None, *said[:5], sameness(said).encode("utf-8", "replace")


def _words_of_group(who: str, body: str) -> str:
    """What a notice says: on iOS the group stands before it as its author, and its name may hold a colon."""
    if body[:1] in LEADING_MARKS and body:
        return body
    second = body.find(": \u200e", 0, _NAME_CHARS)
    return body[second + 2 :] if second >= 0 and who else who + body
