"""What a reader asks for: words that must all be there, `"phrases"` in order, `prefix*`; `-word` and `-"phrase"` must not be.

PostgreSQL finds the entries that hold all terms; whether phrases hold together is checked here, on the text, because the index
keeps no positions (they would make it several times larger, and pairs of characters could not use them).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from services.archive.domain.analyzer import (
    MAX_TERM_CHARS,
    Token,
    folded_in_place,
    is_unspaced,
    is_word,
    is_word_character,
    next_term,
    quote,
    tokens,
    word_end,
)
from services.archive.domain.indexing import term_lexeme

_PARTS: Final = re.compile(
    r'(?P<without>-?)(?:["\u201c\u201d\u201e](?P<quoted>[^"\u201c\u201d\u201e]*)(?:["\u201c\u201d\u201e]|$)'
    r'|(?P<plain>[^\s"\u201c\u201d\u201e]+))'
)


class Wanted(NamedTuple):
    """A term of the question. `prefix`: longer terms will do; `glued`: it must overlap the term before it, as it does there; any
    term of `near` will do as well."""

    term: str
    prefix: bool = False
    glued: bool = False
    near: tuple[str, ...] = ()

    def accepts(self, term: str) -> bool:
        return term == self.term or (self.prefix and term.startswith(self.term)) or term in self.near

    def tsquery(self, tenant_no: int) -> str:
        """The tenant's lexemes that will do, as an operand of a tsquery."""
        lexeme = quote(term_lexeme(tenant_no, self.term)) + (":*" if self.prefix else "")
        if not self.near:
            return lexeme
        return f"({' | '.join((lexeme, *(quote(term_lexeme(tenant_no, term)) for term in self.near)))})"


@dataclass(frozen=True, slots=True)
class Query:
    """`wanted` must all occur, and each of `phrases` as it stands; none of `unwanted` may occur, and no phrase of
    `unwanted_phrases`."""

    wanted: tuple[Wanted, ...]
    phrases: tuple[tuple[Wanted, ...], ...] = ()
    unwanted: tuple[Wanted, ...] = ()
    unwanted_phrases: tuple[tuple[Wanted, ...], ...] = ()

    @property
    def is_empty(self) -> bool:
        """True where nothing can be searched for: no letter, digit or emoji that must occur."""
        return not self.wanted

    @property
    def has_phrases(self) -> bool:
        """Whether the text of what is found has to be looked at (`is_met_by`)."""
        return bool(self.phrases or self.unwanted_phrases)

    def tsquery(self, tenant_no: int) -> str:
        """The tenant's terms as a tsquery literal, empty where there is none; phrases are for `is_met_by`."""
        operands = [want.tsquery(tenant_no) for want in self.wanted]
        operands += [f"!{want.tsquery(tenant_no)}" for want in self.unwanted]
        return " & ".join(dict.fromkeys(operands))

    def with_near(self, near: Mapping[str, Sequence[str]]) -> Query:
        """The same question where near terms do for words, too, except within phrases."""
        kept = {want.term for phrase in self.phrases for want in phrase}
        return replace(
            self,
            wanted=tuple(
                want if want.prefix or want.term in kept else want._replace(near=tuple(near.get(want.term, ())))
                for want in self.wanted
            ),
        )

    def is_met_by(self, text: str) -> bool:
        """Whether a text that the tsquery finds holds the phrases, too, and none of those that must not be."""
        if not self.has_phrases:
            return True
        folded = folded_in_place(text)
        if folded is not None and all(_are_words(phrase) for phrase in (*self.phrases, *self.unwanted_phrases)):
            return all(_stands_in(phrase, folded) for phrase in self.phrases) and not any(
                _stands_in(phrase, folded) for phrase in self.unwanted_phrases
            )
        found = tokens(text)
        return all(_occurs(phrase, found) for phrase in self.phrases) and not any(
            _occurs(phrase, found) for phrase in self.unwanted_phrases
        )

    @property
    def ascii_pattern(self) -> str | None:
        """A regular expression, PostgreSQL's as well as Python's, that the lower case of every text of ASCII meets which
        `is_met_by` takes, and few others; None where there is none."""
        for phrase in self.phrases:
            if all(want.term.isascii() and not want.near for want in phrase):
                spelt = "[^a-z0-9]+".join(_spelt(want.term) for want in phrase)
                return f"(^|[^a-z0-9]){spelt}([^a-z0-9]|$)"
        return None

    def highlights(self, text: str) -> Iterator[tuple[int, int]]:
        """Places of `text` that show why it was found: ascending, apart from each other."""
        start = end = -1
        for low, high in self._places(text):
            if low <= end:
                end = max(end, high)
                continue
            if end > 0:
                yield start, end
            start, end = low, high
        if end > 0:
            yield start, end

    def _places(self, text: str) -> Sequence[tuple[int, int]]:
        """In ascending order. Most texts fold in place: there the terms are looked for without making tokens of all the rest."""
        folded = folded_in_place(text)
        if folded is None or not all(is_word(want.term) and not want.near for want in self.wanted):
            return [(token.start, token.end) for token in tokens(text) if any(want.accepts(token.term) for want in self.wanted)]
        return sorted(place for want in self.wanted for place in _words(want.term, folded, prefix=want.prefix))


