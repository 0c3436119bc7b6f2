"""What a file is, by its bytes; and addresses that open for five minutes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.media import (
    BadFile,
    Kind,
    Nature,
    check_size,
    clean_name,
    clean_type,
    nature_of,
    nature_of_received,
)
from services.gateway.domain.media_url import VALID_SECONDS, MediaUrls
from tests.support import files

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("data", "claimed", "mime_type", "kind"),
    [
        (files.JPEG, "image/jpeg", "image/jpeg", Kind.IMAGE),
        (files.JPEG, "image/jpg", "image/jpeg", Kind.IMAGE),
        (files.JPEG, "IMAGE/JPEG; q=1", "image/jpeg", Kind.IMAGE),
        (files.JPEG, None, "image/jpeg", Kind.IMAGE),
        (files.PNG, "application/octet-stream", "image/png", Kind.IMAGE),
        (files.PNG, "application/x-www-form-urlencoded", "image/png", Kind.IMAGE),
        (files.STICKER, "image/webp", "image/webp", Kind.STICKER),
        (files.OPUS, "audio/ogg; codecs=opus", "audio/ogg", Kind.AUDIO),
        (files.OPUS, "audio/opus", "audio/ogg", Kind.AUDIO),
        (files.MP3, "audio/mpeg", "audio/mpeg", Kind.AUDIO),
        (files.MP3, None, "audio/mpeg", Kind.AUDIO),
        (b"ID3\x03" + bytes(20), "audio/mp3", "audio/mpeg", Kind.AUDIO),
        (files.AAC, "audio/aac", "audio/aac", Kind.AUDIO),
        (files.AMR, "audio/amr", "audio/amr", Kind.AUDIO),
        (files.MP4, "audio/mp4", "audio/mp4", Kind.AUDIO),
        (files.MP4, "video/mp4", "video/mp4", Kind.VIDEO),
        (files.THREE_GP, None, "video/3gpp", Kind.VIDEO),
        (files.MP4, "video/3gpp", "video/3gpp", Kind.VIDEO),
        (files.PDF, "application/pdf", "application/pdf", Kind.DOCUMENT),
        (files.DOCX, None, DOCX, Kind.DOCUMENT),
        (files.DOCX, DOCX, DOCX, Kind.DOCUMENT),
        (files.ZIP, "application/zip", "application/zip", Kind.DOCUMENT),
        (files.WORD, "application/vnd.ms-excel", "application/vnd.ms-excel", Kind.DOCUMENT),
        (b"a,b\n1,2\n", "text/csv", "text/csv", Kind.DOCUMENT),
        (b"hello", None, "text/plain", Kind.DOCUMENT),
        ("häßlich".encode("latin-1"), "text/plain", "text/plain", Kind.DOCUMENT),
        (b"\x00\x01\x02", None, "application/octet-stream", Kind.DOCUMENT),
        (b"\x00\x01\x02", "application/vnd.acme", "application/vnd.acme", Kind.DOCUMENT),
        (b"GIF89a" + bytes(20), "image/gif", "image/gif", Kind.DOCUMENT),
    ],
)
def test_a_file_is_what_its_bytes_and_its_sender_say(data: bytes, claimed: str | None, mime_type: str, kind: Kind) -> None:
    nature = nature_of(data, claimed)
    assert (nature.mime_type, nature.kind) == (mime_type, kind)


@pytest.mark.parametrize(
    ("data", "claimed", "code"),
    [
        (b"", "image/png", "media.empty"),
        (files.PNG, "image/jpeg", "media.type_mismatch"),
        (files.PNG, "text/plain", "media.type_mismatch"),
        (files.MP4, "image/jpeg", "media.type_mismatch"),
        (b"MZ\x90\0" + bytes(60), "image/png", "media.type_mismatch"),
        (b"<html>", "application/pdf", "media.type_mismatch"),
        (b"<html>", DOCX, "media.type_mismatch"),
        (files.PDF, DOCX, "media.type_mismatch"),
        (files.ZIP, "application/pdf", "media.type_mismatch"),
        (files.WORD, "application/pdf", "media.type_mismatch"),
        (b"a\0b", "text/csv", "media.type_mismatch"),
        (files.VORBIS, "audio/ogg", "media.type_unsupported"),
        (files.PNG, "image", "media.type_malformed"),
        (files.PNG, "image/png\r\nX: y", "media.type_malformed"),
        (files.PNG, "a/" + "b" * 200, "media.type_malformed"),
    ],
)
def test_a_file_that_lies_is_refused_and_taken_for_what_it_is_where_it_was_received(
    data: bytes, claimed: str, code: str
) -> None:
    with pytest.raises(BadFile) as caught:
        nature_of(data, claimed)
    assert caught.value.code == code
    assert nature_of_received(data, claimed).mime_type != claimed or data == files.VORBIS


@given(st.binary(max_size=300), st.text(max_size=40) | st.none())
def test_every_file_that_was_received_is_something(data: bytes, claimed: str | None) -> None:
    nature = nature_of_received(data, claimed)
    assert clean_type(nature.mime_type) == nature.mime_type


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (files.STICKER, 100 * 1024),
        (files.MOVING_STICKER, 500 * 1024),
        (files.JPEG, 5 * 1024 * 1024),
        (files.MP4, 16 * 1024 * 1024),
        (files.OPUS, 16 * 1024 * 1024),
        (files.PDF, 100 * 1024 * 1024),
    ],
)
def test_each_class_has_its_size(data: bytes, most: int) -> None:
    nature = nature_of(data, None)
    check_size(nature, most)
    with pytest.raises(BadFile, match=str(most)):
        check_size(nature, most + 1)
    assert Nature(nature.mime_type, nature.kind, nature.is_animated).limit_bytes == most


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        (None, None),
        ("", None),
        ("..", None),
        ("../../etc/passwd", "passwd"),
        ("C:\\x\\y.pdf", "y.pdf"),
        ("a\0b\n.png", "ab.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\ud800.png", "png"),
        ("Überweisung 1.pdf", "Überweisung 1.pdf"),
        ("x" * 300 + ".pdf", "x" * 236 + ".pdf"),
    ],
)
def test_a_name_is_a_name_only(name: str | None, cleaned: str | None) -> None:
    assert clean_name(name) == cleaned


def test_a_signed_address_holds_for_its_file_and_its_time() -> None:
    urls, now = MediaUrls.of("https://chasqui.example/", "key"), 1_800_000_000.0
    url, until = urls.sign("med_1", now)
    assert until == now + VALID_SECONDS
    assert url.startswith("https://chasqui.example/api/media/med_1/signed?expires=1800000300&signature=")
    signature = url.rpartition("=")[2]
    assert urls.is_valid("med_1", str(until), signature, now)
    assert urls.is_valid("med_1", str(until), signature, until - 0.1)
    assert not urls.is_valid("med_1", str(until), signature, until)
    assert not urls.is_valid("med_2", str(until), signature, now)
    assert not urls.is_valid("med_1", str(until + 1), signature, now)
    assert not MediaUrls.of("", "other").is_valid("med_1", str(until), signature, now)
    far, _ = urls.sign("med_1", now + 10**6)
    assert not urls.is_valid("med_1", str(int(now + 10**6) + VALID_SECONDS), far.rpartition("=")[2], now)
    for wrong in ("", "x", "\ud800", "9" * 30, "-1", "٣"):
        assert not urls.is_valid("med_1", wrong, signature, now)
        assert not urls.is_valid("med_1", str(until), wrong, now)


def test_while_the_master_key_is_rotated_addresses_of_either_key_open() -> None:
    now = 1_800_000_000.0
    former, latter = MediaUrls.of("", "old", "new"), MediaUrls.of("", "new", "old")
    for signs, opens in ((former, latter), (latter, former)):
        url, until = signs.sign("med_1", now)
        assert opens.is_valid("med_1", str(until), url.rpartition("=")[2], now)
    url, until = former.sign("med_1", now)
    assert not MediaUrls.of("", "new").is_valid("med_1", str(until), url.rpartition("=")[2], now)
