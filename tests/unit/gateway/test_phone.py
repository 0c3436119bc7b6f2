"""Phone numbers as people write them, the lines they mean and the zones they are in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import (
    SUPPORTED_REGIONS,
    PhoneNumberFormat,
    PhoneNumberType,
    example_number,
    example_number_for_type,
    format_number,
)

from services.gateway.domain.phone import is_region, parse_phone, zone_of
from services.gateway.domain.zones import is_zone
from shared.phones import spellings


@pytest.mark.parametrize(
    ("text", "region", "phone"),
    [
        ("+4915112345678", None, "+4915112345678"),
        (" +49 (151) 1234-5678 ", None, "+4915112345678"),
        ("0049 151 12345678", None, "+4915112345678"),
        ("\u202a+44 20\u00a07946\u20110958\u202c", None, "+442079460958"),
        ("+٤٩١٥١١٢٣٤٥٦٧٨", None, "+4915112345678"),
        ("+15551234567", None, "+15551234567"),
        ("+551187654321", None, "+5511987654321"),
        ("+5511987654321", None, "+5511987654321"),
        ("+551137654321", None, "+551137654321"),
        ("+5215512345678", None, "+525512345678"),
        ("0151 12345678", "DE", "+4915112345678"),
        ("15112345678", "DE", "+4915112345678"),
        ("4915112345678", "DE", "+4915112345678"),
        ("391 234 5678", "IT", "+393912345678"),
        ("919123456789", "IN", "+919123456789"),
        ("9123456789", "IN", "+919123456789"),
        ("+4915112345678", "BR", "+4915112345678"),
        ("4915112345678", None, None),
        ("0151 12345678", None, None),
        ("555-1234", "US", None),
        ("+1 555 1234", None, None),
        ("+1-800-FLOWERS", None, None),
        ("+15551234567 ext 5", None, None),
        ("+15551234567,,5", None, None),
        ("tel:+15551234567", None, None),
        ("+15551234567\0", None, None),
        ("+15551234567\ud800", None, None),
        ("+999123456789", None, None),
        ("+", "DE", None),
        ("", "DE", None),
        ("9" * 41, "DE", None),
    ],
)
def test_a_number_is_read_as_it_is_written(text: str, region: str | None, phone: str | None) -> None:
    assert parse_phone(text, region) == phone


@given(st.text(max_size=45), st.sampled_from([None, "DE", "US", "BR"]))
def test_no_text_makes_the_reader_raise_and_what_it_gives_it_takes(text: str, region: str | None) -> None:
    phone = parse_phone(text, region)
    assert phone is None or parse_phone(phone) == phone


@given(st.sampled_from([f"+{code}" for code in range(1, 1_000)]), st.text("0123456789", min_size=1, max_size=13))
def test_plain_numbers_are_read_at_once_as_the_library_reads_them(code: str, national: str) -> None:
    # With blanks between they go to the library.
    assert parse_phone(code + national) == parse_phone(f"{code} {national}")


@pytest.mark.parametrize("region", sorted(SUPPORTED_REGIONS))
def test_every_country_has_numbers_that_are_read_at_once(region: str) -> None:
    example = example_number_for_type(region, PhoneNumberType.MOBILE) or example_number(region)
    assert example is not None
    phone = format_number(example, PhoneNumberFormat.E164)
    assert parse_phone(phone) == parse_phone(f"{phone[:4]} {phone[4:]}")


@given(st.integers(10**7, 10**13))
def test_all_spellings_of_a_line_are_spellings_of_each_other(digits: int) -> None:
    for prefix in ("+55", "+52", "+49"):
        phone = f"{prefix}{digits}"
        assert spellings(phone)[0] == phone
        assert all(set(spellings(other)) == set(spellings(phone)) for other in spellings(phone))


@pytest.mark.parametrize(
    ("phone", "zone"),
    [
        ("+12125551234", "America/New_York"),
        ("+13105551234", "America/Los_Angeles"),
        ("+15551234567", "America/New_York"),
        ("+79161234567", "Europe/Moscow"),
        ("+447911123456", "Europe/London"),
        ("+61412345678", "Australia/Sydney"),
        ("+5511987654321", "America/Sao_Paulo"),
        ("+919876543210", "Asia/Calcutta"),
        ("+80012345678", None),
        ("none", None),
    ],
)
def test_a_number_has_the_zone_of_its_area_or_of_most_of_its_country(phone: str, zone: str | None) -> None:
    assert zone_of(phone) == zone
    assert zone is None or is_zone(zone)


def test_what_is_a_region_or_a_zone() -> None:
    assert is_region("DE")
    assert not is_region("de")
    assert not is_region("XX")
    assert is_zone("Europe/Berlin")
    assert not [name for name in ("Europe", "../../etc/passwd", "right/UTC", "europe/berlin", "", "\0") if is_zone(name)]
