"""Pages of an export: whole documents that need no script, no network and no other file but the media beside them.

Everything that people wrote is escaped, stands in an element of its own with its own direction, and a policy in each page forbids
what is left: scripts, forms, frames, anything from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from services.archive.domain.entry import Direction
from services.archive.domain.exported import ExportedEntry, text_at

STYLE: Final = Path(__file__).with_name("style.css").read_text(encoding="utf-8").replace("\n", "")
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; img-src 'self' file:; media-src 'self' file:; base-uri 'none'; "
    "form-action 'none'"
)
MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_CODE: Final = re.compile(r"```(.+?)```", re.DOTALL)
_LINK: Final = re.compile(r"https?://[^\s<>\"'`\x00-\x20\u200e\u200f\u202a-\u202e\u2066-\u2069]{3,2000}")
_MARKS: Final = tuple(
    (re.compile(rf"(?<![\w{mark}]){mark}(?=\S)([^\n{mark}]{{1,2000}}?)(?<=\S){mark}(?![\w{mark}])"), tag)
    for mark, tag in ((r"\*", "b"), ("_", "i"), ("~", "s"))
)
_UNSHOWN: Final = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, *range(0xD800, 0xE000)), "\ufffd")
"""Characters that HTML forbids."""
_ANY_UNSHOWN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_LABELS: Final = {
    "image": "Photo",
    "video": "Video",
    "audio": "Voice or audio",
    "sticker": "Sticker",
    "document": "Document",
    "contacts": "Contact card",
    "media": "Photo, video or file",
    "live_location": "Live location",
    "location": "Location",
    "poll": "Poll",
    "event": "Event",
    "template": "Template",
    "interactive": "Interactive message",
    "order": "Order",
    "empty": "Nothing that could be exported",
}
_SHOWN_AS: Final = {
    **dict.fromkeys(("jpg", "jpeg", "png", "webp", "gif"), "img"),
    **dict.fromkeys(("mp4", "webm", "3gp"), "video"),
    **dict.fromkeys(("opus", "aac", "amr", "mp3", "m4a", "ogg"), "audio"),
}


class Link(NamedTuple):
    """Somewhere to go from a page. `is_far` stands at the other end of the line."""

    href: str
    text: str
    is_far: bool = False


class Month(NamedTuple):
    """A month of an index: where it begins, and how many entries it has."""

    year: int
    month: int
    href: str
    entries: int


def page(title: str, sub: str, links: Sequence[Link], body: Iterable[str]) -> bytes:
    """A document. `title` and `sub` are plain text, `body` is HTML."""
    nav = "".join(
        f'<a href="{escape(link.href)}"{" class=far" if link.is_far else ""}>{escape(link.text)}</a>' for link in links
    )
    bar = f"<nav>{nav}</nav>" if nav else ""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex"><title>{_text(title)}</title><style>{STYLE}</style></head><body>'
        f'<header><h1 dir="auto">{_text(title)}</h1><p class="sub">{_text(sub)}</p>{bar}</header><main>\n'
    )
    return "".join((head, *body, f"</main><footer>{bar}</footer></body></html>\n")).encode(errors="replace")


def day_line(day: date) -> str:
    """What stands between two days."""
    return f'<div class="day"><span>{DAYS[day.weekday()]}, {day.day} {MONTHS[day.month - 1]} {day.year}</span></div>\n'


def month_anchor(day: date) -> str:
    """The name of the place where a month begins."""
    return f"m{day:%Y-%m}"


def entry_html(
    entry: ExportedEntry, *, media_prefix: str = "", with_conversation: bool = False, shows_author: bool = True
) -> str:
    """An entry. `with_conversation` tells where it was said, of entries from many conversations."""
    when = f"{entry.local:%H:%M}"
    exact = escape(entry.local.isoformat(sep=" ", timespec="seconds"))
    if entry.is_notice:
        return f'<div class="n" id="{escape(entry.id)}" dir="auto" title="{exact}">{_text(entry.body)}</div>\n'
    side = "m o" if entry.direction is Direction.OUTGOING else "m"
    who = f"{entry.author} · {entry.conversation}" if with_conversation else entry.author
    named = f'<bdi class="who">{_text(who)}</bdi>' if shows_author or with_conversation else ""
    notes = [when]
    if entry.edited_at is not None:
        notes.append("edited")
    if entry.status in {"failed", "read", "delivered"}:
        notes.append(str(entry.status))
    reactions = "".join(f" {_text(emoji)} {count}" for emoji, count in (entry.reactions or {}).items())
    reacted = f'<span class="re">{reactions.strip()}</span>' if reactions else ""
    return (
        f'<div class="{side}" id="{escape(entry.id)}"><div class="b">{named}{_said(entry, media_prefix)}{reacted}'
        f'<a class="at" href="#{escape(entry.id)}" title="{exact}">{" · ".join(notes)}</a></div></div>\n'
    )


def months_html(months: Sequence[Month]) -> Iterable[str]:
    """An index by month, a year after the other, with bars that show how much was said."""
    most = max((month.entries for month in months), default=1)
    year = None
    for month in months:
        if month.year != year:
            yield f"{'</div>' if year is not None else ''}<h2>{month.year}</h2><div class=months>"
            year = month.year
        yield (
            f'<a href="{escape(month.href)}">{MONTHS[month.month - 1]}<small>{month.entries:,} '
            f"{'message' if month.entries == 1 else 'messages'}</small>{_bar(month.entries / most)}</a>"
        )
    if year is not None:
        yield "</div>"


def row_html(href: str, title: str, count: int) -> str:
    """A line of a list of conversations."""
    return f'<tr><td dir="auto"><a href="{escape(href)}">{_text(title)}</a></td><td>{count:,}</td></tr>\n'


def _bar(share: float) -> str:
    """Widths are the attribute of an image's neighbour, not of a style: the policy allows no style but ours."""
    return f'<svg class=bar width="{max(2, round(share * 100))}%" height="3" aria-hidden="true"></svg>'


