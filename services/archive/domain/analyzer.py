"""Text to search terms: one function for what is indexed and for what is asked, so that both always agree.

The rules, in the order they act:

- NFKC and casefold. Combining marks of Latin, Greek, Cyrillic, Arabic and Hebrew fall off, vowel signs of Indic scripts stay.
  Sharp s, dotless i, eth, thorn, ligatures and stroked letters become plain letters. Arabic alef, yeh and kaf forms are joined,
  tatweel falls off. Digits of all scripts become ASCII.
- A word is letters and digits, apostrophes inside it joined: "Don't" gives `dont`.
- Scripts written without spaces (and Hangul, whose words carry particles) give overlapping pairs of characters; a run of one
  character gives that character. Pairs are `glued`: what was asked must hang together the same way (see `query`).
- An emoji is a term: without skin tone and variation, a ZWJ sequence or a flag as one.
- A term is cut at 40 characters. No term holds anything but letters, digits, kept marks and emoji, so a lexeme that starts with
  `~` can never come from a text and is free for the archive's own marks.

Folding works cluster by cluster - a character and what modifies it - so that every term knows its place in the original text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

MAX_TERM_CHARS: Final = 40


class Token(NamedTuple):
    """A term and where it stands: `text[start:end]`, in code points. `glued`: it overlaps the token before it."""

    term: str
    start: int
    end: int
    glued: bool = False


def _ranges(*ranges: tuple[int, int]) -> str:
    """The inside of a character class."""
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in ranges)


def _class_of(*categories: str) -> str:
    """The inside of a character class of all characters of these general categories; the planes left out have none of them."""
    codes = chain(range(0x20000), range(0xE0000, 0xE0200))
    found: list[tuple[int, int]] = []
    for code in (code for code in codes if unicodedata.category(chr(code)) in categories):
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return _ranges(*found)


_MARKS: Final = _class_of("Mn", "Mc", "Me")
_INVISIBLE: Final = _class_of("Cf")  # joiners, soft hyphens, directions: they part no word
# What composes with the character before it without being a mark: Hangul vowels and finals, halfwidth sound marks and Hangul.
_COMPOSING: Final = _ranges((0x1160, 0x11FF), (0xD7B0, 0xD7FB), (0xFF9E, 0xFF9F), (0xFFA0, 0xFFDC))
_EMOJI: Final = _ranges(
    (0x231A, 0x23FF), (0x25AA, 0x25FE), (0x2600, 0x27BF), (0x2B05, 0x2B55), (0x1F000, 0x1F1E5), (0x1F200, 0x1FAFF)
)
_EMOJI_STYLE: Final = _ranges((0xFE0E, 0xFE0F), (0x20E3, 0x20E3), (0x1F3FB, 0x1F3FF), (0xE0020, 0xE007F))
_FLAG: Final = _ranges((0x1F1E6, 0x1F1FF))
_UNSPACED: Final = _ranges(
    (0x0E01, 0x0E3A), (0x0E40, 0x0E4E),  # Thai, without its digits and signs
    (0x0E80, 0x0ECF), (0x0EDC, 0x0EDF),  # Lao
    (0x1000, 0x103F), (0x1050, 0x108F),  # Myanmar
    (0x1100, 0x11FF), (0xA960, 0xA97C), (0xAC00, 0xD7FB),  # Hangul
    (0x1780, 0x17D3), (0x17DD, 0x17DD),  # Khmer
    (0x3005, 0x3007), (0x3021, 0x3029), (0x3041, 0x309A), (0x309D, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x312F),
    (0x31A0, 0x31BF), (0x31F0, 0x31FF),  # kana, bopomofo
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),  # Han
)  # fmt: skip

_CLUSTERS: Final = re.compile(
    rf"[{_EMOJI}][{_EMOJI_STYLE}]*(?:\u200d[{_EMOJI}][{_EMOJI_STYLE}]*)*"
    rf"|[\x00-\x7f]+(?![{_MARKS}{_COMPOSING}{_INVISIBLE}])"
    rf"|.[{_MARKS}{_COMPOSING}{_INVISIBLE}]*",
    re.DOTALL,
)
_LETTER: Final = rf"[^\W_{_UNSPACED}]"
_WORD: Final = rf"{_LETTER}(?:{_LETTER}|[{_MARKS}])*"
_PIECES: Final = re.compile(
    rf"(?P<word>{_WORD}(?:'{_WORD})*)|(?P<run>[{_UNSPACED}]+)|(?P<emoji>[{_FLAG}]{{2}}|[{_FLAG}{_EMOJI}](?:\u200d[{_EMOJI}])*)"
)
_LETTERS_ONLY: Final = re.compile(rf"{_LETTER}+")
_BETWEEN: Final = re.compile(rf"(?:(?!{_LETTER})[^{_UNSPACED}{_EMOJI}{_FLAG}])*")
_RUN: Final = re.compile(rf"[{_UNSPACED}]+")
_ASCII_WORDS: Final = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")

_LETTERS: Final = str.maketrans(
    {
        "\u00e6": "ae", "\u0153": "oe", "\u00f8": "o", "\u0142": "l", "\u0111": "d", "\u00f0": "d", "\u00fe": "th",
        "\u0131": "i", "\u0671": "\u0627", "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0640": "",
        "\u2018": "'", "\u2019": "'", "\u02bc": "'",
    }
)  # fmt: skip
_MODIFIER: Final = re.compile(rf"[{_MARKS}{_COMPOSING}{_INVISIBLE}{_EMOJI_STYLE}]")
_DROPPED: Final = re.compile(rf"[{_INVISIBLE}\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
_STYLE: Final = re.compile(rf"[{_EMOJI_STYLE}]+")


def tokens(text: str) -> list[Token]:
    """The terms of a text in their order, with their places. Any string is fine, lone surrogates included."""
    if text.isascii():
        return [
            Token(match[0].replace("'", "")[:MAX_TERM_CHARS], match.start(), match.end())
            for match in _ASCII_WORDS.finditer(text.lower())
        ]
    folded = _fold_in_place(text)
    if folded is not None:
        return list(_tokens_of(folded, [(index, index + 1) for index in range(len(folded))]))
    return list(_tokens_of(*_fold(text)))


def terms(text: str) -> list[str]:
    """The distinct terms of a text, in the order they first appear."""
    if text.isascii():
        return list(dict.fromkeys(word.replace("'", "")[:MAX_TERM_CHARS] for word in _ASCII_WORDS.findall(text.lower())))
    folded = _fold_in_place(text)
    found: dict[str, None] = {}
    for piece in _PIECES.finditer(_fold(text)[0] if folded is None else folded):
        term = piece[0]
        if piece.lastgroup == "run" and len(term) > 1:
            found.update(dict.fromkeys(map(str.__add__, term, term[1:])))
        else:
            found[term.replace("'", "")[:MAX_TERM_CHARS]] = None
    return list(found)


def folded_in_place(text: str) -> str | None:
    """The folded text where every character of it stands for the one at its place in `text` and no word is joined by an apostrophe:
    then a term of letters is a word of it. None for others."""
    folded = text.lower() if text.isascii() else _fold_in_place(text)
    return None if folded is None or "'" in folded else folded


def is_word(term: str) -> bool:
    """Whether a term is a whole word: neither a pair of characters nor an emoji, and not cut."""
    return len(term) < MAX_TERM_CHARS and _LETTERS_ONLY.fullmatch(term) is not None


def word_end(folded: str, place: int) -> int:
    """Where the word that a place of a folded text is in ends."""
    rest = _LETTERS_ONLY.match(folded, place)
    return rest.end() if rest else place


def next_term(folded: str, place: int) -> int:
    """Where the next term of a folded text begins."""
    between = _BETWEEN.match(folded, place)
    return between.end() if between else place


def is_word_character(character: str) -> bool:
    """Whether a folded character would make a word longer."""
    return _LETTERS_ONLY.fullmatch(character) is not None


def is_unspaced(term: str) -> bool:
    """Whether a term is of a script that is indexed in pairs of characters."""
    return _RUN.fullmatch(term) is not None


def tsvector_literal(lexemes: Sequence[str]) -> str:
    """PostgreSQL's text form of a tsvector without positions: `'a' 'b'`."""
    return " ".join(quote(lexeme) for lexeme in lexemes)


