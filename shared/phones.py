"""Phone numbers that WhatsApp spells in two ways."""

from __future__ import annotations

import re
from typing import Final

_MEXICO: Final = re.compile(r"\+521([0-9]{10})")
_MEXICAN_LENGTH: Final = len("+525512345678")
_BRAZIL_LONG: Final = re.compile(r"\+55([1-9][0-9])9([6-9][0-9]{7})")
_BRAZIL_SHORT: Final = re.compile(r"\+55([1-9][0-9])([6-9][0-9]{7})")


def spellings(phone: str) -> tuple[str, ...]:
    """An E.164 number and the others that are the same line to WhatsApp, which keeps the ids that numbers were registered under:
    Mexican mobiles with a 1 behind the country code, Brazilian ones without the 9 behind the area code."""
    if phone.startswith("+52"):
        if mexican := _MEXICO.fullmatch(phone):
            return phone, f"+52{mexican[1]}"
        return (phone, f"+521{phone[3:]}") if len(phone) == _MEXICAN_LENGTH else (phone,)
    if phone.startswith("+55"):
        if brazilian := _BRAZIL_LONG.fullmatch(phone):
            return phone, f"+55{brazilian[1]}{brazilian[2]}"
        if brazilian := _BRAZIL_SHORT.fullmatch(phone):
            return phone, f"+55{brazilian[1]}9{brazilian[2]}"
    return (phone,)
