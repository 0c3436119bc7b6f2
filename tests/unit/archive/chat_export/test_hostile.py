"""Files that were made to hurt, and files that were hurt."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest

from services.archive.chat_export.findings import DoubtReason, NotAnExport
from services.archive.chat_export.reader import Reader
from services.archive.chat_export.scan import MAX_RECORD_CHARS
from services.archive.chat_export.survey import survey
from services.archive.domain.imported import Kind, content_of
from tests.unit.archive.chat_export.reading import read

BEFORE = "21/05/2024, 10:05 - Anna: first\n"
AFTER = "22/05/2024, 10:05 - Anna: last\n"
MEGABYTE = b"x" * (1 << 20)


def blocks_with_a_long_line(megabytes: int) -> Iterator[bytes]:
    yield f"{BEFORE}21/05/2024, 10:06 - Bob: ".encode()
    for _ in range(megabytes):
        yield MEGABYTE
    yield f"\n{AFTER}".encode()


def test_a_line_of_300_megabytes_takes_little_memory_and_loses_no_record() -> None:
    tracemalloc.start()
    found = survey(blocks_with_a_long_line(300))
    reader = Reader(found)
    records = [record for block in blocks_with_a_long_line(300) for record in reader.feed(block)] + reader.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [record.body[:5] for record in records] == ["first", "xxxxx", "last"]
    assert len(records[1].body) == MAX_RECORD_CHARS
    assert [(doubt.line, doubt.reason) for doubt in reader.take_doubts()] == [(2, DoubtReason.TOO_LONG)]
    assert [record.line for record in records] == [1, 2, 3]
    assert peak < 40 << 20


def test_a_record_of_too_many_lines_is_cut_and_the_next_is_found() -> None:
    _, records, doubts = read(BEFORE + "21/05/2024, 10:06 - Bob: a\n" + ("b" * 200 + "\n") * 3000 + AFTER)

    assert [record.body[:4] for record in records] == ["firs", "a\nbb", "last"]
    assert [record.line for record in records] == [1, 2, 3003]
    assert [doubt.reason for doubt in doubts] == [DoubtReason.TOO_LONG]


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"hello", MEGABYTE * 3, b"\x00" * 100_000, b"\xff" * 1000, b"1,2,3\n4,5,6\n" * 500]
)
def test_what_is_no_export_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnExport) as refused:
        survey([data])
    assert len(refused.value.first_lines) <= 5
    assert all(len(line) <= 200 for line in refused.value.first_lines)


def test_a_book_with_one_header_in_it_is_refused_with_its_first_lines() -> None:
    with pytest.raises(NotAnExport) as refused:
        survey([b"A title\n" + BEFORE.encode() + b"words\n" * 10_000])
    assert refused.value.first_lines[0] == "A title"


def test_zeros_are_left_out() -> None:
    _, records, _ = read("21/05/2024, 10:05 - An\x00na: fi\x00rst\n" + AFTER)

    assert [(record.author, record.body) for record in records] == [("Anna", "first"), ("Anna", "last")]


def test_lines_of_another_encoding_are_read_and_reported() -> None:
    data = (
        BEFORE.encode()
        + "21/05/2024, 10:06 - Jos\u00e9: caf\u00e9 \u20ac5\n".encode("cp1252")
        + "22/05/2024, 10:05 - Jos\u00e9: \u2713\n".encode()
    )
    _, records, doubts = read(data)

    assert [(record.author, record.body) for record in records] == [
        ("Anna", "first"), ("Jos\u00e9", "caf\u00e9 \u20ac5"), ("Jos\u00e9", "\u2713"),
    ]  # fmt: skip
    assert [(doubt.line, doubt.reason) for doubt in doubts] == [(2, DoubtReason.UNDECODABLE)]


def test_surrogates_that_were_encoded_one_by_one_are_joined() -> None:
    data = BEFORE.encode() + b"21/05/2024, 10:06 - Bob: " + "\ud83d\ude00".encode("utf-8", "surrogatepass") + b"\n"

    assert read(data)[1][-1].body == "\U0001f600"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_cut_anywhere_is_read_as_far_as_it_goes(encoding: str) -> None:
    data = (BEFORE + "21/05/2024, 10:06 - Bj\u00f6rn: caf\u00e9 \U0001f600 \u0641\n").encode(encoding)
    for end in range(len(BEFORE.encode(encoding)) + 2, len(data) + 1):
        _, records, _ = read(data[:end])
        assert records[0].body.startswith("first")
        for record in records:
            record.body.encode()
            str(content_of(record)).encode()


def test_overrides_of_direction_stay_in_texts_and_fall_from_names() -> None:
    _, records, _ = read("21/05/2024, 10:05 - \u202eannA\u202c: a \u202egpj.exe\n" + AFTER)

    assert (records[0].author, records[0].body) == ("annA", "a \u202egpj.exe")


def test_what_iphones_write_is_text_where_somebody_typed_it() -> None:
    _, records, _ = read(f"{BEFORE}21/05/2024, 10:06 - Bob: image omitted\n{AFTER}")

    assert (records[1].kind, records[1].body) == (Kind.TEXT, "image omitted")


def test_sequences_of_emoji_stay_whole() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    _, records, _ = read(f"21/05/2024, 10:05 - {family}: {family}\u2764\ufe0f\n" + AFTER)

    assert (records[0].author, records[0].body) == (family, f"{family}\u2764\ufe0f")


@pytest.mark.parametrize(
    "body",
    [
        "(" * 60_000, "<a:" * 20_000 + ">", "a: " * 20_000, "[" * 60_000, "\u200e" * 60_000, "1/" * 30_000, "(a)" * 20_000 + ")",
        "<\u200e" * 20_000 + ">", "POLL:\n" + "\u200eOPTION: (1 (1 " * 4000, "https://maps.google.com/?q=" + "1" * 60_000,
        " " * 60_000 + ">",
    ],
    ids=range(11),
)  # fmt: skip
def test_no_line_makes_a_search_go_back_and_forth(body: str) -> None:
    """It would take minutes; the suite's limit is a minute."""
    _, records, _ = read(f"{BEFORE}21/05/2024, 10:06 - Bob: {body}\n{body}\n{AFTER}")

    assert [record.author for record in records] == ["Anna", "Bob", "Anna"]


