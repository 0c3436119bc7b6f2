"""Exports: what was recorded comes out in every form, whole, once, and only to whom it belongs."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from services.archive.exports import html_book
from services.archive.store import exports as store
from tests.integration.archive.keeping import Keeping, one_conversation
from tests.support.archive_events import (
    OTHER_TENANT,
    PHONE,
    TENANT,
    message_id,
    received,
    released,
    stored,
)
from tests.support.files import PNG


async def filed(keep: Keeping, data: bytes = PNG) -> None:
    """The photo, where the gateway keeps it."""

    async def parts() -> AsyncIterator[bytes]:
        yield data

    await keep.objects.put(f"media/{TENANT}/med_" + "0" * 26, parts())


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_ndjson_has_everything(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    status, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query={"format": "ndjson"})
    assert status == 200
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["type"] for line in lines] == ["text", "text", "image", "text", "revoked"]
    assert [line["author"] for line in lines] == ["Ana", "You", "Ana", "Ana", "Ana"]
    assert lines[0]["address"] == PHONE
    assert (lines[1]["status"], lines[1]["provider_id"]) == ("sent", "wamid.out")
    assert (lines[3]["text"], lines[3]["edited_at"]) == ("as edited", "2026-11-21T12:01:40Z")
    assert lines[4]["content"] == {"type": "revoked"}
    assert b"secret" not in data


async def test_csv_is_a_table_in_local_times(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    query = {"format": "csv", "time_zone": "Asia/Tokyo", "me": "Shop"}
    _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query=query)
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert [row["author"] for row in rows] == ["Ana", "Shop", "Ana", "Ana", "Ana"]
    assert rows[0]["sent_at"] == "2026-11-20T21:00:00+09:00"
    assert rows[1]["text"] == "On its way,\n*soon*"
    assert rows[2]["text"] == "'=the door"
    assert rows[0]["address"] == f"'{PHONE}"


async def test_whatsapps_text_is_what_it_writes_itself(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query={"format": "whatsapp"})
    assert data.decode() == (
        "[2026-11-20, 12:00:00] Ana: Where is my <b>parcel</b>?\r\n"
        "[2026-11-20, 12:01:00] You: On its way,\n*soon*\r\n"
        "\u200e[2026-11-21, 12:00:00] Ana: =the door \u200eimage omitted\r\n"
        "[2026-11-21, 12:00:01] Ana: as edited \u200e<This message was edited>\r\n"
        "[2026-11-21, 12:00:02] Ana: \u200eThis message was deleted.\r\n"
    )


async def test_html_is_a_book_of_pages(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_book, "PAGE_ENTRIES", 2)
    conversation = await one_conversation(keep)
    _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query={"format": "html"})
    pages = unzipped(data)
    assert list(pages) == ["00001.html", "00002.html", "00003.html", "index.html"]
    first, second, third, index = (page.decode() for page in pages.values())
    assert "&lt;b&gt;parcel&lt;/b&gt;" in first
    assert "<b>soon</b>" in first
    assert 'href="00002.html"' in first
    assert 'href="00001.html"' in second
    assert 'href="00003.html"' in second
    assert 'href="00004.html"' not in third
    assert "This message was deleted" in third
    assert 'href="00001.html#m2026-11"' in index
    assert "5 messages" in index
    assert "<script" not in first + second + third + index
    for name in re.findall(r'href="([^"#]+)', first + second + third + index):
        assert name in pages


@pytest.mark.parametrize("form", ["ndjson", "csv", "html", "whatsapp"])
async def test_files_stand_beside_what_names_them(form: str, keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    await filed(keep)
    query = {"format": form, "with_media": "true"}
    _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query=query)
    members = unzipped(data)
    (name,) = [name for name in members if name.endswith(".jpg")]
    assert members[name] == PNG
    assert name.rpartition("/")[2] == "00000003-PHOTO-2026-11-21-12-00-00.jpg"
    text = b"".join(body for member, body in members.items() if member != name).decode()
    assert (f"<attached: {name}>" if form == "whatsapp" else name) in text


async def test_a_file_that_is_gone_is_said_to_be(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    export, data = await keep.exported({"format": "whatsapp", "conversation_id": conversation, "with_media": True})
    assert (export["media"], export["media_missing"]) == (0, 1)
    assert "image omitted" in unzipped(data)["_chat.txt"].decode()


async def test_a_file_that_came_before_stands_under_its_first_key(keep: Keeping) -> None:
    await filed(keep)
    image = {"type": "image", "image": {"id": "1"}}
    await keep.recorder.record([received("w1", content=image), received("w2", content=image, seconds=1)])
    first = "med_" + "0" * 26
    await keep.recorder.record([stored("w1", first), stored("w2", "med_" + "1" * 26, object_key=f"media/{TENANT}/{first}")])
    export, data = await keep.exported({"format": "html", "everything": True, "with_media": True})
    assert (export["media"], export["media_missing"]) == (2, 0)
    assert [body for name, body in unzipped(data).items() if name.endswith(".jpg")] == [PNG, PNG]


async def test_names_can_be_hidden(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    for form in ("ndjson", "csv", "whatsapp"):
        query = {"format": form, "hide_names": "true"}
        _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query=query)
        assert b"Person 1" in data
        assert b"Ana" not in data
        assert PHONE.encode() not in data
        assert b"wamid" not in data


async def test_only_a_part_of_the_time(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    query = {"format": "ndjson", "from": "2026-11-20T12:01:00Z", "to": "2026-11-21T12:00:01Z"}
    _, data = await keep.ask("GET", f"/api/conversations/{conversation}/export", query=query)
    assert [json.loads(line)["type"] for line in data.splitlines()] == ["text", "image"]


async def test_an_export_is_made_read_in_parts_and_listed(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    export, data = await keep.exported({"format": "ndjson", "conversation_id": conversation})
    assert (export["entries"], export["size_bytes"], export["mime_type"]) == (5, len(data), "application/x-ndjson")
    assert (export["conversation_id"], export["created_by"]) == (conversation, "client-1")
    path = f"/api/exports/{export['id']}/file"
    assert await keep.ask("GET", path, headers={"Range": "bytes=5-9"}) == (206, data[5:10])
    async with keep.session.get(keep.url + path, headers=keep.headers()) as response:
        assert response.headers["Content-Disposition"].startswith("attachment")
        etag = response.headers["ETag"]
    assert (await keep.ask("GET", path, headers={"If-None-Match": etag}))[0] == 304
    assert [one["id"] for one in (await keep.ask("GET", "/api/exports"))[1]["data"]] == [export["id"]]
    assert (await keep.ask("GET", f"/api/exports/{export['id']}", tenant=OTHER_TENANT))[0] == 404
    assert (await keep.ask("GET", path, tenant=OTHER_TENANT))[0] == 404
    assert (await keep.ask("GET", "/api/exports", tenant=OTHER_TENANT))[1] == {"data": []}


async def test_everything_in_every_form(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", f"text {n}", seconds=n, sender=f"+1555000000{n % 3}") for n in range(9)])
    await keep.recorder.record([received("x", "not yours", tenant=OTHER_TENANT, sender="+15559999999")])
    for form in ("ndjson", "csv"):
        _, data = await keep.exported({"format": form, "everything": True})
        assert [number for number in range(9) if f"text {number}".encode() in data] == list(range(9))
        assert b"not yours" not in data
    export, data = await keep.exported({"format": "html", "everything": True})
    pages = unzipped(data)
    assert {"index.html", "c000001/index.html", "c000003/00001.html"} <= set(pages)
    assert pages["index.html"].count(b"<tr>") == 3
    assert export["entries"] == 9
    _, data = await keep.exported({"format": "whatsapp", "everything": True})
    assert [name.rpartition("/")[2] for name in unzipped(data)] == ["_chat.txt"] * 3


async def test_the_list_of_conversations_is_paged_too(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_book, "LIST_ROWS", 2)
    await keep.recorder.record([received(f"w{n}", seconds=n, sender=f"+1555000000{n}") for n in range(5)])
    _, data = await keep.exported({"format": "html", "everything": True})
    pages = unzipped(data)
    assert [name for name in pages if name.startswith("conversations")] == [f"conversations-000{n}.html" for n in (1, 2, 3)]
    assert pages["index.html"].count(b"<tr>") == 3


@pytest.mark.parametrize(
    ("search", "texts"),
    [
        ({"q": "parcel"}, ["A parcel came", "My PARCEL", "parcel lost, old parcel"]),
        ({"q": '"old parcel"'}, ["parcel lost, old parcel"]),
        ({"q": "parcel", "direction": "outgoing"}, ["My PARCEL"]),
        ({"q": "parc*", "label": "Mine"}, ["A parcel came"]),
        ({"label": "mine"}, ["A parcel came", "nothing"]),
        ({"direction": "outgoing"}, ["My PARCEL"]),
        ({"type": "image"}, ["the photo"]),
        ({"has_media": True}, ["the photo"]),
        ({"q": "absent"}, []),
    ],
)
async def test_a_search_comes_out_in_the_order_of_time(search: dict[str, Any], texts: list[str], keep: Keeping) -> None:
    month = 31 * 86_400
    await keep.recorder.record(
        [
            received("w1", "A parcel came", seconds=-3 * month),
            released(message_id(), "My PARCEL", seconds=-month),
            received("w2", "nothing", seconds=0),
            received("w3", "parcel lost, old parcel", seconds=2 * month, sender="+15550002222"),
            received("w4", content={"type": "image", "image": {"caption": "the photo"}}, seconds=5),
            received("w5", "parcel of others", tenant=OTHER_TENANT),
        ]
    )
    for entry in await keep.pool.fetch("SELECT id FROM entries WHERE wamid IN ('w1', 'w2')"):
        await keep.ask("PUT", f"/api/entries/{entry['id']}/labels/mine")
    _, data = await keep.exported({"format": "ndjson", "search": search})
    assert [json.loads(line)["text"] for line in data.splitlines()] == texts


async def test_a_search_for_what_one_person_said_and_what_a_team_put_on_it(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", f"word {n}", seconds=n) for n in range(4)])
    (conversation,) = await keep.conversations()
    first, second, *_ = await keep.entries(conversation)
    ana = "prt_" + "1" * 26
    number = await keep.pool.fetchval(
        "INSERT INTO participants (id, tenant_no, conversation_no, key, name)"
        " SELECT $1, tenant_no, conversation_no, 'name:ana', 'Ana' FROM search_rows LIMIT 1 RETURNING participant_no",
        ana,
    )
    for table, key in (("search_rows", "entry_id"), ("entries", "id")):
        await keep.pool.execute(f"UPDATE {table} SET author_no = $1 WHERE {key} = ANY ($2)", number, [first, second])  # noqa: S608
    await keep.ask("PUT", f"/api/entries/{second}/bookmark", {"note": "this one"})
    await keep.ask("PUT", f"/api/entries/{second}/labels/door")
    asked = {"format": "ndjson", "search": {"q": "word", "participant_id": ana}}
    export, data = await keep.exported(asked)
    lines = [json.loads(line) for line in data.splitlines()]
    assert [(line["text"], line["author"]) for line in lines] == [("word 0", "Ana"), ("word 1", "Ana")]
    assert [(line.get("bookmark"), line.get("labels")) for line in lines] == [(None, None), ({"note": "this one"}, ["door"])]
    assert export["search"] == {"q": "word", "participant_id": ana, "has_media": False}
    await keep.recorder.record([received("x", "word", tenant=OTHER_TENANT, sender="+15559999999")])
    status, problem = await keep.ask("POST", "/api/exports", asked, tenant=OTHER_TENANT)
    assert (status, problem["code"]) == (404, "participant.unknown")


async def test_a_search_within_a_conversation_and_a_time_as_a_page(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", f"word {n}", seconds=n, sender=f"+1555000000{n % 2}") for n in range(6)])
    newest, _ = await keep.conversations()
    asked = {
        "format": "html",
        "search": {"q": "word", "conversation_id": newest},
        "from": "2026-11-20T12:00:02Z",
    }
    export, data = await keep.exported(asked)
    page = unzipped(data)["00001.html"].decode()
    assert export["entries"] == 2
    assert "word 3" in page
    assert "word 5" in page
    assert "word 1" not in page
    assert export["search"] == {"q": "word", "conversation_id": newest, "has_media": False}


async def test_what_comes_while_an_export_is_read_is_not_in_it(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "PREFETCH", 2)
    await keep.recorder.record([received(f"w{n}", f"text {n}", seconds=n) for n in range(6)])
    (conversation,) = await keep.conversations()
    texts = []
    async with store.snapshot(keep.pool) as connection:
        async for rows in store.entries(
            connection, conversation, datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
        ):
            assert len(rows) == 2
            texts += [json.loads(row["content"])["text"]["body"] for row in rows]
            await keep.recorder.record([received(f"late {len(texts)}", "late", seconds=len(texts) + 0.5)])
    assert texts == [f"text {n}" for n in range(6)]


async def test_a_large_month_may_take_longer_than_what_somebody_waits_for(keep: Keeping) -> None:
    async with store.snapshot(keep.pool) as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "1min"
    assert await keep.pool.fetchval("SHOW statement_timeout") == "5s"


async def test_a_stream_that_breaks_is_seen_to_be_broken(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.archive.routes import exports as routes  # noqa: PLC0415  # patched

    conversation = await one_conversation(keep)

    async def broken(*_: Any) -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ValueError

    monkeypatch.setattr(routes, "write", broken)
    with pytest.raises(aiohttp.ClientPayloadError):
        await keep.ask("GET", f"/api/conversations/{conversation}/export", query={"format": "csv"})


async def test_rows_come_as_they_are_read(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", f"word {n}", seconds=n * 86_400 * 40) for n in range(4)])
    async with store.snapshot(keep.pool) as connection:
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        for query, given, index in (
            (store.EXPORTED_ENTRIES, "'cnv', '2000-01-01', '2030-01-01'", "conversation_id_sent_at_id_idx"),
            (store.EXPORTED_CONVERSATIONS, "'tnt'", "conversations_newest"),
            (store.NEXT_FOUND_MONTH, "1, '2000-01-01'", "search_rows_by_tenant"),
        ):
            await connection.execute(f"PREPARE guarded AS {query}")
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE guarded ({given})"))
            await connection.execute("DEALLOCATE guarded")
            assert index in plan, plan
            assert "Sort" not in plan, plan
            assert "Hash" not in plan, plan
            assert "Seq Scan on entries" not in plan, plan