def parse(question: str) -> Query:
    """Read a question. Any text is fine; a quote that is not closed reaches to the end."""
    wanted: list[Wanted] = []
    phrases: list[tuple[Wanted, ...]] = []
    unwanted: list[Wanted] = []
    unwanted_phrases: list[tuple[Wanted, ...]] = []
    for part in _PARTS.finditer(question):
        quoted = part["quoted"]
        text = part["plain"] if quoted is None else quoted
        found = [_want(token) for token in tokens(text)]
        if found and quoted is None and text.endswith("*"):
            found[-1] = found[-1]._replace(prefix=True)
        holds_together = len(found) > 1 and (quoted is not None or any(want.glued for want in found))
        if not part["without"]:
            wanted.extend(found)
            if holds_together:
                phrases.append(tuple(found))
        elif len(found) > 1:  # of what belongs together all of it must be there to be unwanted
            unwanted_phrases.append(tuple(found))
        else:
            unwanted.extend(found)
    return Query(tuple(dict.fromkeys(wanted)), tuple(phrases), tuple(dict.fromkeys(unwanted)), tuple(unwanted_phrases))


def _spelt(term: str) -> str:
    """How a word stands in a text: with apostrophes, and whole where the term is cut."""
    return "'?".join(term) + ("[a-z0-9']*" if len(term) == MAX_TERM_CHARS else "")


def _want(token: Token) -> Wanted:
    """A lone character of an unspaced script is indexed in pairs only, so ask for the pairs that begin with it."""
    return Wanted(token.term, prefix=len(token.term) == 1 and is_unspaced(token.term), glued=token.glued)


def _are_words(wanted: Sequence[Wanted]) -> bool:
    """Whether each of them is one whole word and no other will do."""
    return all(is_word(want.term) and not want.prefix and not want.near for want in wanted)


def _stands_in(phrase: Sequence[Wanted], folded: str) -> bool:
    """`_occurs` for words and a text that folds in place: six times as fast."""
    first, *others = phrase
    for _, place in _words(first.term, folded):
        end = place
        for want in others:
            start = next_term(folded, end)
            end = start + len(want.term)
            if not folded.startswith(want.term, start) or is_word_character(folded[end : end + 1]):
                break
        else:
            return True
    return False


def _words(term: str, folded: str, *, prefix: bool = False) -> Iterator[tuple[int, int]]:
    """Where a term stands as a whole word, or words begin with it, in a folded text without apostrophes."""
    start = folded.find(term)
    while start >= 0:
        end = start + len(term)
        before, after = folded[start - 1 : start], folded[end : end + 1]
        if not (before and is_word_character(before)) and (prefix or not (after and is_word_character(after))):
            end = word_end(folded, end) if prefix else end
            yield start, end
        start = folded.find(term, end)


def _occurs(phrase: Sequence[Wanted], found: Sequence[Token]) -> bool:
    return any(
        all(
            want.accepts(token.term) and (index == 0 or want.glued == token.glued)
            for index, (want, token) in enumerate(zip(phrase, found[start : start + len(phrase)], strict=True))
        )
        for start in range(len(found) - len(phrase) + 1)
    )