def _said(entry: ExportedEntry, media_prefix: str) -> str:
    if entry.is_revoked:
        return '<div class="gone">This message was deleted</div>'
    parts = []
    if entry.file is not None:
        parts.append(_file(entry, media_prefix))
    elif (label := _LABELS.get(entry.type)) is not None:
        named = f": {_text(entry.file_name)}" if entry.file_name else ""
        lost = " (not kept)" if entry.type in {"image", "video", "audio", "sticker", "document", "media"} else ""
        parts.append(f'<div class="what">{label}{named}{lost}</div>')
    if entry.type == "poll":
        parts.append(_poll(entry))
    elif entry.type == "location":
        parts.append(_place(entry))
    elif said := entry.caption if entry.type in _LABELS and entry.file_name else entry.body:
        parts.append(f'<div class="t" dir="auto">{formatted(said)}</div>')
    return "".join(parts)


def _file(entry: ExportedEntry, media_prefix: str) -> str:
    name = entry.file or ""
    href = quote(media_prefix + name)
    shown = _text(entry.file_name or name)
    match _SHOWN_AS.get(name.rpartition(".")[2]):
        case "img":
            return f'<a href="{href}"><img src="{href}" alt="{escape(shown)}" loading="lazy"></a>'
        case "video":
            return f'<video src="{href}" controls preload="none"></video>'
        case "audio":
            return f'<audio src="{href}" controls preload="none"></audio>'
        case _:
            return f'<div><a href="{href}" download>{shown}</a></div>'


def _poll(entry: ExportedEntry) -> str:
    question = text_at(entry.content, "poll", "question")
    poll = entry.content.get("poll")
    options: Any = poll.get("options") if isinstance(poll, dict) else None
    lines = [
        f"<li><bdi>{_text(text_at(option, 'name'))}</bdi><span>{_votes(option.get('votes'))}</span></li>"
        for option in (options if isinstance(options, list) else ())
        if isinstance(option, dict)
    ]
    return f'<div class="t" dir="auto"><b>{_text(question)}</b></div><ul class="poll">{"".join(lines)}</ul>'


def _votes(votes: Any) -> str:
    return str(votes) if isinstance(votes, int) else ""


def _place(entry: ExportedEntry) -> str:
    place = entry.content.get("location")
    latitude, longitude = (place.get("latitude"), place.get("longitude")) if isinstance(place, dict) else (None, None)
    link = ""
    if isinstance(latitude, int | float) and isinstance(longitude, int | float):
        point = f"{latitude:.6f},{longitude:.6f}"
        link = f'<a href="https://www.openstreetmap.org/?mlat={latitude:.6f}&amp;mlon={longitude:.6f}" rel="noreferrer">{point}</a>'
    said = f'<div class="t" dir="auto">{formatted(entry.body)}</div>' if entry.body else ""
    return said + link


def formatted(text: str) -> str:
    """A text as HTML, with WhatsApp's marks (`*bold*`, `_italic_`, `~struck~`, three back quotes) and links to the web."""
    parts, end = [], 0
    for code in _CODE.finditer(text):
        parts += [_linked(text[end : code.start()]), f"<code>{_text(code[1])}</code>"]
        end = code.end()
    parts.append(_linked(text[end:]))
    return "".join(parts)


def _linked(text: str) -> str:
    parts, end = [], 0
    for link in _LINK.finditer(text):
        url = link[0].rstrip(".,;:!?)]}*_~")
        parts += [
            _marked(text[end : link.start()]),
            f'<a href="{_text(url)}" rel="noreferrer noopener nofollow">{_text(url)}</a>',
        ]
        end = link.start() + len(url)
    parts.append(_marked(text[end:]))
    return "".join(parts)


def _marked(text: str) -> str:
    html = _text(text)
    for pattern, tag in _MARKS:
        html = pattern.sub(rf"<{tag}>\1</{tag}>", html)
    return html


def _text(text: str) -> str:
    return escape(text.translate(_UNSHOWN) if _ANY_UNSHOWN.search(text) else text)
