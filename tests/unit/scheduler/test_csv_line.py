"""Lines of CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.csv_line import csv_line


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", '"\'\r=1"'),
        ("+15551234567", "+15551234567"),
        ("+15551234567\n=1", '"\'+15551234567\n=1"'),
        ("+1555 1234567", "'+1555 1234567"),
        ("Ana", "Ana"),
        ('say "hi", Ana', '"say ""hi"", Ana"'),
        (None, ""),
        (-3, "-3"),
    ],
)
def test_no_cell_is_a_formula_and_phone_numbers_stay(cell: str | int | None, written: str) -> None:
    assert csv_line([cell]) == f"{written}\r\n".encode()


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_a_reader_of_csv_gets_the_cells_back(cells: list[str]) -> None:
    (read,) = csv.reader(io.StringIO(csv_line([*cells, "end"]).decode(), newline=""), strict=True)
    assert [cell.removeprefix("'") for cell in read[:-1]] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell.startswith(("=", "-", "@", "\t")) for cell in read)
