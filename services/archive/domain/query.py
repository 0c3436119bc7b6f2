"""What a reader asks for: words that must all be there, `"phrases"` in order, `prefix*`.

PostgreSQL finds the entries that hold all terms; whether phrases hold together is checked here, on the text, because the index
keeps no positions (they would make it several times larger, and pairs of characters could not use them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.archive.domain.analyzer import Token, is_unspaced, quote, tokens

_PARTS: Final = re.compile(
    r'["\u201c\u201d\u201e]([^"\u201c\u201d\u201e]*)(?:["\u201c\u201d\u201e]|$)|([^\s"\u201c\u201d\u201e]+)'
)


class Wanted(NamedTuple):
    """A term of the question. `prefix`: longer terms will do; `glued`: it must overlap the term before it, as it does there."""

    term: str
    prefix: bool = False
    glued: bool = False

    def accepts(self, term: str) -> bool:
        return term.startswith(self.term) if self.prefix else term == self.term


@dataclass(frozen=True, slots=True)
class Query:
    """`wanted` must all occur; each of `phrases` must occur as it stands."""

    wanted: tuple[Wanted, ...]
    phrases: tuple[tuple[Wanted, ...], ...]

    @property
    def is_empty(self) -> bool:
        """True where nothing can be searched for: no letter, digit or emoji."""
        return not self.wanted

    def tsquery(self) -> str:
        """The terms as a tsquery literal; phrases are for `is_met_by`."""
        return " & ".join(dict.fromkeys(quote(want.term) + (":*" if want.prefix else "") for want in self.wanted))

    def is_met_by(self, text: str) -> bool:
        """Whether a text that holds all terms holds the phrases too."""
        if not self.phrases:
            return True
        found = tokens(text)
        return all(_occurs(phrase, found) for phrase in self.phrases)

    def highlights(self, text: str) -> Iterator[tuple[int, int]]:
        """Places of `text` that show why it was found: ascending, apart from each other."""
        start = end = -1
        for token in tokens(text):
            if not any(want.accepts(token.term) for want in self.wanted):
                continue
            if token.start <= end:
                end = max(end, token.end)
                continue
            if end > 0:
                yield start, end
            start, end = token.start, token.end
        if end > 0:
            yield start, end


def parse(question: str) -> Query:
    """Read a question. Any text is fine; a quote that is not closed reaches to the end."""
    wanted: list[Wanted] = []
    phrases: list[tuple[Wanted, ...]] = []
    for part in _PARTS.finditer(question):
        is_quoted = part[1] is not None
        text = part[1] if is_quoted else part[2]
        found = [_want(token) for token in tokens(text)]
        if found and not is_quoted and text.endswith("*"):
            found[-1] = found[-1]._replace(prefix=True)
        wanted.extend(found)
        if len(found) > 1 and (is_quoted or any(want.glued for want in found)):
            phrases.append(tuple(found))
    return Query(tuple(wanted), tuple(phrases))


def _want(token: Token) -> Wanted:
    """A lone character of an unspaced script is indexed in pairs only, so ask for the pairs that begin with it."""
    return Wanted(token.term, prefix=len(token.term) == 1 and is_unspaced(token.term), glued=token.glued)


def _occurs(phrase: Sequence[Wanted], found: Sequence[Token]) -> bool:
    return any(
        all(
            want.accepts(token.term) and (index == 0 or want.glued == token.glued)
            for index, (want, token) in enumerate(zip(phrase, found[start : start + len(phrase)], strict=True))
        )
        for start in range(len(found) - len(phrase) + 1)
    )
