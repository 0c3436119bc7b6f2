"""The application's own wordings, looked up in all languages at once (`markers.json`)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import chain
from typing import Any, Final

from services.archive.chat_export.characters import folded
from services.archive.domain.imported import Kind

MAX_MARKER_CHARS: Final = 120
_KINDS: Final = {
    "image": Kind.IMAGE, "video": Kind.VIDEO, "audio": Kind.AUDIO, "sticker": Kind.STICKER, "gif": Kind.GIF,
    "document": Kind.DOCUMENT, "contact": Kind.CONTACTS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Markers:
    """Phrases as `folded` gives them."""

    whole: Mapping[str, Kind]
    """What a whole body can be."""
    omitted: Mapping[str, Kind]
    """What iOS writes in place of a file, after a caption or a name."""
    in_brackets: Mapping[str, Kind]
    """What Android writes in angle brackets in place of a file."""
    edited: frozenset[str]
    calls: frozenset[str]
    attached_words: frozenset[str]
    attached_notes: frozenset[str]
    location_labels: frozenset[str]
    poll_questions: frozenset[str]
    event_labels: frozenset[str]
    notice: re.Pattern[str]
    as_written: frozenset[str]
    """Every spelling of the whole bodies that a file may hold without a mark: a look-up here is how most texts pass."""


def is_notice(text: str) -> bool:
    """Whether the words are of a notice. On iOS they prove it only after a mark: people type them too."""
    return MARKERS.notice.search(folded(text[:1000])) is not None


def _loaded() -> Markers:
    raw: dict[str, Any] = json.loads(files(__package__).joinpath("markers.json").read_text(encoding="utf-8"))
    omitted = {folded(phrase): _KINDS[name] for name, phrases in raw["omitted"].items() for phrase in phrases}
    whole: dict[str, Kind] = {**omitted, "": Kind.EMPTY, **_of(raw["null"], Kind.EMPTY)}
    whole |= (
        _of(raw["live_location"], Kind.LIVE_LOCATION) | _of(raw["missed_call"], Kind.CALL) | _of(raw["revoked"], Kind.REVOKED)
    )
    spelled = [
        *raw["null"],
        *raw["live_location"],
        *raw["missed_call"],
        *raw["revoked"],
        *chain.from_iterable(raw["omitted"].values()),
    ]
    stems = "|".join(re.escape(folded(stem)) for stem in raw["notice"])
    return Markers(
        whole=whole,
        omitted=omitted,
        in_brackets=_of(raw["media_in_brackets"], Kind.MEDIA) | _of(raw["video_in_brackets"], Kind.VIDEO),
        edited=_folded(raw["edited"]),
        calls=_folded([*raw["call"], *raw["missed_call"]]),
        attached_words=_folded(raw["attached_word"]),
        attached_notes=_folded(raw["file_attached"]),
        location_labels=_folded(raw["location_label"]),
        poll_questions=_folded(raw["poll_question"]),
        event_labels=_folded(raw["event_label"]),
        notice=re.compile("|".join((stems, *raw["notice_pattern"]))),
        as_written=frozenset(form for phrase in spelled for form in _spellings(phrase)) | {""},
    )


def _of(phrases: Iterable[str], kind: Kind) -> dict[str, Kind]:
    return {folded(phrase): kind for phrase in phrases}


def _folded(phrases: Iterable[str]) -> frozenset[str]:
    return frozenset(folded(phrase) for phrase in phrases)


def _spellings(phrase: str) -> Iterable[str]:
    """As listed and decomposed, with and without a final full stop, with a capital and without."""
    stem = phrase.rstrip(".\u3002\u0964\u06d4")
    for cased in {phrase, stem, stem[:1].upper() + stem[1:], stem[:1].lower() + stem[1:]}:
        for form in ("NFC", "NFD"):
            written = unicodedata.normalize(form, cased)
            yield from (written, written + ".", written + "\u3002", written + " ")


MARKERS: Final = _loaded()
