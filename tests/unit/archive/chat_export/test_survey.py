"""What a file is: shape, order of day and month, people, line ends."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from services.archive.chat_export.findings import DayOrder, LineEnds, Options, Platform, Survey
from services.archive.chat_export.survey import survey
from tests.unit.archive.chat_export.reading import read


def surveyed(text: str, **options: object) -> Survey:
    return survey([text.encode()], Options(**options))  # type: ignore[arg-type]


def chat(dates: list[str], pattern: str = "{}, 10:05 - Anna: hi\n") -> str:
    return "".join(pattern.format(date) for date in dates)


def days(count: int, pattern: str, start: datetime = datetime(2024, 5, 1)) -> list[str]:  # noqa: DTZ001
    return [(start + timedelta(days=number)).strftime(pattern) for number in range(count)]


@pytest.mark.parametrize(
    ("dates", "order"),
    [
        (["13/05/24", "01/06/24"], DayOrder.DAY_FIRST),
        (["05/13/24", "06/01/24"], DayOrder.MONTH_FIRST),
        (["2024/05/13"], DayOrder.YEAR_FIRST),
        (["01.02.24", "02.02.24"], DayOrder.DAY_FIRST),
        (["01/02/24", "02/02/24", "03/02/24", "04/02/24", "01/03/24", "02/03/24"], DayOrder.DAY_FIRST),
        (["02/01/24", "02/02/24", "02/03/24", "02/04/24", "03/01/24", "03/02/24"], DayOrder.MONTH_FIRST),
    ],
)
def test_the_order_of_day_and_month(dates: list[str], order: DayOrder) -> None:
    found = surveyed(chat(dates))

    assert found.day_order is order
    assert found.confidence > 0.75
    assert found.reasons


def test_one_pasted_header_does_not_date_a_file_anew() -> None:
    dates = days(9, "%m/%d/%y", datetime(2024, 6, 1)) + days(9, "%m/%d/%y", datetime(2024, 7, 1))  # noqa: DTZ001
    found = surveyed(chat([*dates[:5], "23/01/22", *dates[5:]]))

    assert found.day_order is DayOrder.MONTH_FIRST


def test_names_of_files_tell_the_order() -> None:
    found = surveyed("04/06/24, 10:05 - Anna: IMG-20240604-WA0001.jpg (file attached)\n04/06/24, 10:05 - Bob: hi\n")

    assert (found.day_order, found.confidence > 0.9) == (DayOrder.DAY_FIRST, True)


def test_the_future_tells_the_order() -> None:
    found = surveyed("04/06/24, 10:05 - Anna: hi\n" * 3, latest=datetime(2024, 5, 1))  # noqa: DTZ001

    assert found.day_order is DayOrder.MONTH_FIRST


def test_what_cannot_be_known_is_said() -> None:
    found = surveyed("04/06/24, 10:05 - Anna: hi\n04/06/24, 10:06 - Bob: hi\n")

    assert found.confidence < 0.2
    assert "nothing in the file tells" in found.reasons[0]


def test_the_order_can_be_asked_for() -> None:
    text = "04/06/24, 10:05 - Anna: hi\n04/06/24, 10:06 - Bob: hi\n"
    _, records, _ = read(text, day_order=DayOrder.MONTH_FIRST)

    assert {record.at.month for record in records} == {4}


def test_a_survey_is_json() -> None:
    found = surveyed("[21.05.24, 10:05:01] ~\u202fAnna: hi\r\nthere\n\r\n[21.05.24, 10:05:02] Bob: hi\r\n")

    assert Survey.from_json(json.loads(json.dumps(found.as_json()))) == found
    assert [(person.name, person.is_self_chosen) for person in found.people] == [("Anna", True), ("Bob", False)]
    assert found.platform is Platform.IOS


@pytest.mark.parametrize(
    ("end", "within", "expected"),
    [("\n", "\n", LineEnds.LF), ("\r\n", "\r\n", LineEnds.CRLF), ("\r\n", "\n", LineEnds.PURE)],
)
def test_line_ends(end: str, within: str, expected: LineEnds) -> None:
    records = ["one", f"two{within}lines", f"[21.05.24, 10:05:01] Zed: pasted{within}text", "four"]
    text = "".join(f"[21.05.24, 10:05:0{number}] Anna: {body}{end}" for number, body in enumerate(records))
    found, read_, _ = read(text)

    assert found.line_ends is expected
    if expected is LineEnds.PURE:
        assert [record.body for record in read_] == [body.replace(within, "\n") for body in records]
    assert read_[1].body == "two\nlines"


def test_people_are_those_who_speak() -> None:
    found = surveyed(
        "21/05/2024, 10:05 - Anna created group \u201cPlan: A\u201d\n"
        "21/05/2024, 10:05 - Anna: hi\n21/05/2024, 10:05 - Anna: hi\n"
        "21/05/2024, 10:05 - Dr: House: one\n21/05/2024, 10:05 - Dr: House: two\n21/05/2024, 10:06 - Dr: House: three\n"
        "21/05/2024, 10:06 - Anna hat den Betreff von \u201eA\u201c zu \u201ePlan: B\u201c ge\u00e4ndert\n"
    )

    assert {person.name: person.records for person in found.people} == {"Anna": 2, "Dr: House": 3}


def test_the_group_of_an_iphone_is_nobody() -> None:
    found, records, _ = read(
        "[21.05.24, 10:05:01] Trip: Rome: \u200eMessages and calls are end-to-end encrypted.\r\n"
        "[21.05.24, 10:05:02] Trip: Rome: \u200eAnna created this group\r\n[21.05.24, 10:05:03] Anna: hi\r\n"
        "[21.05.24, 10:05:04] Anna: \u200eAnna added Bob\r\n[21.05.24, 10:05:05] Anna: I left\r\n"
    )

    assert [person.name for person in found.people] == ["Anna"]
    assert [record.author for record in records] == [None, None, "Anna", None, "Anna"]
    assert records[1].body == "Anna created this group"


@pytest.mark.parametrize("pattern", ["%y/%m/%d", "%y-%m-%d", "%y.%m.%d"])
def test_a_year_of_two_digits_may_stand_first(pattern: str) -> None:
    start = datetime(2024, 5, 28)  # noqa: DTZ001  # wall time
    dates = [text.replace("/0", "/") for text in days(9, pattern, start)]
    found, records, doubts = read(chat(dates))

    assert (found.day_order, found.confidence >= 0.9) == (DayOrder.YEAR_FIRST, True)
    assert [record.at.date() for record in records] == [(start + timedelta(days=number)).date() for number in range(9)]
    assert doubts == []


def test_days_stay_first_where_the_last_number_changes_as_years_do() -> None:
    dates = [text for year in (21, 22, 23, 24) for text in (f"13/05/{year}", f"14/05/{year}", f"15/06/{year}")]

    assert surveyed(chat(dates)).day_order is DayOrder.DAY_FIRST


def test_that_the_year_stands_first_can_be_asked_for_where_it_has_two_digits() -> None:
    text = chat(["24/05/13", "24/05/14"])
    _, short, _ = read(text, day_order=DayOrder.YEAR_FIRST)
    _, long, _ = read(chat(["13/05/2024"]), day_order=DayOrder.YEAR_FIRST)

    assert [str(record.at.date()) for record in short + long] == ["2024-05-13", "2024-05-14", "2024-05-13"]


@pytest.mark.parametrize(
    "header",
    [
        "10:05, 13 Mai 2015 - ",
        "10:05, 13 \u043c\u0430\u044f 2015 \u0433. - ",
        "13 maj 2015 10:05 - ",
        "13 de maig de 2015, 10:05 - ",
        "10:05, 13 \u0645\u0627\u064a\u0648 2015 - ",
        "13 \u05d1\u05de\u05d0\u05d9 2015, 10:05 - ",
        "10:05, 13 \u092e\u0908 2015 - ",
        "13 5\u6708 2015, 10:05 - ",
        "5\u6708 13, 2015, 10:05 - ",
        "5\uc6d4 13, 2015, \uc624\uc804 10:05 - ",
        "13 thg 5, 2015, 10:05 - ",
        "2015\u5e745\u670813\u65e5 10:05 - ",
        "5\u670813\u65e5 10:05 - ",
        "May 13, 10:05 AM - ",
        "13.5.2015 \u0433., 10:05 - ",
        "2015-05-13 \u00e0 10 h 05 - ",
        "[H27/5/13, 10:05:00] ",
        "\u06f2\u06f0\u06f1\u06f5/\u06f5/\u06f1\u06f3,\u200f \u06f1\u06f0:\u06f0\u06f5 \u0642.\u0638. - ",
        "13/5/2015, \u0bae\u0bc1\u0bb1\u0bcd\u0baa\u0b95\u0bb2\u0bcd 10:05 - ",
    ],
)
def test_a_header_of_any_language(header: str) -> None:
    _, records, doubts = read("".join(f"{header}Anna: {word}\n" for word in ("one", "two", "three")))

    assert [(str(record.at), record.author, record.body) for record in records] == [
        ("2015-05-13 10:05:00", "Anna", word) for word in ("one", "two", "three")
    ]
    assert doubts == []


def test_a_year_that_is_not_written_is_said_to_be_a_guess() -> None:
    assert any("guess" in reason for reason in surveyed(chat(["13 May"], "{}, 10:05 - Anna: hi\n")).reasons)
    named = surveyed("13 May, 10:05 - Anna: IMG-20140513-WA0001.jpg (file attached)\n")
    assert named.first.year == 2014


def test_words_and_numbers_are_no_header() -> None:
    _, records, _ = read("13 May 2015, 10:05 - Anna: hi\n13 apples 2015, 10:06 - or pears\n")

    assert [record.body for record in records] == ["hi\n13 apples 2015, 10:06 - or pears"]


def test_a_place_with_a_name_may_be_one_of_foursquare() -> None:
    url = "https://foursquare.com/v/4b"
    _, records, doubts = read(f"[21.05.24, 10:05:01] Anna: hi\r\n[21.05.24, 10:05:01] Anna: \u200ePier (Main St 4): {url}\r\n")

    assert records[-1].details == {"url": url, "name": "Pier", "address": "Main St 4"}
    assert doubts == []
