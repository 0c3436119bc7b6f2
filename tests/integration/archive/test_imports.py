"""Imports: a file in, its entries out; twice, overlapping, canceled, taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.ids import new_id
from tests.integration.archive.importing import SECONDS, TOKEN, Importing, android, chat, importing
from tests.support.archive_events import OTHER_TENANT, TENANT
from tests.support.database import Database

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def archive(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Importing]:
    async with importing(database, redis_url, tmp_path / "objects") as archive:
        yield archive


async def test_a_file_becomes_a_conversation_that_is_read_and_found(archive: Importing) -> None:
    data = android(
        [
            (None, "Messages and calls are end-to-end encrypted. No one outside of this chat can read them."),
            ("Ana", "Where is the parcel?\nIt was to come today."),
            ("Bo", "<Media omitted>"),
            ("Ana", "This message was deleted"),
            ("Bo", 'A \\t tab\tand "quotes" \\. and \u0645\u0631\u062d\u0628\u0627'),
        ]
    )
    done = await archive.imported(data, file_name="WhatsApp Chat with Ana.txt", time_zone="America/Lima", me="Bo")
    assert done["state"] == "completed", done
    assert (done["entry_count"], done["known_count"], done["doubt_count"]) == (5, 0, 0)
    entries = await archive.entries(done["conversation_id"])
    assert [one["type"] for one in entries] == ["notice", "text", "media", "revoked", "text"]
    assert entries[1]["content"]["text"]["body"] == "Where is the parcel?\nIt was to come today."
    assert entries[1]["sent_at"].startswith("2024-05-21T14:01:00")
    assert [one["direction"] for one in entries[1:]] == ["incoming", "outgoing", "incoming", "outgoing"]
    assert entries[2]["media"]["lost"] == "not_exported"
    assert entries[4]["content"]["text"]["body"] == 'A \\t tab\tand "quotes" \\. and \u0645\u0631\u062d\u0628\u0627'
    found = await archive.get("/api/search", q="parcel")
    assert [hit["entry_id"] for hit in found["data"]] == [entries[1]["id"]]
    conversation = await archive.get(f"/api/conversations/{done['conversation_id']}")
    assert conversation["entry_count"] == 5
    assert conversation["last_entry"]["id"] == entries[4]["id"]


async def test_the_same_file_again_adds_nothing(archive: Importing) -> None:
    data = android(chat(300))
    first = await archive.imported(data, title="Ana")
    second = await archive.imported(data, title="ANA")
    assert second["conversation_id"] == first["conversation_id"]
    assert (first["entry_count"], second["entry_count"], second["known_count"]) == (300, 0, 300)
    assert len(await archive.entries(first["conversation_id"])) == 300


async def test_an_export_that_overlaps_adds_what_is_new(archive: Importing) -> None:
    whole = android(chat(300))
    lines = whole.splitlines(keepends=True)
    first = await archive.imported(b"".join(lines[:200]), title="Ana")
    second = await archive.imported(b"".join(lines[100:]), title="Ana")
    assert (second["entry_count"], second["known_count"]) == (100, 100)
    assert await archive.bodies(first["conversation_id"]) == [body for _, body in chat(300)]
    conversation = await archive.get(f"/api/conversations/{first['conversation_id']}")
    assert conversation["entry_count"] == 300


async def test_equal_messages_of_one_minute_are_kept_apart(archive: Importing) -> None:
    data = android([("Ana", "ok")] * 5 + [("Bo", "ok")] * 2, step=timedelta(seconds=1))
    done = await archive.imported(data)
    again = await archive.imported(data)
    assert (done["entry_count"], again["entry_count"], again["known_count"]) == (7, 0, 7)


async def test_undo_takes_away_what_only_that_import_brought(archive: Importing) -> None:
    lines = android(chat(300)).splitlines(keepends=True)
    first = await archive.imported(b"".join(lines[:200]), title="Ana")
    second = await archive.imported(b"".join(lines[100:]), title="Ana")

    status, undoing, _ = await archive.ask("POST", f"/api/imports/{first['id']}/undo")
    assert (status, undoing["state"] in {"undoing", "undone"}) == (200, True)
    undone = await archive.until(first["id"], "undone")
    assert undone["undone_count"] == 100
    assert await archive.bodies(first["conversation_id"]) == [body for _, body in chat(200, 100)]

    await archive.ask("POST", f"/api/imports/{second['id']}/undo")
    assert (await archive.until(second["id"], "undone"))["undone_count"] == 200
    assert (await archive.get("/api/search", q="message"))["data"] == []
    assert (await archive.get("/api/conversations"))["data"] == []

    again = await archive.imported(b"".join(lines), title="Ana")
    assert again["entry_count"] == 300


async def test_undo_of_the_later_one_leaves_the_earlier_whole(archive: Importing) -> None:
    lines = android(chat(300)).splitlines(keepends=True)
    first = await archive.imported(b"".join(lines[:200]), title="Ana")
    second = await archive.imported(b"".join(lines[100:]), title="Ana")
    await archive.ask("POST", f"/api/imports/{second['id']}/undo")
    assert (await archive.until(second["id"], "undone"))["undone_count"] == 100
    assert await archive.bodies(first["conversation_id"]) == [body for _, body in chat(200)]


async def test_a_preview_stores_nothing_until_it_is_started(archive: Importing) -> None:
    made = await archive.hand_over(android(chat(40)), title="Ana", preview="true")
    ready = await archive.until(made, "ready")
    preview = ready["preview"]
    assert (preview["platform"], preview["records"], preview["day_order"]) == ("android", 40, "day_first")
    assert {person["name"]: person["records"] for person in preview["people"]} == {"Ana": 20, "Bo": 20}
    assert preview["first_at"] == "2024-05-21T09:00:00"
    assert preview["day_order_reasons"]
    assert (await archive.get("/api/conversations"))["data"] == []

    status, _, _ = await archive.ask("POST", f"/api/imports/{made}/start", json={"me": ["Ana"], "title": "Ana and Bo"})
    assert status == 200
    done = await archive.until(made, "completed")
    entries = await archive.entries(done["conversation_id"])
    assert {one["direction"] for one in entries[::2]} == {"outgoing"}


async def test_day_order_can_be_overridden(archive: Importing) -> None:
    data = "".join(f"0{1 + number % 9}/05/2024, 09:00 - Ana: {number}\n" for number in range(9)).encode()
    made = await archive.hand_over(data, day_order="month_first")
    done = await archive.until(made, "completed")
    entries = await archive.entries(done["conversation_id"])
    assert [one["sent_at"][:10] for one in entries] == [f"2024-0{month}-05" for month in range(1, 10)]


async def test_what_is_no_export_is_refused_with_the_first_lines(archive: Importing) -> None:
    failed = await archive.imported(b"Dear diary,\nnothing happened.\n" * 100)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "import.not_an_export")
    assert "Dear diary" in failed["error"]["detail"]
    assert (await archive.get("/api/conversations"))["data"] == []


async def test_of_what_is_no_text_a_little_is_shown_and_nothing_raw(archive: Importing) -> None:
    failed = await archive.imported(bytes(range(1, 256)) * 40)
    detail = failed["error"]["detail"]
    assert failed["error"]["code"] == "import.not_an_export"
    assert detail.isprintable()
    assert "\\x01\\x02" in detail
    assert len(detail.partition("It begins: ")[2]) <= 80


async def test_lines_that_were_not_understood_are_reported(archive: Importing) -> None:
    good = android(chat(60)).decode().splitlines(keepends=True)
    data = "A title that a tool has added\n" + "".join(good[:30]) + "41/13/2024, 09:00 - Ana: impossible\n" + "".join(good[30:])
    done = await archive.imported(data.encode())
    assert done["doubt_count"] == 2
    first = await archive.get(f"/api/imports/{done['id']}/report", limit=1)
    second = await archive.get(f"/api/imports/{done['id']}/report", limit=1, cursor=first["next_cursor"])
    assert "next_cursor" not in second
    assert [(line["line"], line["reason"]) for line in first["data"] + second["data"]] == [
        (1, "preamble"),
        (32, "impossible_time"),
    ]
    assert second["data"][0]["text"].startswith("41/13/2024")


async def test_the_parts_of_a_file_are_sent_one_after_the_other(archive: Importing) -> None:
    data = android(chat(500))
    status, made, headers = await archive.ask("POST", "/api/imports", json={"file_name": "a.txt", "size_bytes": len(data)})
    assert (status, made["state"], headers["Location"]) == (201, "uploading", f"/api/imports/{made['id']}")
    url = made["upload_url"]
    third = len(data) // 3
    status, place, headers = await archive.ask("PATCH", url, data=data[:third], headers={"Upload-Offset": "0"})
    assert (status, place["offset"], headers["Upload-Offset"]) == (200, third, str(third))

    status, problem, headers = await archive.ask("PATCH", url, data=data[:third], headers={"Upload-Offset": "0"})
    assert (status, problem["code"], headers["Upload-Offset"]) == (409, "import.wrong_offset", str(third))
    _, _, headers = await archive.ask("HEAD", url)
    assert (headers["Upload-Offset"], headers["Upload-Length"]) == (str(third), str(len(data)))
    status, problem, _ = await archive.ask("PATCH", url, data=data, headers={"Upload-Offset": str(third)})
    assert (status, problem["code"]) == (422, "import.too_long")

    status, place, _ = await archive.ask("PATCH", url, data=data[third:], headers={"Upload-Offset": str(third)})
    assert (status, place["offset"]) == (200, len(data))
    assert (await archive.until(made["id"], "completed"))["entry_count"] == 500
    status, problem, _ = await archive.ask("PATCH", url, data=b"x", headers={"Upload-Offset": str(len(data))})
    assert (status, problem["code"]) == (409, "import.not_uploading")


async def test_a_file_of_unknown_size_ends_with_its_last_part(archive: Importing) -> None:
    data = android(chat(10))
    _, made, _ = await archive.ask("POST", "/api/imports", json={"file_name": "a.txt"})
    key = {"Idempotency-Key": "part-1", "Upload-Offset": "0"}
    for _ in range(2):  # the second one is a replay
        status, place, _ = await archive.ask("PATCH", made["upload_url"], data=data[:100], headers=key)
        assert (status, place["offset"]) == (200, 100)
    last = {"Upload-Offset": "100", "Upload-Complete": "?1"}
    status, place, _ = await archive.ask("PATCH", made["upload_url"], data=data[100:], headers=last)
    assert (status, place["state"]) == (200, "surveying")
    assert (await archive.until(made["id"], "completed"))["entry_count"] == 10


async def test_a_key_makes_one_import_of_a_file_that_is_sent_twice(archive: Importing) -> None:
    data = android(chat(10))
    answers = [await archive.ask("POST", "/api/imports", data=data, headers={"Idempotency-Key": "once"}) for _ in range(2)]
    assert answers[0][1]["id"] == answers[1][1]["id"]
    assert answers[1][2]["Idempotent-Replayed"] == "true"
    assert len((await archive.get("/api/imports"))["data"]) == 1


async def test_imports_are_listed_newest_first(archive: Importing) -> None:
    made = [await archive.hand_over(android(chat(3)), title=str(number)) for number in range(3)]
    first = await archive.get("/api/imports", limit=2)
    rest = await archive.get("/api/imports", limit=2, cursor=first["next_cursor"])
    assert [one["id"] for one in first["data"] + rest["data"]] == made[::-1]
    for one in made:
        await archive.until(one, "completed")


async def test_a_canceled_upload_takes_no_more_and_leaves_no_objects(archive: Importing) -> None:
    _, made, _ = await archive.ask("POST", "/api/imports", json={"file_name": "a.txt", "size_bytes": 1000})
    await archive.ask("PATCH", made["upload_url"], data=b"x" * 10, headers={"Upload-Offset": "0"})
    for _ in range(2):
        status, canceled, _ = await archive.ask("POST", f"/api/imports/{made['id']}/cancel")
        assert (status, canceled["state"]) == (200, "canceled")
    status, problem, _ = await archive.ask("PATCH", made["upload_url"], data=b"x", headers={"Upload-Offset": "10"})
    assert (status, problem["code"]) == (409, "import.not_uploading")
    status, problem, _ = await archive.ask("POST", f"/api/imports/{made['id']}/start")
    assert (status, problem["code"]) == (409, "import.not_ready")


async def test_another_tenant_sees_nothing_of_it(archive: Importing) -> None:
    done = await archive.imported(android(chat(3)))
    for method, path in (
        ("GET", ""),
        ("GET", "/file"),
        ("GET", "/report"),
        ("GET", "/events"),
        ("POST", "/start"),
        ("POST", "/cancel"),
        ("POST", "/undo"),
    ):
        status, problem, _ = await archive.ask(method, f"/api/imports/{done['id']}{path}", tenant=OTHER_TENANT)
        assert (status, problem["code"]) == (404, "import.unknown"), path
    status, problem, _ = await archive.ask(
        "POST", "/api/imports", data=b"x", query={"conversation_id": done["conversation_id"]}, tenant=OTHER_TENANT
    )
    assert (status, problem["code"]) == (422, "conversation.unknown")


async def test_a_chat_is_merged_into_the_conversation_of_a_number_and_a_contact(archive: Importing) -> None:
    number = new_id("num")
    data = android([("+51 987 654 321", "hello"), ("Shop", "good morning")])
    done = await archive.imported(data, number_id=number, contact="+51987654321")
    conversation = await archive.get(f"/api/conversations/{done['conversation_id']}")
    assert (conversation["number_id"], conversation["contact"]["phone"]) == (number, "+51987654321")
    assert [one["direction"] for one in await archive.entries(done["conversation_id"])] == ["incoming", "outgoing"]


async def test_events_tell_how_it_ends(archive: Importing) -> None:
    made = await archive.hand_over(android(chat(200)))
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": TENANT}
    url = f"{archive.url}/api/imports/{made}/events"
    async with asyncio.timeout(SECONDS), archive.session.get(url, headers=headers) as response:
        assert response.content_type == "text/event-stream"
        text = (await response.read()).decode()
    last = text.strip().split("\n\n")[-1]
    assert last.startswith("event: end\n")
    assert '"state":"completed"' in last


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"time_zone": "Mars/Base"}, "/time_zone"),
        ({"day_order": "sideways"}, "/day_order"),
        ({"number_id": "num_" + "0" * 26}, ""),
        ({"title": "a", "conversation_id": "cnv_" + "0" * 26}, ""),
        ({"conversation_id": "cnv_" + "0" * 26}, "/conversation_id"),
        ({"unknown": "1"}, "/unknown"),
        ({"file_name": ""}, "/file_name"),
        ({"title": "a\x00b"}, "/title"),
        ({"title": "a\x01b"}, "/title"),
        ({"title": "\U0001f600\u202eabc"}, "/title"),
        ({"time_zone": "localtime"}, "/time_zone"),
    ],
)
async def test_wishes_that_cannot_be_are_refused(archive: Importing, query: dict[str, str], pointer: str) -> None:
    status, problem, _ = await archive.ask("POST", "/api/imports", data=b"x", query=query)
    assert status == 422, problem
    assert problem["errors"][0]["pointer"] == pointer


async def test_an_empty_file_is_refused_and_leaves_nothing(archive: Importing) -> None:
    status, problem, _ = await archive.ask("POST", "/api/imports", data=b"")
    assert (status, problem["code"]) == (422, "import.empty")
    assert (await archive.get("/api/imports"))["data"] == []
