"""What people wrote comes out as they wrote it, and does nothing where it is read."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.export import Format, Scope, Search, is_zipped
from services.archive.domain.exported import media_name, safe_name
from services.archive.exports.chat_text import ChatForm
from services.archive.exports.html_page import POLICY, entry_html, formatted, page
from services.archive.exports.ndjson import NdjsonForm
from services.archive.exports.table import CsvForm
from tests.support.exported import NOON, entry

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
FORMULAS = ("=1+1", "+1555", "-2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u200e=1", "\uff1d1", "\u202e@x", "|cmd", "%0a")


def rows(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_a_spreadsheet_calculates_nothing(text: str) -> None:
    form = CsvForm()
    header, row = rows(form.head + form.entry(entry(text, author=text, conversation=text)))
    cells = dict(zip(header, row, strict=True))
    assert cells["text"] == cells["author"] == cells["conversation"] == f"'{text}"


@given(TEXTS)
def test_a_row_is_one_row_and_says_what_was_said(text: str) -> None:
    form = CsvForm()
    ((*_,), row) = rows(form.head + form.entry(entry(text)))
    assert row[7].removeprefix("'") == text.replace("\x00", "").removeprefix("'")


@given(TEXTS, TEXTS)
def test_a_line_of_ndjson_is_one_line(text: str, author: str) -> None:
    line = NdjsonForm().entry(entry(text, author=author))
    assert line.count(b"\n") == 1
    assert (json.loads(line)["content"]["text"]["body"], json.loads(line)["author"]) == (text, author)


def test_ndjson_does_not_tell_where_files_are_kept() -> None:
    media = {"file_id": "fil_1", "object_key": "imports/1", "mime_type": "image/png"}
    told = json.loads(NdjsonForm().entry(entry(media=media, file="a.png")))
    assert told["media"] == {"file_id": "fil_1", "mime_type": "image/png", "file": "a.png"}


class _Seen(HTMLParser):
    """What a browser would make of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.said += data


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</div></body><iframe src=javascript:alert(1)>",
    "javascript:alert(1)",
    'https://e.example/"onmouseover=alert(1)',
    "```<b>```",
    "*<i>*_<u>_~<s>~",
    "&lt;script&gt;",
    "<!-- ",
    "]]>",
)
ALLOWED = {"div", "span", "bdi", "a", "b", "i", "s", "code", "ul", "li"}


@given(st.one_of(st.sampled_from(HOSTILE), TEXTS, st.text("<>\"'&/*_~`=: \nab", max_size=80)))
def test_nothing_that_was_written_becomes_an_element(text: str) -> None:
    seen = _Seen()
    seen.feed(entry_html(entry(text, author=text, conversation=text), with_conversation=True))
    seen.close()
    assert {tag for tag, _ in seen.tags} <= ALLOWED
    for _, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on") or name in {"src", "style"}]
        assert (attributes.get("href") or "#").startswith(("#", "http://", "https://"))


@given(st.sampled_from(HOSTILE))
def test_titles_are_text(text: str) -> None:
    seen = _Seen()
    seen.feed(page(text, text, [], []).decode())
    assert {tag for tag, _ in seen.tags} == {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "p",
        "main",
        "footer",
    }
    assert seen.said.count(text) >= 2


def test_a_page_lets_nothing_in() -> None:
    document = page("t", "s", [], []).decode()
    assert "default-src 'none'" in POLICY
    assert "script-src" not in POLICY
    assert "http" not in re.sub(r"http-equiv", "", document)


def test_marks_and_links_are_shown() -> None:
    assert formatted("*a* _b_ ~c~ ```d*e*```") == "<b>a</b> <i>b</i> <s>c</s> <code>d*e*</code>"
    assert formatted("2*3*4 snake_case_name") == "2*3*4 snake_case_name"
    assert formatted("see https://e.example/a_b_c?x=1&y=2.") == (
        'see <a href="https://e.example/a_b_c?x=1&amp;y=2" rel="noreferrer noopener nofollow">https://e.example/a_b_c?x=1&amp;y=2</a>.'
    )


def test_every_text_has_its_own_direction() -> None:
    html = entry_html(entry("\u202eevil\u202d שלום"))
    assert '<div class="t" dir="auto">' in html


KINDS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "image", "image": {"caption": "sun"}}, "sun \u200eimage omitted"),
    ({"type": "document", "document": {"filename": "a.pdf"}}, "a.pdf • \u200edocument omitted"),
    ({"type": "location", "location": {"latitude": 1.5, "longitude": -2}}, "\u200eLocation: https://maps.google.com/?q=1.5,-2"),
    (
        {"type": "poll", "poll": {"question": "When?", "options": [{"name": "Now", "votes": 1}, {"name": "Later"}]}},
        "\u200ePOLL:\nWhen?\n\u200eOPTION: Now (1 vote)\n\u200eOPTION: Later (0 votes)",
    ),
    ({"type": "revoked"}, "\u200eThis message was deleted."),
    ({"type": "text", "text": {"body": "two\r\nlines\rand more"}}, "two\nlines\nand more"),
)


@pytest.mark.parametrize(("content", "said"), KINDS)
def test_whatsapps_own_words(content: dict[str, Any], said: str) -> None:
    record = ChatForm().entry(entry(content)).decode()
    assert record.lstrip("\u200e") == f"[2026-11-20, 12:00:00] Ana: {said}\r\n"


@given(TEXTS, TEXTS)
def test_a_record_ends_once(text: str, author: str) -> None:
    record = ChatForm().entry(entry(text, author=author))
    assert record.endswith(b"\r\n")
    assert record.count(b"\r") == 1
    assert b"\n" not in record.split(b": ")[0]


@given(st.text(max_size=200))
def test_names_of_files_are_no_paths(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert not set(safe) & set('/\\:*?"<>|\x00\n\r')
    assert safe not in {".", ".."}
    document = entry({"type": "document", "document": {"filename": name}}, media={"mime_type": "application/pdf"})
    assert re.fullmatch(r"[^/\\\x00]+\.pdf", media_name(3, document))


def test_files_are_named_as_iphones_name_them() -> None:
    photo = entry({"type": "image", "image": {}}, media={"mime_type": "image/jpeg; q=1"})
    assert media_name(7, photo) == "00000007-PHOTO-2026-11-20-12-00-00.jpg"
    odd = entry({"type": "document", "document": {"filename": "../../x.s h"}}, media={"mime_type": "x/y"})
    assert media_name(1, odd) == "00000001-_.._x.s h.bin"


def test_a_scope_comes_back() -> None:
    scope = Scope(search=Search("a", label="b"), since=NOON, time_zone="Asia/Tokyo", with_media=True, hide_names=True, me="We")
    assert Scope.read(json.loads(json.dumps(scope.stored()))) == scope
    assert Scope.read(Scope().stored()) == Scope()


def test_what_is_several_files_is_a_zip() -> None:
    one = Scope(conversation_id="c")
    assert [form for form in Format if is_zipped(form, one)] == [Format.HTML]
    assert [form for form in Format if is_zipped(form, Scope())] == [Format.HTML, Format.WHATSAPP]
    assert all(is_zipped(form, Scope(conversation_id="c", with_media=True)) for form in Format)


def test_the_year_of_an_entry_is_told_in_its_own_zone() -> None:
    local = datetime(2027, 1, 1, 0, 30, tzinfo=UTC)
    assert ChatForm().entry(entry(local=local)).startswith(b"[2027-01-01, 00:30:00]")
