"""Multipart bodies are cut where they are joined, and nothing else gets through."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.domain.errors import GraphError
from services.sandbox.multipart import MAX_PARTS, parts_of

TYPE = "multipart/form-data; boundary=mark"
names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=10)
contents = st.binary(max_size=60).filter(lambda content: b"--mark" not in content)


def joined(parts: list[tuple[str, bytes]]) -> bytes:
    head = b'--mark\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
    return b"".join(head % (name.encode(), content) for name, content in parts) + b"--mark--\r\n"


@given(st.lists(st.tuples(names, contents), max_size=5))
def test_parts_come_back_as_they_were_joined(parts: list[tuple[str, bytes]]) -> None:
    assert [(part.name, part.content) for part in parts_of(joined(parts), TYPE)] == parts


@given(st.binary(max_size=200), st.text(max_size=80))
def test_anything_is_parts_or_a_graph_error(raw: bytes, content_type: str) -> None:
    for told in (content_type, TYPE):
        with suppress(GraphError):
            parts_of(raw, told)


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        ('filename="a.png"', "a.png"),
        ('filename="/home/me/a.png"', "a.png"),
        ('filename="C:\\\\pictures\\\\a.png"', "a.png"),
        ('filename="%2Ftmp%2Fa.png"', "a.png"),
        ("filename*=UTF-8''%C3%BC.png", "ü.png"),
    ],
)
def test_a_files_name_has_no_folder(header: str, filename: str) -> None:
    raw = f'--mark\r\ncontent-disposition: form-data; name="file"; {header}\r\ncontent-type: image/png\r\n\r\nx\r\n--mark--'
    (part,) = parts_of(raw.encode(), TYPE)
    assert (part.filename, part.content_type, part.content) == (filename, "image/png", b"x")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"--mark",
        b"--mark\r\n\r\nx",
        joined([("a", b"x")])[:-10],
        joined([("a", b"x")] * (MAX_PARTS + 1)),
        b"--mark\r\nContent-Type: text/plain\r\n\r\nnameless\r\n--mark--",
    ],
)
def test_what_is_not_whole_is_refused(raw: bytes) -> None:
    with pytest.raises(GraphError):
        parts_of(raw, TYPE)
