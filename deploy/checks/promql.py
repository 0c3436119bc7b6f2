"""Which metrics an expression of PromQL reads, and by which labels: as much of the language as that takes.

Grafana's variables (`$service`, `$__rate_interval`) may stand in it. Whether it is an expression at all is promtool's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TOKEN: Final = re.compile(
    r"""
      (?P<blank>\s+|\#[^\n]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    | (?P<range>\[[^\]]*\])
    | (?P<variable>\$\{[^}]*\}|\$\w+)
    | (?P<number>[0-9][0-9a-zA-Z_.]*)
    | (?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)
    | (?P<sign>=~|!~|!=|==|>=|<=|.)
    """,
    re.VERBOSE | re.DOTALL,
)
LISTS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
"""Words after which labels stand in parentheses."""
WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan", "start", "end"})


class Unreadable(Exception):
    """The text breaks off where more must follow."""


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric that is read, with the labels it is chosen by. The name is empty where only labels choose."""

    name: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """`grouped` are the labels by which series are put together or matched."""

    selectors: tuple[Selector, ...]
    grouped: tuple[str, ...]


def read(expression: str) -> Reading:
    """Raises `Unreadable`."""
    tokens = [(kind, text) for kind, text in _tokens(expression) if kind != "blank"]
    selectors: list[Selector] = []
    grouped: list[str] = []
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind == "word" and text.lower() in LISTS:
            if following == "(":
                labels, place = _until(tokens, place + 1, ")")
                grouped += labels
        elif text == "{":
            labels, place = _until(tokens, place, "}")
            selectors.append(Selector("", tuple(labels)))
        elif kind == "word" and following == "{":
            labels, place = _until(tokens, place + 1, "}")
            selectors.append(Selector(text, tuple(labels)))
        elif kind == "word" and following != "(" and text.lower() not in WORDS and not _is_grouping(tokens, place):
            selectors.append(Selector(text, ()))
    return Reading(tuple(selectors), tuple(grouped))


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    for match in TOKEN.finditer(expression):
        yield str(match.lastgroup), match[0]


def _is_grouping(tokens: list[tuple[str, str]], place: int) -> bool:
    """Whether the word before `place` is an aggregation whose labels come first: `sum by (service) (…)`."""
    return place < len(tokens) and tokens[place][1].lower() in {"by", "without"}


def _until(tokens: list[tuple[str, str]], place: int, end: str) -> tuple[list[str], int]:
    """The words up to a closing sign, and the place behind it."""
    words: list[str] = []
    while place < len(tokens):
        kind, text = tokens[place]
        place += 1
        if text == end:
            return words, place
        if kind == "word":
            words.append(text)
    raise Unreadable(f"no {end} after {' '.join(words) or 'the opening one'}")
