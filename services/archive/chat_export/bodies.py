"""What a body is: said by a person, or written by the application around a file, a call, a poll, a place, a deletion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.archive.chat_export.characters import MARKS, SPACES, folded, plain, without_marks
from services.archive.chat_export.markers import MARKERS, MAX_MARKER_CHARS
from services.archive.domain.imported import FILE_KINDS, Kind

_TEXT: Final = Kind.TEXT
_MAX_NAME_CHARS: Final = 400
"""More than any file's name with the words around it; bounds the search for it in long lines."""
_M: Final = f"[{MARKS}]{{0,4}}"
_MARK: Final = re.compile(f"[{MARKS}]")
_EDITED: Final = re.compile(rf"[{SPACES}]?{_M}<([^<>\n]{{3,60}})>{_M}$")
_BEFORE_EDITED: Final = 5
"""A space and the marks that may stand before the bracket."""
_IOS_FILE: Final = re.compile(rf"<{_M}([^<>:\uff1a\n]{{2,30}}?)[{SPACES}]?[:\uff1a][{SPACES}]?([^\n]+)>{_M}$")
_IOS_FILE_WORD_LAST: Final = re.compile(rf"(?:^|(?<=[{MARKS}\n ]))<{_M}([^\n]+) (\S{{2,30}})>{_M}$")
_IOS_FILE_OF_OLD: Final = re.compile(rf"^{_M}(\S[^\n]*?)[{SPACES}]<{_M}([^<>\n]{{2,30}})>{_M}$")
_ANDROID_FILE: Final = re.compile(
    rf"^{_M}([^\n]{{1,400}})[{SPACES}]?[(\uff08]{_M}([^()\uff08\uff09\n]{{3,40}})[)\uff09]{_M}[{SPACES}]?(?:\n|$)"
)
_ANDROID_OMITTED: Final = re.compile(rf"^{_M}<([^<>\n]{{3,60}})>{_M}(?:\n|$)")
_MAX_LABEL_CHARS: Final = 40
_TITLED: Final = re.compile(rf"^{_M}([^:\n]{{4,30}}): (.*)$")
_POLL_OPTION: Final = re.compile(
    rf"^{_M}([^\s:\uff1a][^:\uff1a\n]{{1,20}})[:\uff1a] ?(.*?) ?[(\uff08]{_M}(\d+)[^()\n]*[)\uff09]{_M}$"
)
_PLACE: Final = re.compile(
    rf"^{_M}(?P<label>[^:\n]{{2,200}}): ?(?P<url>https?://(?:maps\.google\.[a-z.]+|(?:www\.)?google\.[a-z.]+/maps|maps\.apple\.com|(?:[a-z]+\.)?foursquare\.com/v/)\S*){_M}$"
)
_VENUE: Final = re.compile(
    rf"^{_M}(?:[^:\n]{{2,40}}: ?)?(?P<name>[^\n]+)\n(?:(?P<address>[^\n]*)\n)?(?P<url>https?://(?:[a-z]+\.)?foursquare\.com/v/\S+){_M}$"
)
PLACE_HOST: Final = re.compile(r"://(?:maps\.|(?:www\.)?google\.|(?:[a-z]+\.)?foursquare\.)")
_POINT: Final = re.compile(r"(?:q|ll|query)=(?:loc:)?(-?\d{1,3}\.?\d*),(-?\d{1,3}\.?\d*)")
_NAME_AND_ADDRESS: Final = re.compile(r"(.+?) \((.+)\)$")
_IOS_NAME: Final = re.compile(r"^(?:\d{8}-|\d{4}-\d\d-\d\d-)(PHOTO|VIDEO|AUDIO|GIF|STICKER)-")
_ANDROID_NAME: Final = re.compile(r"^(IMG|VID|PTT|AUD|STK|DOC)-\d{8}-WA\d+")
_BY_NAME: Final = {
    "PHOTO": Kind.IMAGE, "VIDEO": Kind.VIDEO, "AUDIO": Kind.AUDIO, "GIF": Kind.GIF, "STICKER": Kind.STICKER,
    "IMG": Kind.IMAGE, "VID": Kind.VIDEO, "PTT": Kind.AUDIO, "AUD": Kind.AUDIO, "STK": Kind.STICKER, "DOC": Kind.DOCUMENT,
}  # fmt: skip
_BY_EXTENSION: Final = {
    **dict.fromkeys(("jpg", "jpeg", "png", "heic", "gif"), Kind.IMAGE),
    **dict.fromkeys(("mp4", "mov", "3gp", "mkv", "avi", "webm"), Kind.VIDEO),
    **dict.fromkeys(("opus", "m4a", "ogg", "mp3", "aac", "amr", "wav"), Kind.AUDIO),
    "webp": Kind.STICKER,
    "vcf": Kind.CONTACTS,
}
LEADING_MARKS: Final = "".join(chr(code) for code in (0x61C, 0x200E, 0x200F, 0xFEFF))
_CLOSING: Final = (">", ")", "\uff09")
_AROUND: Final = LEADING_MARKS + " \n"


