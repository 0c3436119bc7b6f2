"""Bookmarks and labels: one tenant's, on what the tenant has, twice without harm."""

from __future__ import annotations

import asyncio

import pytest

from services.archive.store import labels, marks, removal
from shared.db.pool import Pool
from tests.integration.archive.keeping import CLIENT, Keeping
from tests.support.archive_events import OTHER_TENANT, TENANT, received, revoked

UNKNOWN_ENTRY = "ent_" + "0" * 26
UNKNOWN_CONVERSATION = "cnv_" + "0" * 26


async def test_a_bookmark_is_put_changed_listed_and_taken_off(keep: Keeping) -> None:
    await keep.recorder.record([received("w1", "The price is 7"), received("w2", "no", seconds=1)])
    (conversation,) = await keep.conversations()
    first, second = await keep.entries(conversation)
    assert (await keep.ask("GET", f"/api/entries/{first}/bookmark"))[0] == 404
    status, made = await keep.ask("PUT", f"/api/entries/{first}/bookmark", {"note": "agreed"})
    assert (status, made["note"], made["created_by"], made["conversation_id"]) == (201, "agreed", CLIENT, conversation)
    status, again = await keep.ask("PUT", f"/api/entries/{first}/bookmark", {"note": "agreed"})
    assert (status, again) == (200, made)
    status, changed = await keep.ask("PUT", f"/api/entries/{first}/bookmark", {"note": "was agreed"})
    assert (status, changed["id"], changed["note"]) == (200, made["id"], "was agreed")
    assert (await keep.ask("PUT", f"/api/entries/{second}/bookmark"))[0] == 201
    status, page = await keep.ask("GET", "/api/bookmarks")
    assert [(one["entry_id"], one["note"], one["entry"]["preview"]) for one in page["data"]] == [
        (second, "", "no"),
        (first, "was agreed", "The price is 7"),
    ]
    assert await keep.ask("DELETE", f"/api/entries/{first}/bookmark") == (204, b"")
    assert (await keep.ask("DELETE", f"/api/entries/{first}/bookmark"))[0] == 404
    assert len((await keep.ask("GET", "/api/bookmarks"))[1]["data"]) == 1