def quote(lexeme: str) -> str:
    """A lexeme as tsvector and tsquery literals spell it."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


def _tokens_of(folded: str, places: Sequence[tuple[int, int]]) -> Iterator[Token]:
    for piece in _PIECES.finditer(folded):
        first, last = piece.start(), piece.end() - 1
        if piece.lastgroup != "run" or last == first:
            yield Token(piece[0].replace("'", "")[:MAX_TERM_CHARS], places[first][0], places[last][1])
            continue
        for index in range(first, last):
            yield Token(folded[index : index + 2], places[index][0], places[index + 1][1], glued=index > first)


class _Folded(dict[int, int]):
    """What single characters fold to; `_OTHERWISE` where that is not one character. Looked up by `str.translate`."""

    def __missing__(self, code: int) -> int:
        folded = _fold_cluster(chr(code))
        found = ord(folded) if len(folded) == 1 else _OTHERWISE
        if len(self) < 20_000:
            self[code] = found
        return found


_OTHERWISE: Final = 0xFFFF
"""No character."""
_FOLDED: Final = _Folded()


def _fold_in_place(text: str) -> str | None:
    """The folded text, five times as fast as `_fold`, where every character stands alone and folds to one."""
    if _MODIFIER.search(text):
        return None
    folded = text.translate(_FOLDED)
    return None if "\uffff" in folded else folded


def _fold(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The folded text, and for each of its characters the place in `text` it came from."""
    parts: list[str] = []
    places: list[tuple[int, int]] = []
    for match in _CLUSTERS.finditer(text):
        start, end = match.span()
        if match[0].isascii():
            parts.append(match[0].lower())
            places.extend((index, index + 1) for index in range(start, end))
        else:
            part = _fold_cluster(match[0])
            parts.append(part)
            places.extend([(start, end)] * len(part))
    return "".join(parts), places


@lru_cache(maxsize=20_000)
def _fold_cluster(cluster: str) -> str:
    """Texts repeat few clusters: the memory makes folding a look-up."""
    if "\u200d" in cluster and re.match(rf"[{_EMOJI}]", cluster):
        return _STYLE.sub("", cluster)
    plain = unicodedata.normalize("NFKC", _DROPPED.sub("", cluster)).casefold()
    kept = (char for char in unicodedata.normalize("NFD", _STYLE.sub("", plain)) if not _falls_off(char))
    letters = unicodedata.normalize("NFKC", "".join(kept)).casefold().translate(_LETTERS)
    return "".join(str(unicodedata.decimal(char, char)) for char in letters)


def _falls_off(char: str) -> bool:
    """Diacritics by canonical combining class (Unicode Standard, table 4-3): overlays, Hebrew and Arabic points, and those set
    at a place around the letter. Classes 0, 7-9 and 84-132 are vowel signs, nuktas, viramas, kana voicing and tones, which tell
    words apart.
    """
    place = unicodedata.combining(char)
    return place == 1 or 10 <= place <= 36 or place >= 200