class Said(NamedTuple):
    """What a body turned out to be. `is_unknown`: it looks like a wording of the application's, and is not listed."""

    kind: Kind
    body: str
    file_name: str | None = None
    is_edited: bool = False
    details: Mapping[str, Any] | None = None
    is_unknown: bool = False


def said_in(body: str) -> Said:
    """What a body of a person is. Notices are not told here: that takes the author (`unusual`)."""
    edited = None
    if ">" in body[-4:] and (opened := body.rfind("<", -MAX_MARKER_CHARS)) >= 0:
        edited = _EDITED.search(body, max(0, opened - _BEFORE_EDITED))
    if edited is not None and folded(edited[1]) in MARKERS.edited:
        return _one_of_all(body[: edited.start()])._replace(is_edited=True)
    return _one_of_all(body)


def sameness(said: Said) -> str:
    """What exports of both platforms, with files and without, agree on. The kind of a file is not: Android does not tell of those
    that it left out."""
    kind = said.kind
    if kind is _TEXT:
        return plain(said.body)
    if kind in FILE_KINDS:
        return f"\x01file {plain(said.body)}"
    if kind is Kind.LOCATION and said.details is not None:
        return f"\x01location {said.details['url']}"
    if kind is Kind.POLL and said.details is not None:
        return "\x01poll " + "\n".join([said.details["question"], *(option["name"] for option in said.details["options"])])
    if kind is Kind.NOTICE or kind is Kind.EVENT:
        return f"\x01{kind} {folded(said.body)}"
    return f"\x01{kind}"


def _one_of_all(body: str) -> Said:
    for look in (_whole, _attached, _omitted, _place, _poll, _call):
        said = look(body)
        if said is not None:
            return said
    return Said(_TEXT, body.lstrip(LEADING_MARKS), is_unknown=_looks_like_marker(body))


def _whole(body: str) -> Said | None:
    # No such wording ends with a bracket.
    if len(body) > MAX_MARKER_CHARS or body[-1:] in _CLOSING or (body not in MARKERS.as_written and not _MARK.search(body)):
        return None
    kind = MARKERS.whole.get(folded(body))
    if kind is None:
        return None
    return Said(kind, without_marks(body).strip() if kind in {Kind.CALL, Kind.EMPTY} else "")


def _attached(body: str) -> Said | None:
    if body.rstrip(LEADING_MARKS).endswith(">"):
        last_line = max(body.rfind("\n") + 1, len(body) - _MAX_NAME_CHARS)
        for found in _IOS_FILE.finditer(body, last_line):
            if folded(found[1]) in MARKERS.attached_words:
                return _file(found[2], body[: found.start()])
        word_last = _IOS_FILE_WORD_LAST.search(body, last_line)
        if word_last is not None and folded(word_last[2]) in MARKERS.attached_words:
            return _file(word_last[1], body[: word_last.start()])
        old = _IOS_FILE_OF_OLD.match(body) if len(body) <= _MAX_NAME_CHARS else None
        if old is not None and folded(old[2]) in MARKERS.attached_words:
            return _file(old[1], "")
    android = _ANDROID_FILE.match(body) if ")" in body or "\uff09" in body else None
    if android is not None and folded(android[2]) in MARKERS.attached_notes:
        return _file(android[1], body[android.end() :])
    return None


def _file(name: str, caption: str) -> Said:
    name = without_marks(name).strip(" ")
    caption = caption.strip(_AROUND)
    stem, _, extension = name.rpartition(".")
    by_name = _IOS_NAME.match(name) or _ANDROID_NAME.match(name)
    kind = _BY_NAME[by_name[1]] if by_name else _BY_EXTENSION.get(extension.lower(), Kind.DOCUMENT)
    if caption in {name, stem}:
        caption = ""  # documents repeat their own name
    if kind is Kind.CONTACTS:
        return Said(kind, caption, name, details={"name": re.sub(r"^\d{8}-", "", stem)})
    is_voice = kind is Kind.AUDIO and (name.startswith("PTT-") or "-AUDIO-" in name)
    return Said(kind, caption, name, details={"voice": True} if is_voice else None)


