"""Moments in queries are written out."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.http.requests import QueryMoment


@pytest.mark.parametrize("number", ["0", "15558642097", "0.5", "-1", " 1700000000 "])
def test_a_number_is_no_moment(number: str) -> None:
    with pytest.raises(ValidationError, match="a time with its offset"):
        TypeAdapter(QueryMoment).validate_strings(number)


def test_a_time_with_its_offset_is_one() -> None:
    assert TypeAdapter(QueryMoment).validate_strings("2026-12-01T10:00:00+01:00").isoformat() == "2026-12-01T09:00:00+00:00"
