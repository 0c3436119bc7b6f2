"""CSV files of contacts, as spreadsheets write them: which column means what, where a record ends, in what characters.

Nothing in a file can make the reader raise. What cannot be read is a fault of its line; every line that is not blank comes out.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from services.gateway.domain.contact import KINDS, MAX_ATTRIBUTES, MAX_GROUP_NAME, parse_attribute
from services.gateway.domain.phone import parse_phone
from shared.errors import FieldError

DELIMITERS: Final = ",;\t|"
LONGEST_LINE: Final = 32 * 1024
"""Bytes. A record may have ten lines' worth."""
MOST_LINES: Final = 100
"""Of one record: a quote that nobody closes must not swallow the file."""
_BOM: Final = b"\xef\xbb\xbf"
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,15}")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,15}[.][0-9]{1,15}")
_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

Kind = Literal["text", "number", "boolean"]
_FIELDS: Final = (*KINDS, "name", "language", "time_zone")
_CONSENT: Final = {"consent": "state", "consent_scope": "scope", "consent_source": "source", "consent_at": "at"}
_GROUPS: Final = "groups"
MAX_GROUPS: Final = 20
"""Of one record."""
_RESERVED: Final = frozenset({"id"})
"""Columns that would be taken for more than an attribute."""
_POINTERS: Final = {f"/consent/{field}": column for column, field in _CONSENT.items()}


class Row(NamedTuple):
    """A record as a contact of the API, the groups it is to be in, and what is wrong with it before the contact is checked."""

    contact: dict[str, Any]
    groups: Sequence[str]
    faults: list[FieldError]


class Record(NamedTuple):
    """What stands in a file from `line` on. With a `fault` there is no text."""

    line: int
    text: str
    fault: str | None = None

    def __repr__(self) -> str:
        """Without the text, which is somebody's."""
        return f"Record(line={self.line}, fault={self.fault})"


FAULTS: Final = {
    "row.too_long": f"is longer than {LONGEST_LINE} bytes a line, or ten times that in all",
    "row.not_utf8": "is not UTF-8, as lines before it are",
    "row.quote_open": f"stands behind a quote that is not closed within {MOST_LINES} lines",
    "row.malformed": "has something between a closing quote and the delimiter",
    "row.bad_text": "holds U+0000",
    "row.too_many_cells": "has more cells than the header",
}


class Splitter:
    """Bytes in, records out, the header first. A newline within quotes belongs to its record."""

    def __init__(self, encoding: str | None = None) -> None:
        """`encoding` None: UTF-8, or Latin-1 as Windows has it where the first character beyond ASCII says so."""
        self.delimiter: str | None = None
        self._encoding = encoding
        self._rest = b""
        self._too_long = False
        self._line = 0
        self._open: list[Record] = []
        self._is_open = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that end within what has come so far."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield from self._read(line)
        if len(self._rest) > LONGEST_LINE:
            self._too_long, self._rest = True, b""

    def end(self) -> Iterator[Record]:
        """The last one, and what was never closed."""
        if self._rest or self._too_long:
            yield from self._read(self._rest)
        yield from self._give_up()

    def _read(self, data: bytes) -> Iterator[Record]:
        self._line += 1
        if self._line == 1:
            data = data.removeprefix(_BOM)
        record = self._decoded(data.removesuffix(b"\r"))
        self._too_long = False
        if record.fault is not None:
            yield from self._give_up()
            yield record
            return
        if self.delimiter is None:
            self.delimiter = sniffed(record.text)
        if self._open or '"' in record.text:
            self._open.append(record)
            self._is_open = _ends_open(record.text, self.delimiter, is_open=self._is_open)
            if not self._is_open:
                yield self._joined()
            elif len(self._open) > MOST_LINES:
                yield from self._give_up()
        elif record.text.strip():
            yield record

    def _joined(self) -> Record:
        first, text = self._open[0], "\n".join(record.text for record in self._open)
        self._open = []
        return first._replace(text="", fault="row.too_long") if len(text) > 10 * LONGEST_LINE else first._replace(text=text)

    def _give_up(self) -> Iterator[Record]:
        """Lines behind a quote that is not closed: each by itself, so that none is lost."""
        yield from (record._replace(text="", fault="row.quote_open") for record in self._open)
        self._open, self._is_open = [], False

    def _decoded(self, data: bytes) -> Record:
        if self._too_long or len(data) > LONGEST_LINE:
            return Record(self._line, "", "row.too_long")
        if data.isascii():
            return Record(self._line, data.decode("ascii"))
        try:
            text = data.decode(self._encoding or "utf-8")
        except UnicodeDecodeError:
            if self._encoding == "utf-8":
                return Record(self._line, "", "row.not_utf8")
            self._encoding = "latin-1"
            text = _windows(data)
        else:
            text = _windows(data) if self._encoding == "latin-1" else text
            self._encoding = self._encoding or "utf-8"
        return Record(self._line, text)


