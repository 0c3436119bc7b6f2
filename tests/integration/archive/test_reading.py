"""Reading conversations over HTTP: in both directions, from any place, files, people, days, versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import chain
from typing import Any, Final

import pytest

from shared.db.pool import Pool, open_pool
from shared.events.values import DeliveryStatus
from shared.ids import new_id
from tests.integration.archive.reading import Reader, reader
from tests.support.archive_events import (
    OTHER_TENANT,
    PHONE,
    edited,
    message_id,
    received,
    released,
    reported,
    revoked,
    sent,
    text,
)
from tests.support.database import Database, cloned_database

NOBODY: Final = "ent_" + "0" * 26


@pytest.fixture
async def archive(pool: Pool, redis_url: str) -> AsyncIterator[Reader]:
    async with reader(pool, redis_url) as archive:
        yield archive


def said(page: Any) -> list[str]:
    return [entry["content"]["text"]["body"] for entry in page["data"]]


async def ten(archive: Reader) -> str:
    """A conversation of ten entries, three of them of one second; its path."""
    await archive.tell(*[received(f"w{n}", str(n), seconds=60 * n if n < 7 else 600) for n in range(10)])
    return f"/api/conversations/{(await archive.only_conversation())['id']}"


async def all_pages(archive: Reader, path: str, link: str = "next_cursor", **query: str) -> list[list[str]]:
    page = await archive.get(path, **query)
    pages = [said(page)]
    order = {name: query[name] for name in ("order", "limit") if name in query}
    while link in page:
        page = await archive.get(path, cursor=page[link], **order)
        pages.append(said(page))
        assert len(pages) < 20
    return pages


async def test_a_conversation_is_read_in_both_directions(archive: Reader) -> None:
    path = await ten(archive) + "/entries"
    up = [str(n) for n in range(10)]
    newest = await all_pages(archive, path, limit="4")
    assert [len(page) for page in newest] == [4, 4, 2]
    assert list(chain(*newest)) == up[::-1]
    oldest = await all_pages(archive, path, limit="4", order="oldest")
    assert list(chain(*oldest)) == up
    assert "previous_cursor" not in await archive.get(path, limit="4")
    assert "previous_cursor" not in await archive.get(path, limit="4", order="oldest")


async def test_one_can_turn_round_at_every_page(archive: Reader) -> None:
    path = await ten(archive) + "/entries"
    for order in ("newest", "oldest"):
        first = await archive.get(path, limit="4", order=order)
        second = await archive.get(path, limit="4", order=order, cursor=first["next_cursor"])
        back = await archive.get(path, limit="4", order=order, cursor=second["previous_cursor"])
        assert said(back) == said(first)
        assert "previous_cursor" not in back
        assert said(await archive.get(path, limit="4", order=order, cursor=back["next_cursor"])) == said(second)


async def test_jumping_to_a_moment(archive: Reader) -> None:
    path = await ten(archive) + "/entries"
    moment = "2026-11-20T12:03:00Z"  # the fourth one's
    page = await archive.get(path, limit="3", order="oldest", at=moment)
    assert said(page) == ["3", "4", "5"]
    assert said(await archive.get(path, limit="3", order="oldest", cursor=page["previous_cursor"])) == ["0", "1", "2"]
    page = await archive.get(path, limit="3", at=moment)
    assert said(page) == ["3", "2", "1"]
    assert said(await archive.get(path, limit="3", cursor=page["previous_cursor"])) == ["6", "5", "4"]
    before_all = await archive.get(path, at="2020-01-01T00:00:00+02:00")
    assert before_all["data"] == []
    assert said(await archive.get(path, limit="2", cursor=before_all["previous_cursor"])) == ["1", "0"]
    assert (await archive.get(path, order="oldest", at="2030-01-01T00:00:00Z"))["data"] == []


async def test_around_before_and_after_an_entry(archive: Reader) -> None:
    path = await ten(archive) + "/entries"
    ids = {entry["content"]["text"]["body"]: entry["id"] for entry in (await archive.get(path))["data"]}
    page = await archive.get(path, limit="5", around=ids["5"])
    assert said(page) == ["7", "6", "5", "4", "3"]
    assert said(await archive.get(path, limit="5", cursor=page["next_cursor"])) == ["2", "1", "0"]
    assert said(await archive.get(path, limit="2", cursor=page["previous_cursor"])) == ["9", "8"]
    assert said(await archive.get(path, limit="5", around=ids["9"], order="oldest")) == ["5", "6", "7", "8", "9"]
    assert said(await archive.get(path, limit="5", around=ids["0"])) == ["2", "1", "0"]
    assert said(await archive.get(path, limit="1", around=ids["4"])) == ["4"]
    assert said(await archive.get(path, limit="2", before=ids["8"])) == ["7", "6"]
    assert said(await archive.get(path, limit="2", after=ids["7"])) == ["9", "8"]
    assert said(await archive.get(path, limit="2", after=ids["3"])) == ["5", "4"]
    latest = await archive.get(path, after=ids["9"])
    assert latest["data"] == []
    await archive.tell(received("w10", "10", seconds=700))
    assert said(await archive.get(path, after=ids["9"])) == ["10"]


async def test_bad_questions_are_named(archive: Reader) -> None:
    path = await ten(archive)
    page = await archive.get(f"{path}/entries", limit="2")
    cursor = page["next_cursor"]
    for asked, query, status, code in (
        ("/entries", {"cursor": cursor, "order": "oldest"}, 400, "cursor.invalid"),
        ("/entries", {"cursor": "x"}, 400, "cursor.invalid"),
        ("/entries", {"cursor": cursor, "at": "2026-01-01T00:00:00Z"}, 422, "request.invalid"),
        ("/entries", {"at": "yesterday"}, 422, "request.invalid"),
        ("/entries", {"at": "0001-01-01T00:00:00+14:00"}, 422, "request.invalid"),
        ("/entries", {"around": NOBODY}, 404, "entry.unknown"),
        ("/entries", {"around": "ent_1"}, 422, "request.invalid"),
        ("/entries", {"order": "best"}, 422, "request.invalid"),
        ("/media", {"kind": "song"}, 422, "request.invalid"),
        ("/media", {"month": "2026-13"}, 422, "request.invalid"),
        ("/media", {"cursor": cursor}, 400, "cursor.invalid"),
        ("/calendar", {"time_zone": "Mars/Olympus"}, 422, "request.invalid"),
        ("/calendar", {"year": "10000"}, 422, "request.invalid"),
        ("/media/months", {"time_zone": "\x00"}, 422, "request.invalid"),
    ):
        answered, problem, _ = await archive.ask(path + asked, query)
        assert (answered, problem["code"]) == (status, code), (asked, query)
    for at in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        await archive.get(f"{path}/entries", at=at)


async def test_an_entry_and_what_it_said_before(archive: Reader) -> None:
    path = await ten(archive)
    await archive.tell(edited("w3", "three", seconds=300), edited("w3", "drei", seconds=400))
    entry = next(one for one in (await archive.get(f"{path}/entries"))["data"] if one["content"] == text("drei"))
    assert await archive.get(f"/api/entries/{entry['id']}") == entry
    versions = f"/api/entries/{entry['id']}/versions"
    assert (await archive.get(versions))["data"] == [
        {"said_at": "2026-11-20T12:05:00Z", "content": text("three")},
        {"said_at": entry["sent_at"], "content": text("3")},
    ]
    first = await archive.get(versions, limit="1")
    assert said(first) == ["three"]
    second = await archive.get(versions, limit="1", cursor=first["next_cursor"])
    assert (said(second), "next_cursor" in second) == (["3"], False)
    await archive.tell(revoked("w3", seconds=500))
    assert await archive.get(versions) == {"data": []}
    for asked in (f"/api/entries/{entry['id']}", versions, f"/api/entries/{NOBODY}"):
        tenant = OTHER_TENANT
        status, problem, _ = await archive.ask(asked, tenant=tenant)
        assert (status, problem["code"]) == (404, "entry.unknown")


async def test_files_by_kind_and_month(archive: Reader) -> None:
    day = 86_400
    await archive.tell(
        *[received(f"i{n}", content={"type": "image", "image": {"id": "1"}}, seconds=n) for n in range(3)],
        received("v", content={"type": "video", "video": {"id": "2"}}, seconds=20 * day),
        received("t", "no file", seconds=9),
        received("d", content={"type": "document", "document": {"id": "3", "filename": "a.pdf"}}, seconds=day),
    )
    await archive.tell(revoked("i1", seconds=90))
    path = f"/api/conversations/{(await archive.only_conversation())['id']}/media"
    assert [entry["type"] for entry in (await archive.get(path))["data"]] == ["video", "document", "image", "image"]
    assert [entry["type"] for entry in (await archive.get(path, month="2026-11"))["data"]] == ["document", "image", "image"]
    assert [entry["type"] for entry in (await archive.get(path, kind="video"))["data"]] == ["video"]
    seen, query = [], {"limit": "2", "month": "2026-11"}
    while True:
        page = await archive.get(path, **query)
        seen += [entry["type"] for entry in page["data"]]
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ["document", "image", "image"]
    months = (await archive.get(f"{path}/months"))["data"]
    assert months[0] == {"month": "2026-12", "kinds": {"video": 1}}
    assert months[1]["month"] == "2026-11"
    assert months[1]["kinds"]["document"] == 1


async def test_the_days_that_have_entries(archive: Reader) -> None:
    hour = 3_600
    await archive.tell(*[received(f"w{n}", seconds=n * 6 * hour) for n in range(4)])  # 12:00, 18:00, 0:00, 6:00
    path = f"/api/conversations/{(await archive.only_conversation())['id']}/calendar"
    days = {"2026-11-20": 2, "2026-11-21": 2}
    assert {day["date"]: day["entries"] for day in (await archive.get(path))["data"]} == days
    in_lima = (await archive.get(path, time_zone="America/Lima"))["data"]  # 7:00, 13:00, 19:00, 1:00
    assert in_lima == [{"date": "2026-11-21", "entries": 1}, {"date": "2026-11-20", "entries": 3}]
    assert (await archive.get(path, year="2026"))["data"] != []
    assert (await archive.get(path, year="2025"))["data"] == []


async def test_lists_are_narrowed(archive: Reader) -> None:
    await archive.tell(
        received("a", sender="+15550000001", name="Ána"),
        received("b", sender="+15550000002", name="Bob", seconds=1),
        received("g", sender="+15550000003", name="Cleo", seconds=2, group_id="family"),
        released(message_id(), to="+15550000004", seconds=3),
    )

    async def found(**query: str) -> list[str]:
        rows = (await archive.get("/api/conversations", **query))["data"]
        return [row.get("group_id") or row["contact"]["phone"][-1] for row in rows]

    assert await found() == ["4", "family", "2", "1"]
    assert await found(kind="group") == ["family"]
    assert await found(kind="contact") == ["4", "2", "1"]
    assert await found(kind="chat") == []
    assert await found(unread="true") == ["family", "2", "1"]
    assert await found(unread="false") == ["4"]
    assert await found(q="BO") == ["2"]
    assert await found(q="0000001") == ["1"]
    assert await found(number_id=new_id("num")) == []
    assert (await archive.ask("/api/conversations", {"kind": "crowd"}))[0] == 422
    page = await archive.get("/api/conversations", kind="contact", limit="2")
    rest = await archive.get("/api/conversations", kind="contact", limit="2", cursor=page["next_cursor"])
    assert [row["contact"]["phone"][-1] for row in rest["data"]] == ["1"]
    assert (await archive.ask("/api/conversations", {"kind": "group", "cursor": page["next_cursor"]}))[0] == 400


async def test_names_are_found_in_any_case_of_any_script(archive: Reader) -> None:
    await archive.tell(received("w1", "word", seconds=1))
    conversation = await archive.only_conversation()
    for title, parts in (
        ("Élan ÑANDÚ", ("Élan", "élan", "ÉLAN", "ñandú", "ÑAndÚ")),
        ("Казань ΟΔΟΣ", ("казань", "КАЗ", "Οδοσ", "οδοΣ")),
    ):
        await archive.ask(f"/api/conversations/{conversation['id']}", method="PATCH", body={"title": title})
        for part in parts:
            assert len((await archive.get("/api/conversations", q=part))["data"]) == 1, part
        assert (await archive.get("/api/conversations", q="elan"))["data"] == []


async def test_a_conversation_is_given_a_title(archive: Reader) -> None:
    path = await ten(archive)
    status, changed, _ = await archive.ask(path, method="PATCH", body={"title": "The house"})
    assert (status, changed["title"]) == (200, "The house")
    assert (await archive.get(path))["title"] == "The house"
    assert [row["title"] for row in (await archive.get("/api/conversations", q="house"))["data"]] == ["The house"]
    key = {"Idempotency-Key": "once"}
    first = await archive.ask(path, method="PATCH", body={"title": "Other"}, headers=key)
    again = await archive.ask(path, method="PATCH", body={"title": "Other"}, headers=key)
    assert (first[1], again[1], again[2]["Idempotent-Replayed"]) == (again[1], first[1], "true")
    assert "title" not in (await archive.ask(path, method="PATCH", body={"title": None}))[1]
    for body in ({}, {"title": ""}, {"title": " "}, {"title": "x" * 201}, {"title": "a\x00"}, {"title": 1}, {"name": "x"}):
        assert (await archive.ask(path, method="PATCH", body=body))[0] == 422, body
    status, problem, _ = await archive.ask(path, method="PATCH", body={"title": "x"}, tenant=OTHER_TENANT)
    assert (status, problem["code"]) == (404, "conversation.unknown")


async def test_who_speaks_in_a_conversation_of_two(archive: Reader) -> None:
    await archive.tell(received("w1"), received("w2", seconds=1), released(message_id(), seconds=2))
    path = f"/api/conversations/{(await archive.only_conversation())['id']}/participants"
    contact, business = (await archive.get(path))["data"]
    assert (contact["address"], contact["name"], contact["is_business"], contact["entry_count"]) == (PHONE, "Ana", False, 2)
    assert (business["is_business"], business["entry_count"]) == (True, 1)
    assert "id" not in contact


async def test_saying_that_a_participant_is_us_turns_what_they_said(archive: Reader) -> None:
    await archive.tell(
        received("w1", "one", sender="+1555", name="Ana", group_id="g"),
        received("w2", "two", sender="+1666", name="Bob", group_id="g", seconds=1),
        received("w3", "three", sender="+1555", name="Ana", group_id="g", seconds=2),
    )
    path = f"/api/conversations/{(await archive.only_conversation())['id']}"
    ana, bob = (await archive.get(f"{path}/participants"))["data"]
    assert [(one["name"], one["address"], one["entry_count"]) for one in (ana, bob)] == [
        ("Ana", "+1555", 2),
        ("Bob", "+1666", 1),
    ]
    entries = (await archive.get(f"{path}/entries"))["data"]
    assert [entry["author"]["name"] for entry in entries] == ["Ana", "Bob", "Ana"]

    one = f"{path}/participants/{ana['id']}"
    status, changed, _ = await archive.ask(one, method="PATCH", body={"is_business": True, "name": "Anita"})
    assert (status, changed["is_business"], changed["name"]) == (200, True, "Anita")
    assert archive.turnings
    await archive.turn_all()
    entries = (await archive.get(f"{path}/entries"))["data"]
    assert [(entry["author"]["name"], entry["direction"]) for entry in entries] == [
        ("Anita", "outgoing"),
        ("Bob", "incoming"),
        ("Anita", "outgoing"),
    ]
    assert (await archive.only_conversation())["last_entry"]["direction"] == "outgoing"
    await archive.tell(received("w4", "four", sender="+1555", name="Ana B.", group_id="g", seconds=3))
    assert (await archive.get(f"{path}/participants"))["data"][0]["name"] == "Anita"
    await archive.ask(one, method="PATCH", body={"is_business": False})
    await archive.turn_all()
    assert {entry["direction"] for entry in (await archive.get(f"{path}/entries"))["data"]} == {"incoming"}
    for body in ({}, {"name": ""}, {"name": None}, {"is_business": "yes"}, {"id": "x"}):
        assert (await archive.ask(one, method="PATCH", body=body))[0] == 422, body
    unknown = f"{path}/participants/prt_{'0' * 26}"
    assert (await archive.ask(unknown, method="PATCH", body={"name": "x"}))[1]["code"] == "participant.unknown"


async def test_other_tenants_read_nothing(archive: Reader) -> None:
    path = await ten(archive)
    for asked in ("", "/entries", "/media", "/media/months", "/participants", "/calendar"):
        assert (await archive.ask(path + asked))[0] == 200  # and is kept from now on
        status, problem, _ = await archive.ask(path + asked, tenant=OTHER_TENANT)
        assert (status, problem["code"]) == (404, "conversation.unknown"), asked
    assert await archive.get("/api/conversations", OTHER_TENANT) == {"data": []}


async def test_how_far_messages_got_is_shown_as_soon_as_it_is_told(archive: Reader) -> None:
    message = message_id()
    await archive.tell(released(message))
    path = f"/api/conversations/{(await archive.only_conversation())['id']}/entries"

    async def status() -> str:
        (entry,) = (await archive.get(path))["data"]
        return str(entry["status"])

    assert [await status(), await status()] == ["queued", "queued"]
    await archive.tell(sent(message, "wamid.1"))
    assert await status() == "sent"
    for number, told in enumerate((DeliveryStatus.DELIVERED, DeliveryStatus.READ)):
        await archive.tell(reported(message, "wamid.1", told, seconds=number + 1))
        assert await status() == told.value


async def test_what_a_replica_does_not_have_yet_can_be_opened(
    archive: Reader, database: Database, pool: Pool, redis_url: str
) -> None:
    """Another database of the same server is a replica that lies far behind."""
    await archive.tell(received("w1", "word", seconds=1))
    path = f"/api/conversations/{(await archive.only_conversation())['id']}"
    async with (
        cloned_database(database.admin_url, database.role_password) as behind,
        open_pool(behind.settings_for("archive"), "archive") as replica,
        reader(pool, redis_url, replica=replica) as far,
    ):
        (entry,) = (await far.get(f"{path}/entries"))["data"]
        assert await far.get(f"/api/entries/{entry['id']}") == entry
        assert await far.get(f"/api/entries/{entry['id']}/versions") == {"data": []}
        assert await far.get(f"{path}/media") == {"data": []}
        assert (await far.ask(f"/api/entries/{NOBODY}"))[0] == 404
        assert (await far.ask(f"/api/conversations/cnv_{'0' * 26}/media"))[0] == 404
