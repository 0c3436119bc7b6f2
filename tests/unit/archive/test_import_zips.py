"""Zip files that were made to do harm are refused, each with its reason."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress

import pytest

from services.archive.imports.refusal import Refused
from services.archive.imports.zips import MEMBERS, open_zip


def made(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def code_of(data: bytes) -> str:
    with pytest.raises(Refused) as raised:
        open_zip(io.BytesIO(data), len(data))
    return raised.value.code


def changed(data: bytes, signature: bytes, offset: int, form: str, value: int) -> bytes:
    """With a field of the last header of a kind overwritten."""
    at = data.rindex(signature) + offset
    return data[:at] + struct.pack(form, value) + data[at + struct.calcsize(form) :]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
PLAIN = made(("_chat.txt", b"hello"), ("a.jpg", b"picture"))


def test_a_plain_one_is_opened() -> None:
    archive = open_zip(io.BytesIO(PLAIN), len(PLAIN))
    assert archive.read("_chat.txt") == b"hello"


@pytest.mark.parametrize(
    "name", ["../_chat.txt", "a/../../b.txt", "/etc/passwd", "..\\up.txt", "C:\\chat.txt", "\\\\host\\chat.txt"]
)
def test_a_name_that_leads_outside(name: str) -> None:
    assert code_of(made((name, b"hello"))) == "zip.path_traversal"


def test_a_name_with_nul() -> None:
    assert code_of(made(("chat_.txt", b"hello")).replace(b"chat_.txt", b"chat\x00.txt")) == "zip.path_traversal"


def test_two_dots_within_a_name_are_a_name() -> None:
    data = made(("what...now..txt", b"hello"))
    assert open_zip(io.BytesIO(data), len(data)).namelist() == ["what...now..txt"]


def test_a_bomb() -> None:
    assert code_of(made(("_chat.txt", bytes(64 * 1024 * 1024)))) == "zip.bomb"


def test_a_password() -> None:
    data = changed(changed(made(("_chat.txt", b"hello")), CENTRAL, 8, "<H", 1), LOCAL, 6, "<H", 1)
    assert code_of(data) == "zip.encrypted"


def test_a_link() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("_chat.txt")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    assert code_of(out.getvalue()) == "zip.link"


def test_another_method() -> None:
    assert code_of(made(("_chat.txt", b"hello"), method=zipfile.ZIP_BZIP2)) == "zip.method_unsupported"


def test_a_size_that_contradicts() -> None:
    assert code_of(changed(made(("_chat.txt", b"hello"), method=zipfile.ZIP_STORED), CENTRAL, 24, "<I", 4)) == "zip.lying"


def test_members_that_overlap() -> None:
    assert code_of(changed(PLAIN, CENTRAL, 42, "<I", 2)) == "zip.overlap"


def test_too_many_members() -> None:
    assert code_of(made(*((f"{number}.txt", b"") for number in range(MEMBERS + 1)))) == "zip.too_many_files"


def test_a_directory_that_counts_less_than_it_has() -> None:
    data = made(*((f"{number}.txt", b"") for number in range(MEMBERS + 1)))
    assert code_of(changed(changed(data, END, 8, "<H", 1), END, 10, "<H", 1)) == "zip.too_many_files"


def one_byte_less(data: bytes) -> bytes:
    return data[:-1]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize("cut", [one_byte_less, half])
def test_one_that_was_cut_off(cut: Callable[[bytes], bytes]) -> None:
    assert code_of(cut(PLAIN)) == "zip.truncated"


@pytest.mark.parametrize("offset", range(0, 22, 2))
def test_an_end_that_says_anything(offset: int) -> None:
    """It is refused, or it does no harm; nothing else is raised."""
    data = changed(PLAIN, END, offset, "<H", 0xFFFF)
    with suppress(Refused):
        open_zip(io.BytesIO(data), len(data))