@pytest.mark.parametrize("body", ["<script>alert(1)</script>", "=cmd()", "'; DROP TABLE entries; --", "\\copy", "{{7*7}}"])
def test_code_is_text(body: str) -> None:
    assert [(record.kind, record.body) for record in read(f"{BEFORE}21/05/2024, 10:06 - {body[:4]}: {body}\n")[1]][1] == (
        Kind.TEXT,
        body,
    )


@pytest.mark.parametrize("line", ["[5/21/24, 10:00:01] Zed: pasted", "05-21-2024 10:00 - Zed: pasted"])
def test_headers_of_another_shape_are_text_and_reported(line: str) -> None:
    _, records, doubts = read(f"{BEFORE}{line}\nand more\n{AFTER}")

    assert [record.body for record in records] == [f"first\n{line}\nand more", "last"]
    assert [(doubt.line, doubt.reason) for doubt in doubts] == [(2, DoubtReason.OTHER_HEADER)]


BAD = "31/02/2024, 15:0{} - Ada: {}\n"


@pytest.mark.parametrize("block", [1, 7, 40, 1 << 20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_impossible_times_before_the_first_record_are_reported_with_their_text(block: int, line_end: str) -> None:
    text = (
        "A title\n" + BAD.format(1, "first") + BAD.format(3, "second") + "continued\n" + AFTER + BAD.format(5, "third") + AFTER
    )
    found, records, doubts = read(text.replace("\n", line_end), block=block)

    assert [(doubt.line, doubt.reason, doubt.text) for doubt in doubts] == [
        (1, DoubtReason.PREAMBLE, "A title"),
        (2, DoubtReason.IMPOSSIBLE_TIME, "31/02/2024, 15:01 - Ada: first"),
        (3, DoubtReason.IMPOSSIBLE_TIME, "31/02/2024, 15:03 - Ada: second"),
        (4, DoubtReason.PREAMBLE, "continued"),
        (6, DoubtReason.IMPOSSIBLE_TIME, "31/02/2024, 15:05 - Ada: third"),
    ]
    assert [(record.line, record.body) for record in records] == [
        (5, "last\n31/02/2024, 15:05 - Ada: third"),
        (7, "last"),
    ]
    assert found.records == 2
    assert {person.name: person.records for person in found.people} == {"Anna": 2, "Ada": 0}


def test_an_impossible_time_at_the_end_is_reported_without_its_line_end() -> None:
    _, _, doubts = read(BEFORE + BAD.format(1, "last"))

    assert [(doubt.line, doubt.text) for doubt in doubts] == [(2, "31/02/2024, 15:01 - Ada: last")]


def test_impossible_times_before_and_after_a_pasted_header_are_reported_on_their_lines() -> None:
    pasted = "01/01/2020, 10:00 - Zed: long ago\n"
    _, records, doubts = read(BEFORE + pasted + BAD.format(1, "a") + AFTER + BAD.format(2, "b"))

    assert [record.line for record in records] == [1, 4]
    assert [(doubt.line, doubt.reason) for doubt in doubts] == [
        (2, DoubtReason.PASTED_HEADER),
        (3, DoubtReason.IMPOSSIBLE_TIME),
        (5, DoubtReason.IMPOSSIBLE_TIME),
    ]


@pytest.mark.parametrize("block", [1000, 1 << 20])
def test_impossible_times_behind_a_record_that_is_too_long_are_reported(block: int) -> None:
    _, records, doubts = read(BEFORE + "x" * (MAX_RECORD_CHARS + 4000) + "\n" + BAD.format(1, "bad") + AFTER, block=block)

    assert [(record.line, record.body[:5]) for record in records] == [(1, "first"), (4, "last")]
    assert (3, "31/02/2024, 15:01 - Ada: bad") in [(doubt.line, doubt.text) for doubt in doubts]


def test_lines_behind_one_that_is_too_long_are_reported() -> None:
    _, records, doubts = read("y" * (2 * MAX_RECORD_CHARS) + "\nmore\n" + AFTER, block=100_000)

    assert [record.line for record in records] == [3]
    assert [(doubt.line, doubt.reason, doubt.text[:5]) for doubt in doubts] == [
        (1, DoubtReason.PREAMBLE, "yyyyy"),
        (2, DoubtReason.PREAMBLE, "more"),
    ]


def test_a_file_all_in_one_minute_is_told_apart_in_a_state_that_does_not_grow() -> None:
    said = [f"{number % 7000}" for number in range(20_000)]
    data = "".join(f"21/05/2024, 10:05 - Anna: {text}\n" for text in said).encode()
    found, whole, _ = read(data)
    first = Reader(found)
    records = first.feed(data[: len(data) // 2])
    state = first.state()
    second = Reader(found, state=state)
    records += second.feed(data[first.offset :]) + second.finish()

    assert len(json.dumps(state)) < 128 << 10
    assert [record.body for record in records] == said
    assert len({record.fingerprint for record in records}) == len(said)
    assert records == whole


def joined(*encodings: str) -> bytes:
    """A file that a tool has put together of others."""
    return b"".join(
        "".join(
            f"{part + 1:02}/06/2024, 10:{number:02} - Bj\u00f6rn: {number} \u4e0a\u010a\U0001f600 of {part}\nmore\n"
            for number in range(3)
        ).encode(encoding)
        for part, encoding in enumerate(encodings)
    )


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 20])
@pytest.mark.parametrize(
    "encodings",
    [
        ("utf-8", "utf-16", "utf-8-sig"), ("utf-8", "utf-16-le", "utf-8"), ("utf-8", "utf-16-be", "utf-8"),
        ("utf-16", "utf-8", "utf-16"), ("utf-8-sig", "utf-16", "utf-16"),
    ],
)  # fmt: skip
def test_parts_of_another_encoding_are_read_in_it(encodings: tuple[str, ...], block: int) -> None:
    data = joined(*encodings)
    found, records, doubts = read(data, block=block)

    assert [(record.at.day, record.author, record.body) for record in records] == [
        (part + 1, "Bj\u00f6rn", f"{number} \u4e0a\u010a\U0001f600 of {part}\nmore")
        for part in range(len(encodings))
        for number in range(3)
    ]
    assert (found.records, doubts) == (len(records), [])


def test_a_reader_goes_on_within_a_part_of_another_encoding() -> None:
    data = joined("utf-8", "utf-16", "utf-8")
    found = survey([data])
    for cut in range(0, len(data), 5):
        first = Reader(found)
        records = first.feed(data[:cut])
        second = Reader(found, state=first.state())
        records += second.feed(data[first.offset :]) + second.finish()
        assert [record.at.day for record in records] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize(
    "noise",
    [b"\xff\xfe1\x001\x00" * 5000, b"\xff\xfe1\x001\x001/1/11" * 5000, b"\n1\x00/\x001\x001/1/1\xfe\xff\x001\x001" * 5000],
)
def test_encodings_that_change_all_the_time_lose_no_record(noise: bytes) -> None:
    _, records, _ = read(BEFORE.encode() + noise + b"\n" + AFTER.encode(), block=1000)

    assert (records[0].body[:5], records[-1].body[-4:]) == ("first", "last")


def test_a_stray_mark_of_another_encoding_changes_nothing() -> None:
    data = BEFORE.encode() + b"21/05/2024, 10:06 - Bob: \xff\xfe ok\n" + AFTER.encode()
    _, records, _ = read(data)

    assert [record.body for record in records] == ["first", "\u00ff\u00fe ok", "last"]
