"""CSV files as spreadsheets write them, and as nobody should."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.contact_csv import FAULTS, LONGEST_LINE, MOST_LINES, Layout, Record, Splitter, cells_of, sniffed

CELL = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=12)


def split(data: bytes, size: int = 7, encoding: str | None = None) -> tuple[list[Record], str]:
    splitter = Splitter(encoding)
    records = []
    for start in range(0, len(data), size):
        records += splitter.feed(data[start : start + size])
    records += splitter.end()
    return records, splitter.delimiter or ""


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 50),
    st.booleans(),
)
def test_what_a_writer_writes_is_read(rows: list[list[str]], delimiter: str, newline: str, size: int, with_bom: bool) -> None:
    rows = [["phone", "name", "note"], *rows]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(rows)
    data = out.getvalue().encode("utf-8-sig" if with_bom else "utf-8")
    records, found = split(data, size)
    assert found == delimiter
    assert [cells_of(record.text, delimiter) for record in records] == [[cell.strip() for cell in row] for row in rows]


@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_make_the_reader_raise_and_no_line_is_lost(data: bytes, size: int) -> None:
    records, delimiter = split(data, size)
    assert [record.line for record in records] == sorted({record.line for record in records})
    lines = [line for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    covered = sum(1 + record.text.count("\n") for record in records)
    assert covered >= len([line for line in lines if line.strip(b" \t\r\f\v\x1c\x1d\x1e\x1f\x85\xa0")])
    for record in records:
        assert record.fault is None or record.fault in FAULTS
        layout = Layout.of(record, delimiter or ",")
        assert isinstance(layout, Layout) or layout
        Layout([], ",").row(record, None)


@given(st.lists(st.sampled_from(['"', '""', "a", ",", "\n", "\r", 'x,"y', " "]), max_size=80).map("".join))
def test_quotes_are_read_as_the_strict_reader_reads_them(text: str) -> None:
    records, delimiter = split(text.encode(), 5)
    for record in records:
        if record.fault is None and "\r" not in record.text:
            cells = cells_of(record.text, delimiter)
            assert cells is None or cells == [cell.strip() for cell in next(csv.reader([record.text], delimiter=delimiter))]


def test_a_quote_that_nobody_closes_costs_the_lines_behind_it_one_by_one() -> None:
    lines = ["phone", '"open', *(f"+1555000{n:04}" for n in range(MOST_LINES + 5))]
    records, _ = split("\n".join(lines).encode())
    assert [record.line for record in records] == list(range(1, len(lines) + 1))
    assert {record.fault for record in records[1 : MOST_LINES + 2]} == {"row.quote_open"}
    assert {record.fault for record in records[MOST_LINES + 2 :]} == {None}


def test_a_line_without_end_is_not_kept() -> None:
    splitter = Splitter()
    records = list(splitter.feed(b"phone\n"))
    for _ in range(100):
        records += splitter.feed(b"x" * LONGEST_LINE)
    records += splitter.feed(b"\n+15550000001\n")
    assert [(record.line, record.fault) for record in records] == [(1, None), (2, "row.too_long"), (3, None)]


def test_quoted_lines_that_make_too_long_a_record_are_refused_as_one() -> None:
    line = "x" * (LONGEST_LINE - 10)
    records, _ = split(("phone\n" + '"' + "\n".join([line] * 20) + '"\nend').encode(), 4096)
    assert [(record.line, record.fault) for record in records] == [(1, None), (2, "row.too_long"), (22, None)]


@pytest.mark.parametrize(
    ("data", "encoding", "texts"),
    [
        ("a\nZoë\nZoë".encode(), None, ["a", "Zoë", "Zoë"]),
        ("a\nZoë\nZoë".encode("latin-1"), None, ["a", "Zoë", "Zoë"]),
        ("a\n“Zoë”\nx".encode("cp1252"), None, ["a", "“Zoë”", "x"]),
        (b"a\n\x81\x93\n", None, ["a", "\x81\x93"]),
        ("a\nZoë\n".encode(), "latin-1", ["a", "ZoÃ«"]),
        ("a\nZoë\n".encode() + b"Zo\xeb\nb", None, ["a", "Zoë", "", "b"]),
    ],
)
def test_characters_are_told_apart(data: bytes, encoding: str | None, texts: list[str]) -> None:
    assert [record.text for record in split(data, 3, encoding)[0]] == texts


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("phone,name", ","), ("phone;name,first;x", ";"), ("phone\tname", "\t"), ('"a,b,c";phone;d', ";"), ("phone", ",")],
)
def test_the_delimiter_is_the_one_outside_quotes(header: str, delimiter: str) -> None:
    assert sniffed(header) == delimiter


def test_columns_have_meanings() -> None:
    layout = Layout.of(Record(1, "Phone, First Name ,Consent-At,AGE:number,Größe,,"), ",")
    assert isinstance(layout, Layout)
    assert [(column.field, column.is_attribute, column.kind) for column in layout.columns] == [
        ("phone", False, "text"),
        ("first_name", True, "text"),
        ("consent_at", False, "text"),
        ("age", True, "number"),
        ("größe", True, "text"),
    ]
    assert Layout.column_at("/attributes/größe") == "größe"
    assert Layout.column_at("/consent/at") == "consent_at"
    assert Layout.column_at("/consent/state") == "consent"
    assert Layout.column_at("") == ""


@pytest.mark.parametrize(
    ("cell", "groups"),
    [("News", ["News"]), (" News ;Gold|News;; |", ["News", "Gold"]), ("", []), (" | ", []), ("a, b", ["a, b"])],
)
def test_a_row_names_its_groups(cell: str, groups: list[str]) -> None:
    layout = Layout.of(Record(1, "phone\tGroups"), "\t")
    assert isinstance(layout, Layout)
    row = layout.row(Record(2, f"+15550000001\t{cell}"), None)
    assert (row.contact, list(row.groups), row.faults) == ({"phone": "+15550000001"}, groups, [])


def test_a_row_has_so_many_groups_and_their_names_are_so_long() -> None:
    layout = Layout.of(Record(1, "phone,groups"), ",")
    assert isinstance(layout, Layout)
    faults = layout.row(Record(2, f"+15550000001,{'x' * 201}|{'|'.join(map(str, range(20)))}"), None).faults
    assert [(fault.pointer, fault.code) for fault in faults] == [("/groups", "groups.too_many"), ("/groups", "field.too_long")]
