"""Who speaks: names as they stand, and as they are compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from services.archive.chat_export.characters import folded, plain
from services.archive.chat_export.markers import MARKERS, is_notice
from services.archive.chat_export.shapes import Shape

MAX_NAME_CHARS: Final = 128
_QUOTES: Final = re.compile('["\u201c\u201d\u201e\u00ab\u300c]')


def author_pattern(shape: Shape, with_colons: Iterable[str] = ()) -> str:
    """A regular expression of an author with what ends it, in a group; it matches nothing where there is none. `with_colons` are
    the known names that hold what ends a name."""
    end = shape.author_end
    if end == " : ":
        return rf"([^:\n]{{1,{MAX_NAME_CHARS}}}? : )?"
    known = "".join(re.escape(name) + "|" for name in sorted(with_colons, key=len, reverse=True))
    # Possessive: a line without an author costs one look at it, however long it is.
    return rf"((?:{known}[^:\n]{{1,{MAX_NAME_CHARS}}}+(?::[^\s:][^:\n]{{0,{MAX_NAME_CHARS}}}+){{0,4}}+):(?: |(?=\r?\n)))?"


def bare(author: str, shape: Shape) -> str:
    """The name as the file writes it, of what `author_pattern` has found."""
    return author.removesuffix(shape.author_end).removesuffix(":")


def cleaned(name: str) -> tuple[str, bool]:
    """The name as it is compared and kept, and whether it stood with a tilde: then its owner chose it."""
    clean = plain(name).replace("\x00", "").strip()
    is_self_chosen = clean.startswith("~")
    return (clean.lstrip("~").strip() or clean if is_self_chosen else clean), is_self_chosen


def names_with_colons(seconds: Mapping[tuple[str, str], int], authors: Mapping[str, int]) -> set[str]:
    """Names such as `Dr: House`: the same word and a colon follow nearly all that a person called `Dr` seems to say. `seconds`
    counts how often which word follows whom."""
    return {
        f"{author}: {second}"
        for (author, second), count in seconds.items()
        if count >= 3 and count >= 0.95 * authors.get(author, 0) and folded(second) not in MARKERS.location_labels
    }


def people_among(authors: Mapping[str, int]) -> dict[str, int]:
    """Those of the would-be authors, by their raw names, that are people: the beginning of a notice that holds a colon is none.
    With how many records they have."""
    often = Counter({name: count for name, count in authors.items() if count > 1}).most_common(500)
    known = tuple(f"{name} " for name, _ in often)
    return {name: count for name, count in authors.items() if not _begins_notice(name, count, known)}


def _begins_notice(name: str, count: int, known: tuple[str, ...]) -> bool:
    if is_notice(name):
        return True
    quotes = len(_QUOTES.findall(name))
    # `Anna hat den Betreff von „A“ zu „Plan: B“ geändert`: begins with somebody who is known, and a quotation is left open.
    return count <= 2 and quotes % 2 == 1 and (name.startswith(known) or len(name.split()) > 4)