async def test_two_at_once_make_one_bookmark(keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    (entry,) = await keep.entries((await keep.conversations())[0])
    answers = await asyncio.gather(*[keep.ask("PUT", f"/api/entries/{entry}/bookmark", {"note": str(n)}) for n in range(8)])
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({one["id"] for _, one in answers}) == 1


async def test_bookmarks_come_page_by_page_of_all_or_of_one_conversation(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", seconds=n, sender=f"+1555000000{n % 2}") for n in range(6)])
    newer, _ = await keep.conversations()
    for conversation in await keep.conversations():
        for entry in await keep.entries(conversation):
            await keep.ask("PUT", f"/api/entries/{entry}/bookmark")
    assert [len(page) for page in await keep.pages("/api/bookmarks", {"limit": "4"})] == [4, 2]
    pages = await keep.pages("/api/bookmarks", {"limit": "2", "conversation_id": newer})
    assert [len(page) for page in pages] == [2, 1]
    assert {one["conversation_id"] for page in pages for one in page} == {newer}
    _, page = await keep.ask("GET", "/api/bookmarks", query={"limit": "1"})
    status, problem = await keep.ask("GET", "/api/bookmarks", query={"cursor": page["next_cursor"], "conversation_id": newer})
    assert (status, problem["code"]) == (400, "cursor.invalid")


async def test_what_was_taken_back_is_not_shown_in_a_list(keep: Keeping) -> None:
    await keep.recorder.record([received("w1", "secret")])
    (entry,) = await keep.entries((await keep.conversations())[0])
    await keep.ask("PUT", f"/api/entries/{entry}/bookmark")
    await keep.ask("PUT", f"/api/entries/{entry}/labels/x")
    await keep.recorder.record([revoked("w1")])
    for path in ("/api/bookmarks", "/api/labels/x/entries"):
        (one,) = (await keep.ask("GET", path))[1]["data"]
        brief = one.get("entry", one)
        assert (brief["type"], brief["preview"]) == ("revoked", "")


async def test_labels_are_put_listed_counted_and_taken_off(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", f"text {n}", seconds=n) for n in range(3)])
    (conversation,) = await keep.conversations()
    entries = await keep.entries(conversation)
    for entry in entries[:2]:
        assert await keep.ask("PUT", f"/api/entries/{entry}/labels/To%20Do") == (204, b"")
        assert await keep.ask("PUT", f"/api/entries/{entry}/labels/to%20do") == (204, b"")
    assert (await keep.ask("PUT", f"/api/conversations/{conversation}/labels/vip"))[0] == 204
    assert (await keep.ask("PUT", f"/api/conversations/{conversation}/labels/to do"))[0] == 204
    assert (await keep.ask("GET", "/api/labels"))[1] == {
        "data": [{"label": "to do", "entries": 2, "conversations": 1}, {"label": "vip", "entries": 0, "conversations": 1}]
    }
    assert (await keep.ask("GET", f"/api/entries/{entries[0]}/labels"))[1] == {"labels": ["to do"]}
    assert (await keep.ask("GET", f"/api/entries/{entries[2]}/labels"))[1] == {"labels": []}
    assert (await keep.ask("GET", f"/api/conversations/{conversation}/labels"))[1] == {"labels": ["to do", "vip"]}
    pages = await keep.pages("/api/labels/to%20do/entries", {"limit": "1"})
    assert [one["id"] for page in pages for one in page] == [entries[1], entries[0]]
    assert [one["id"] for one in (await keep.ask("GET", "/api/labels/vip/conversations"))[1]["data"]] == [conversation]
    assert (await keep.ask("DELETE", f"/api/entries/{entries[0]}/labels/to do"))[0] == 204
    assert (await keep.ask("DELETE", f"/api/entries/{entries[0]}/labels/to do"))[0] == 404
    assert (await keep.ask("DELETE", f"/api/conversations/{conversation}/labels/to do"))[0] == 204
    assert (await keep.ask("DELETE", "/api/labels/to do"))[0] == 204
    assert (await keep.ask("DELETE", "/api/labels/to do"))[0] == 404
    assert [one["label"] for one in (await keep.ask("GET", "/api/labels"))[1]["data"]] == ["vip"]


async def test_labels_are_listed_page_by_page(keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    (conversation,) = await keep.conversations()
    (entry,) = await keep.entries(conversation)
    names = [f"label {n:02}" for n in range(7)]
    for name in names:
        await keep.ask(
            "PUT", f"/api/{'entries/' + entry if name[-1] in '135' else 'conversations/' + conversation}/labels/{name}"
        )
    pages = await keep.pages("/api/labels", {"limit": "3"})
    assert [[one["label"] for one in page] for page in pages] == [names[:3], names[3:6], names[6:]]


async def test_a_label_gets_another_name_also_one_that_is_there(keep: Keeping) -> None:
    await keep.recorder.record([received("w1"), received("w2", seconds=1)])
    (conversation,) = await keep.conversations()
    first, second = await keep.entries(conversation)
    for entry, label in ((first, "a"), (first, "b"), (second, "a")):
        await keep.ask("PUT", f"/api/entries/{entry}/labels/{label}")
    assert await keep.ask("PATCH", "/api/labels/a", {"label": "B"}) == (200, {"label": "b", "entries": 2, "conversations": 0})
    assert (await keep.ask("PATCH", "/api/labels/a", {"label": "c"}))[0] == 404
    assert (await keep.ask("PATCH", "/api/labels/b", {"label": "b"}))[0] == 200
    assert (await keep.ask("GET", f"/api/entries/{first}/labels"))[1] == {"labels": ["b"]}


async def test_many_at_once_and_once_for_a_key(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", seconds=n) for n in range(5)])
    (conversation,) = await keep.conversations()
    entries = await keep.entries(conversation)
    asked = {"add": ["New", "urgent"], "entry_ids": [*entries, UNKNOWN_ENTRY], "conversation_ids": [conversation]}
    answer = (200, {"entries": 5, "conversations": 1, "unknown": [UNKNOWN_ENTRY]})
    for _ in range(2):
        assert await keep.ask("POST", "/api/labels/bulk", asked, headers={"Idempotency-Key": "k"}) == answer
    status, _ = await keep.ask("POST", "/api/labels/bulk", {"remove": ["new"], "entry_ids": entries[:2], "add": ["old"]})
    assert status == 200
    _, page = await keep.ask("GET", "/api/labels")
    assert [(one["label"], one["entries"]) for one in page["data"]] == [("new", 3), ("old", 2), ("urgent", 5)]


async def test_they_go_with_their_entry(keep: Keeping) -> None:
    await keep.recorder.record([received("w1"), received("w2", seconds=1)])
    first, second = await keep.entries((await keep.conversations())[0])
    for entry in (first, second):
        await keep.ask("PUT", f"/api/entries/{entry}/bookmark")
        await keep.ask("PUT", f"/api/entries/{entry}/labels/x")
    moment = await keep.pool.fetchval("SELECT sent_at FROM entries WHERE id = $1", first)
    async with keep.pool.acquire() as connection, connection.transaction():
        await removal.remove(connection, [(first, moment)])
    assert [one["entry_id"] for one in (await keep.ask("GET", "/api/bookmarks"))[1]["data"]] == [second]
    assert [one["id"] for one in (await keep.ask("GET", "/api/labels/x/entries"))[1]["data"]] == [second]
    assert await keep.pool.fetchval("SELECT count(*) FROM bookmarks") == 1
    assert await keep.pool.fetchval("SELECT count(*) FROM entry_labels") == 1


@pytest.mark.parametrize("what", ["bookmark", "label"])
async def test_they_go_with_their_entry_even_if_they_are_put_just_then(what: str, keep: Keeping) -> None:
    """Else a note about somebody stays behind who was erased, and nobody finds it any more."""
    await keep.recorder.record([received("w1")])
    row = await keep.pool.fetchrow("SELECT id, sent_at FROM entries")
    assert row is not None

    async def remove() -> None:
        async with keep.pool.acquire() as connection, connection.transaction():
            await removal.remove(connection, [(row["id"], row["sent_at"])])

    async with asyncio.timeout(60), keep.pool.acquire() as putting, asyncio.TaskGroup() as group, putting.transaction():
        if what == "bookmark":
            assert await marks.put(putting, "bmk_1", TENANT, row["id"], "a note", None)
        else:
            assert await labels.label_entries(putting, TENANT, [row["id"]], ["x"], None)
        removing = group.create_task(remove())
        await _waits_or_ends(keep.pool, removing)
    assert await keep.pool.fetchval("SELECT count(*) FROM entries") == 0
    assert await keep.pool.fetchval("SELECT (SELECT count(*) FROM bookmarks) + (SELECT count(*) FROM entry_labels)") == 0


async def _waits_or_ends(pool: Pool, task: asyncio.Task[None]) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not task.done() and not await pool.fetchval(waiting):
        await asyncio.sleep(0.005)


async def test_tenants_see_and_change_nothing_of_each_other(keep: Keeping) -> None:
    await keep.recorder.record([received("w1"), received("w2", tenant=OTHER_TENANT, sender="+15550001111")])
    (conversation,) = await keep.conversations()
    (entry,) = await keep.entries(conversation)
    await keep.ask("PUT", f"/api/entries/{entry}/bookmark")
    await keep.ask("PUT", f"/api/entries/{entry}/labels/x")
    await keep.ask("PUT", f"/api/conversations/{conversation}/labels/x")
    for method, path, body in (
        ("PUT", f"/api/entries/{entry}/bookmark", {"note": "mine"}),
        ("GET", f"/api/entries/{entry}/bookmark", None),
        ("DELETE", f"/api/entries/{entry}/bookmark", None),
        ("PUT", f"/api/entries/{entry}/labels/x", None),
        ("GET", f"/api/entries/{entry}/labels", None),
        ("DELETE", f"/api/entries/{entry}/labels/x", None),
        ("PUT", f"/api/conversations/{conversation}/labels/x", None),
        ("GET", f"/api/conversations/{conversation}/labels", None),
        ("DELETE", f"/api/conversations/{conversation}/labels/x", None),
        ("PATCH", "/api/labels/x", {"label": "y"}),
        ("DELETE", "/api/labels/x", None),
    ):
        assert (await keep.ask(method, path, body, tenant=OTHER_TENANT))[0] == 404, (method, path)
    for path in ("/api/bookmarks", "/api/labels", "/api/labels/x/entries", "/api/labels/x/conversations"):
        assert await keep.ask("GET", path, tenant=OTHER_TENANT) == (200, {"data": []})
    assert (await keep.ask("GET", "/api/labels"))[1]["data"] == [{"label": "x", "entries": 1, "conversations": 1}]


BAD: tuple[tuple[str, str, object, int], ...] = (
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/bookmark", {}, 404),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/bookmark", {"note": "x" * 2_001}, 422),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/bookmark", {"note": "a\x00"}, 422),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/bookmark", {"noet": ""}, 422),
    ("PUT", "/api/entries/1/bookmark", {}, 404),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/labels/x", None, 404),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/labels/{'x' * 61}", None, 422),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/labels/%E2%80%AE", None, 422),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/labels/%00", None, 404),
    ("PUT", f"/api/entries/{UNKNOWN_ENTRY}/labels/%ED%A0%80", None, 404),
    ("PUT", f"/api/conversations/{UNKNOWN_CONVERSATION}/labels/x", None, 404),
    ("GET", f"/api/conversations/{UNKNOWN_CONVERSATION}/labels", None, 404),
    ("POST", "/api/labels/bulk", {"add": ["x"]}, 422),
    ("POST", "/api/labels/bulk", {"entry_ids": [UNKNOWN_ENTRY]}, 422),
    ("POST", "/api/labels/bulk", {"add": ["a/b"], "entry_ids": [UNKNOWN_ENTRY]}, 422),
    ("POST", "/api/labels/bulk", {"add": ["x"], "entry_ids": ["nonsense"]}, 422),
    ("POST", "/api/labels/bulk", {"add": ["x"], "entry_ids": [UNKNOWN_ENTRY] * 1_001}, 422),
    ("GET", "/api/bookmarks?conversation_id=1", None, 422),
    ("GET", "/api/bookmarks?cursor=x", None, 400),
    ("GET", "/api/labels?cursor=x", None, 400),
)


@pytest.mark.parametrize(("method", "path", "body", "status"), BAD)
async def test_bad_requests_are_refused(method: str, path: str, body: object, status: int, keep: Keeping) -> None:
    answered, problem = await keep.ask(method, path, body)
    assert answered == status, problem


async def test_lists_go_by_their_indexes(keep: Keeping) -> None:
    await keep.recorder.record([received("w1")])
    async with keep.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan")
        for query, given, index in (
            (marks.BOOKMARKS_PAGE, "1, now(), 'z', 50", "bookmarks_newest"),
            (marks.BOOKMARKS_OF_CONVERSATION_PAGE, "1, now(), 'z', 50, 'cnv'", "bookmarks_of_conversation"),
            (labels.LABELED_ENTRIES_PAGE, "1, 'x', now(), 'z', 50", "entry_labels_pkey"),
            (labels.LABELED_CONVERSATIONS_PAGE, "1, 'x', 9, 50", "conversation_labels_pkey"),
            (labels.LABELS_PAGE, "1, '', 50", "entry_labels_pkey"),
        ):
            await connection.execute(f"PREPARE guarded AS {query}")
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE guarded ({given})"))
            await connection.execute("DEALLOCATE guarded")
            assert index in plan, plan
            assert "Seq Scan" not in plan, plan
