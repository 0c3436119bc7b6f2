"""Find in a text what people look for again: links, addresses, phone numbers, amounts, dates, times, mentions and tags.

By rules, the same in every language; names of people and places are not found. Every expression reads a text once: none can be made
to try again and again by what it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from phonenumbers import Leniency, PhoneNumberFormat, PhoneNumberMatcher, format_number

from services.archive.domain.annotation import Entity

MAX_ENTITIES: Final = 20
MAX_ENTITY_CHARS: Final = 200
LOOKED_AT_CHARS: Final = 4_000

_AMOUNT: Final = r"\d{1,15}(?:[.,'\u00a0\u202f]\d{1,3}){0,6}"
_SIGN: Final = r"(?:US\$|R\$|S/|[$\u20ac\u00a3\u00a5\u20b9\u20a9\u20bd\u20ba\u20ab\u0e3f\u20b1\u20a6\u20aa])"
_CODE: Final = (
    r"(?:USD|EUR|GBP|JPY|CNY|INR|BRL|MXN|ARS|COP|PEN|CLP|BOB|UYU|CHF|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|RUB|UAH|ILS|AED|SAR|EGP|MAD|"
    r"NGN|KES|GHS|ZAR|IDR|MYR|SGD|THB|VND|PHP|KRW|HKD|TWD|PKR|BDT|LKR|AUD|NZD|CAD|euros?|dollars?|pesos?|reais|soles)"
)
_PATTERNS: Final = re.compile(
    rf"""
      (?P<link> (?:https?://|www\.) [^\s<>"']{{1,400}} )
    | (?P<email> (?<![\w.+-]) [A-Za-z0-9_.+-]{{1,64}} @ [A-Za-z0-9-]{{1,63}} (?:\.[A-Za-z0-9-]{{1,63}}){{1,5}} )
    | (?P<money> {_SIGN} \s? {_AMOUNT} | (?<![\w.,]) {_AMOUNT} \s? (?:{_SIGN} | {_CODE} \b) | \b {_CODE} \s {_AMOUNT} )
    | (?P<date> (?<![\d.,/-]) (?: \d{{4}}-\d{{2}}-\d{{2}} | \d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2}}(?:\d{{2}})? ) (?![\d/-]) )
    | (?P<time> (?<![\d:.,]) (?:[01]?\d|2[0-3]) : [0-5]\d (?: :[0-5]\d )? (?: \s? [ap]\.?m\b\.? )? (?![\d:]) )
    | (?P<mention> (?<![\w@.]) @ [\w.]{{2,50}} )
    | (?P<tag> (?<![\w#&]) \# (?=\w*[^\W\d]) \w{{2,50}} )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TRAILING: Final = ".,;:!?)]}\u2026*_~"
"""What ends a sentence after a link, and is not of it."""
_PHONE: Final = re.compile(r"\+\d[\d\s().-]{5,}\d")


def entities_of(text: str) -> list[Entity]:
    """The first of them, each once, phone numbers first. Looks at the beginning of long texts only."""
    return list(dict.fromkeys(_found(text[:LOOKED_AT_CHARS])))[:MAX_ENTITIES]


def _found(text: str) -> Iterator[Entity]:
    if _PHONE.search(text):
        for match in PhoneNumberMatcher(text, None, leniency=Leniency.VALID, max_tries=20):
            yield Entity("phone", format_number(match.number, PhoneNumberFormat.E164))
    for found in _PATTERNS.finditer(text):
        kind = found.lastgroup
        assert kind is not None
        said = found[0].rstrip(_TRAILING) if kind in {"link", "mention"} else found[0]
        yield Entity(kind, said[:MAX_ENTITY_CHARS])