def _omitted(body: str) -> Said | None:
    android = _ANDROID_OMITTED.match(body) if "<" in body[:3] else None
    if android is not None:
        kind = MARKERS.in_brackets.get(folded(android[1]))
        if kind is not None:
            return Said(kind, body[android.end() :].strip(_AROUND))
    mark = max(body.rfind("\u200e"), body.rfind("\u200f"))
    if mark < 0 or len(body) - mark > MAX_MARKER_CHARS:
        return None
    ios = MARKERS.omitted.get(folded(body[mark:]))
    if ios is None:
        return None
    before = without_marks(body[:mark]).strip(_AROUND)
    if ios is Kind.DOCUMENT and " \u2022" in before:
        caption, _, last = before.rpartition("\n")
        return Said(ios, caption, last.partition(" \u2022")[0])
    if ios is Kind.DOCUMENT and before and "\n" not in before:
        return Said(ios, "", before)
    return Said(ios, before)


def _place(body: str) -> Said | None:
    if len(body) > 2000 or not PLACE_HOST.search(body):
        return None
    found = _PLACE.match(body)
    if found is not None:
        label, url = found["label"], found["url"]
        details: dict[str, Any] = {"url": url}
        point = _POINT.search(url)
        if folded(label) not in MARKERS.location_labels:
            # `Name (address): URL` is iOS's; without a mark before it somebody may have typed it.
            named = _NAME_AND_ADDRESS.match(without_marks(label))
            if named is None or body[0] not in LEADING_MARKS:
                return None
            details |= {"name": named[1], "address": named[2]}
        if point is not None:
            details |= {"latitude": float(point[1]), "longitude": float(point[2])}
        return Said(Kind.LOCATION, "", details=details)
    venue = _VENUE.match(body)
    if venue is None:
        return None
    told = {"url": venue["url"], "name": without_marks(venue["name"]), "address": venue["address"]}
    return Said(Kind.LOCATION, "", details={key: value for key, value in told.items() if value})


def _poll(body: str) -> Said | None:
    first, _, rest = body.partition("\n")
    if len(first) > _MAX_LABEL_CHARS and body[0] not in LEADING_MARKS:
        return None
    label = folded(first.rstrip(":\uff1a")) if first.rstrip(_AROUND).endswith((":", "\uff1a")) else ""
    if label and label in MARKERS.event_labels:
        return Said(Kind.EVENT, without_marks(rest).strip())
    titled = _TITLED.match(first) if body[0] in LEADING_MARKS else None
    if titled is not None and folded(titled[1]) in MARKERS.event_labels:
        return Said(Kind.EVENT, without_marks(f"{titled[2]}\n{rest}").strip())
    if not rest or not label:
        return None
    lines = rest.rstrip("\n").split("\n")
    options = [_POLL_OPTION.match(line) for line in lines]
    first_option = next((at for at, option in enumerate(options) if option is not None), None)
    if first_option is None or first_option == 0 or not all(options[first_option:]):
        return None
    if label not in MARKERS.poll_questions and lines[first_option][0] not in LEADING_MARKS:
        return None
    question = "\n".join(lines[:first_option]).strip(LEADING_MARKS)
    chosen = [{"name": found[2].strip(LEADING_MARKS), "votes": int(found[3][:9])} for found in options[first_option:] if found]
    return Said(Kind.POLL, "", details={"question": question, "options": chosen})


def _call(body: str) -> Said | None:
    """`Voice call. 2 min`: what follows is the length or what to tap."""
    if body[0] not in LEADING_MARKS or len(body) > MAX_MARKER_CHARS:
        return None
    words = re.split(rf"[.,\u3001\u060c](?:[{MARKS}{SPACES}]|$)", body.strip(_AROUND), maxsplit=1)
    if folded(words[0]) not in MARKERS.calls:
        return None
    return Said(Kind.CALL, without_marks(body).strip())


def _looks_like_marker(body: str) -> bool:
    if len(body) > MAX_MARKER_CHARS or "\n" in body:
        return False
    return body[:1] in LEADING_MARKS or (body.startswith("<") and body.endswith(">") and body[1:-1].replace(" ", "").isalpha())
