"""Who is to be erased, and where text speaks of them."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Final

from pydantic import Field

from shared.personal import Model, Personal

# A wamid holds the phone number of the other side: base64 of 1C 18, a length and so many digits (WhatsApp Cloud API, recorded ids).
_WAMID: Final = re.compile(rb"wamid\.([A-Za-z0-9+/_-]+={0,2})")
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_LEAST_DIGITS: Final = 7
"""Fewer digits are no phone number, but part of something else."""


class Person(Model):
    """Somebody whom a tenant knows, by everything that names them and nobody else."""

    addresses: Personal[list[str]] = Field(default_factory=list, max_length=200)
    """Phone numbers in all spellings that mean the line, with plus sign; business-scoped user ids."""
    contact_ids: list[str] = Field(default_factory=list, max_length=200)
    participant_ids: list[str] = Field(default_factory=list, max_length=200)
    """Of the archive: people in imported chats who have nothing but a name."""

    @property
    def spellings(self) -> list[str]:
        """The addresses as the provider writes them too: numbers without the plus sign."""
        return [*self.addresses, *self.digits]

    @property
    def digits(self) -> list[str]:
        """The phone numbers without the plus sign."""
        return [address[1:] for address in self.addresses if address.startswith("+")]

    @cached_property
    def traces(self) -> Traces:
        return Traces(
            self.digits, [*(a for a in self.addresses if not a.startswith("+")), *self.contact_ids, *self.participant_ids]
        )


class Traces:
    """Finds a person in text that nothing is known of: numbers with no further digit beside them, other names literally, and the
    numbers within the provider's message ids."""

    def __init__(self, digits: Iterable[str], others: Iterable[str]) -> None:
        numbers = [number.encode() for number in digits if len(number) >= _LEAST_DIGITS]
        words = [re.escape(word.encode()) for word in others if word]
        parts = [
            *(rb"(?<!\d)" + number + rb"(?!\d)" for number in numbers),
            *(rb"(?<!\w)" + word + rb"(?!\w)" for word in words),
        ]
        self._plain = re.compile(b"|".join(parts)) if parts else None
        self._numbers = frozenset(numbers)

    def are_in(self, text: bytes) -> bool:
        if self._plain is None:
            return False
        return self._plain.search(text) is not None or any(self._is_of(match[1]) for match in _WAMID.finditer(text))

    def name(self, wamid: str) -> bool:
        """True where the provider's id of a message holds one of the numbers."""
        return wamid.startswith("wamid.") and self._is_of(wamid[len("wamid.") :].encode())

    def _is_of(self, encoded: bytes) -> bool:
        if not self._numbers:
            return False
        plain = encoded.rstrip(b"=").translate(_URL_SAFE)
        try:
            raw = binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
        except binascii.Error:
            return False
        return len(raw) > 3 and raw[:2] == b"\x1c\x18" and raw[3 : 3 + raw[2]] in self._numbers
