"""Moments are written out, in queries and in bodies."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.http.requests import Moment

MOMENT = TypeAdapter(Moment)


@pytest.mark.parametrize("number", ["0", "15558642097", "20261201", "0.5", "-1", " 1700000000 ", "1.7e9", "-1.7E+9", "1.e9"])
def test_a_number_is_no_moment(number: str) -> None:
    for read in (MOMENT.validate_strings, lambda text: MOMENT.validate_json(json.dumps(text), strict=True)):
        with pytest.raises(ValidationError, match="a time with its offset"):
            read(number)


def test_nor_is_one_of_json() -> None:
    with pytest.raises(ValidationError):
        MOMENT.validate_json("1700000000", strict=True)


def test_a_time_with_its_offset_is_one() -> None:
    text = "2026-12-01T10:00:00+01:00"
    assert MOMENT.validate_strings(text).isoformat() == "2026-12-01T09:00:00+00:00"
    assert MOMENT.validate_json(json.dumps(text), strict=True).isoformat() == "2026-12-01T09:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("2026-12-01T10:00:00", "timezone_aware"),
        ("soon", "datetime_from_date_parsing"),
        ("2026-13-01T10:00:00Z", "datetime_from_date_parsing"),
    ],
)
def test_what_is_wrong_with_others_is_told_as_pydantic_does(text: str, type_: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MOMENT.validate_json(json.dumps(text), strict=True)
    assert caught.value.errors()[0]["type"] == type_