def _windows(data: bytes) -> str:
    """Latin-1 with the quotes and dashes that Windows puts where that has control characters."""
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def sniffed(header: str) -> str:
    """The delimiter that stands most often in the header outside of quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def _ends_open(line: str, delimiter: str, *, is_open: bool) -> bool:
    """Whether a quote is open at the end of the line, if one was at its beginning or not."""
    at = 0
    while True:
        if not is_open and line.startswith('"', at):  # a quote opens at the beginning of a cell only
            is_open, at = True, at + 1
        while is_open:
            quote = line.find('"', at)
            if quote < 0:
                return True
            is_open = line.startswith('"', quote + 1)
            at = quote + 1 + is_open
        at = line.find(delimiter, at) + 1
        if at == 0:
            return False


def cells_of(text: str, delimiter: str) -> list[str] | None:
    """The cells of a record; None where it is malformed."""
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter, strict=True), [])]
    except csv.Error:
        return None


@dataclass(frozen=True, slots=True)
class Column:
    """`field` is a contact's, or an attribute's name."""

    field: str
    is_attribute: bool = False
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of a file mean."""

    columns: Sequence[Column]
    delimiter: str

    @classmethod
    def of(cls, header: Record, delimiter: str) -> Layout | list[FieldError]:
        """From the header. `age:number` and `vip:boolean` are attributes of those kinds, other attributes are texts."""
        names = None if header.fault else cells_of(header.text, delimiter)
        if names is None:
            return [FieldError("", header.fault or "row.malformed", f"the header {FAULTS[header.fault or 'row.malformed']}")]
        while names and not names[-1]:
            names.pop()
        columns: list[Column] = []
        faults: list[FieldError] = []
        for position, name in enumerate(names):
            column = _column(name)
            if column is None:
                faults.append(FieldError(f"/{position}", "column.invalid", "is no name that a column can have"))
            elif column.field in {former.field for former in columns}:
                faults.append(FieldError(f"/{position}", "column.repeated", "stands there twice"))
            else:
                columns.append(column)
        if not faults and not {column.field for column in columns if not column.is_attribute} & {*KINDS}:
            faults.append(FieldError("", "column.missing", "the header names none of phone, user_id and username"))
        if sum(column.is_attribute for column in columns) > MAX_ATTRIBUTES:
            faults.append(FieldError("", "column.too_many", f"a contact has {MAX_ATTRIBUTES} attributes at most"))
        return faults or cls(columns, delimiter)

    def row(self, record: Record, region: str | None) -> Row:
        """What the record says. Empty cells say nothing."""
        cells = None if record.fault else cells_of(record.text, self.delimiter)
        fault = (
            record.fault or ("row.malformed" if cells is None else None) or ("row.bad_text" if "\0" in record.text else None)
        )
        if cells is not None and any(cells[len(self.columns) :]):
            fault = "row.too_many_cells"
        if fault is not None or cells is None:
            return Row({}, (), [FieldError("", str(fault), FAULTS[str(fault)])])
        contact: dict[str, Any] = {}
        groups: Sequence[str] = ()
        faults = []
        for column, cell in zip(self.columns, cells, strict=False):
            if not cell:
                continue
            if column.is_attribute:
                value = _typed(cell, column.kind)
                if value is None:
                    faults.append(FieldError(f"/{column.field}", f"attribute.not_{column.kind}", f"is no {column.kind}"))
                else:
                    contact.setdefault("attributes", {})[column.field] = value
            elif column.field == _GROUPS:
                groups = _group_names(cell)
                faults += _group_faults(groups)
            elif column.field in _CONSENT:
                contact.setdefault("consent", {})[_CONSENT[column.field]] = cell
            else:
                contact[column.field] = (parse_phone(cell, region) or cell) if column.field == "phone" else cell
        consent = contact.get("consent")
        if consent is not None and consent.get("state", "unknown").lower() == "unknown":
            del contact["consent"]
        return Row(contact, groups, faults)

    @staticmethod
    def column_at(pointer: str) -> str:
        """The column that a pointer into the contact means."""
        return _POINTERS.get(pointer) or pointer.removeprefix("/attributes").removeprefix("/").replace("~1", "/").replace(
            "~0", "~"
        )


def _column(name: str) -> Column | None:
    written, _, kind = name.partition(":")
    field = re.sub(r"[\s\-.]+", "_", written.strip()).lower()
    if parse_attribute(field) is None or field in _RESERVED or kind not in {"", "text", "number", "boolean"}:
        return None
    if field in _FIELDS or field in _CONSENT or field == _GROUPS:
        return Column(field) if not kind else None
    kinds: Mapping[str, Kind] = {"number": "number", "boolean": "boolean"}
    return Column(field, is_attribute=True, kind=kinds.get(kind, "text"))


def _group_names(cell: str) -> Sequence[str]:
    """`News; Gold`, each once."""
    return list(dict.fromkeys(name.strip() for name in re.split("[;|]", cell) if name.strip()))


def _group_faults(names: Sequence[str]) -> Iterator[FieldError]:
    if len(names) > MAX_GROUPS:
        yield FieldError("/groups", "groups.too_many", f"a row names {MAX_GROUPS} at most")
    if any(len(name) > MAX_GROUP_NAME for name in names):
        yield FieldError("/groups", "field.too_long", f"a name has {MAX_GROUP_NAME} characters at most")


def _typed(cell: str, kind: Kind) -> str | int | float | bool | None:
    if kind == "boolean":
        return _BOOLEANS.get(cell.lower())
    if kind == "number":
        return int(cell) if _INTEGER.fullmatch(cell) else float(cell) if _DECIMAL.fullmatch(cell) else None
    return cell
