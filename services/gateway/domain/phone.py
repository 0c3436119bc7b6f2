"""Phone numbers of contacts, by Google's numbering plans (`phonenumbers`).

A number that could exist is taken, assigned or not: plans lag behind what is assigned, and WhatsApp's own test numbers (+1 555 …)
are in none of them.
"""

from __future__ import annotations

import re
from collections.abc import Container
from functools import cache
from typing import Final, NamedTuple

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberFormat
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_geographical_number

from services.gateway.domain.zones import is_zone

_LONGEST: Final = 40
_PLAIN: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_WRITTEN: Final = re.compile(r"[\d\s+().\-/\u00a0\u2010-\u2015\u200e\u200f\u202a-\u202e\uff0b]+")
_MEXICO: Final = re.compile(r"\+521([0-9]{10})")
_BRAZIL_SHORT: Final = re.compile(r"\+55([1-9][0-9])([6-9][0-9]{7})")

_POPULOUS: Final = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FR": "Europe/Paris",
    "GB": "Europe/London",
    "ID": "Asia/Jakarta",
    "KZ": "Asia/Almaty",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "NZ": "Pacific/Auckland",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "US": "America/New_York",
}
"""Where most people of a country with several zones live; what a number's digits do not tell is guessed so."""


def parse_phone(text: str, region: str | None = None) -> str | None:
    """E.164 with the plus sign; None for what cannot be a phone number, or has an extension.

    Numbers come with + or 00 and the country code; with `region` (ISO 3166, `DE`) national ones are taken too.
    """
    if _PLAIN.fullmatch(text) and _is_as_it_should_be(text):
        return _canonical(text)
    if len(text) > _LONGEST or not _WRITTEN.fullmatch(text):
        return None
    if region is None and text.lstrip().startswith("00"):
        text = f"+{text.lstrip()[2:]}"
    number = (None if region is None else _without_plus(text, region)) or _parsed(text, region)
    if number is None:
        return None
    written = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if _MEXICO.fullmatch(written):
        return _canonical(written)
    # Not `is_possible_number`, which takes what can be dialed within one area only.
    is_possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    return _canonical(written) if number.extension is None and is_possible else None


def _canonical(phone: str) -> str:
    """The one of a line's spellings that its owner would write: two of them would be two contacts, and an opt-out that came from
    one would be undone by a list that holds the other. Mexico gave up the 1 of mobiles in 2019, Brazil put a 9 before theirs until
    2016; WhatsApp's ids are from before."""
    if phone.startswith("+52") and (mexican := _MEXICO.fullmatch(phone)):
        return f"+52{mexican[1]}"
    if phone.startswith("+55") and (brazilian := _BRAZIL_SHORT.fullmatch(phone)):
        return f"+55{brazilian[1]}9{brazilian[2]}"
    return phone


class _Plan(NamedTuple):
    """Of the national numbers behind a country calling code."""

    lengths: Container[int]
    prefix: re.Pattern[str] | None
    """What may be dialed before them within the country, which the library takes away."""


@cache
def _plan(calling_code: str) -> _Plan | None:
    """Remembered: there are some two hundred. None where it is no calling code."""
    region = phonenumbers.region_code_for_country_code(int(calling_code))
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(calling_code), region)
    if metadata is None or metadata.general_desc is None:
        return None
    description, prefix = metadata.general_desc, metadata.national_prefix_for_parsing
    lengths = frozenset(description.possible_length) - frozenset(description.possible_length_local_only)
    return _Plan(lengths, re.compile(prefix) if prefix else None)


def _is_as_it_should_be(phone: str) -> bool:
    """True where a plus sign and digits are what the library would make of them, which takes it twenty times as long; False: ask
    it. No calling code is the beginning of another."""
    for end in (2, 3, 4):
        plan = _plan(phone[1:end])
        if plan is not None:
            national = phone[end:]
            return len(national) in plan.lengths and not (plan.prefix and plan.prefix.match(national)) and national[0] != "0"
    return False


def _parsed(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _without_plus(text: str, region: str) -> PhoneNumber | None:
    """A number with country code whose plus sign a spreadsheet has eaten: one of the region, or one that is none of its own."""
    number = _parsed(f"+{text.strip()}", None)
    if number is None or not phonenumbers.is_valid_number(number):
        return None
    national = _parsed(text, region)
    is_national = national is not None and phonenumbers.is_valid_number(national)
    return number if not is_national or number.country_code == phonenumbers.country_code_for_region(region) else None


def is_region(code: str) -> bool:
    """True for a country whose national numbers `parse_phone` can read."""
    return code in phonenumbers.SUPPORTED_REGIONS


def zone_of(phone: str) -> str | None:
    """The time zone (IANA) of an E.164 number's area or country; None where it has none."""
    number = _parsed(phone, None)
    if number is None:
        return None
    zones = [zone for zone in time_zones_for_geographical_number(number) if zone != UNKNOWN_TIMEZONE and is_zone(zone)]
    if len(zones) > 1:
        for region in _regions(number):
            if (populous := _POPULOUS.get(region)) in zones:
                return populous
    return zones[0] if zones else None


def _regions(number: PhoneNumber) -> tuple[str, str]:
    """The number's own country, where it shares its code with others, and that code's main one."""
    main = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return phonenumbers.region_code_for_number(number) or main, main
