"""Exports that are made beside the requests: canceled, given back, made anew, expired, and only such as can be made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.archive.exports import work
from services.archive.exports.write import write
from services.archive.store import exports as store
from services.archive.tenants import Tenants
from shared.clock import SystemClock
from shared.ids import new_id
from shared.telemetry.metrics import Metrics
from tests.integration.archive.keeping import TOKEN, Keeping, one_conversation
from tests.support.archive_events import OTHER_TENANT, TENANT, received

UNKNOWN = "cnv_" + "0" * 26


async def test_a_key_makes_one_export(keep: Keeping) -> None:
    asked = {"format": "csv", "everything": True}
    answers = [await keep.ask("POST", "/api/exports", asked, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len((await keep.ask("GET", "/api/exports"))[1]["data"]) == 1


async def test_a_canceled_export_is_not_made(keep: Keeping) -> None:
    _, made = await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True})
    status, canceled = await keep.ask("POST", f"/api/exports/{made['id']}/cancel")
    assert (status, canceled["state"]) == (200, "canceled")
    assert (await keep.ask("POST", f"/api/exports/{made['id']}/cancel"))[0] == 200
    assert not await keep.worker.work()
    status, problem = await keep.ask("GET", f"/api/exports/{made['id']}/file")
    assert (status, problem["code"]) == (409, "export.not_completed")


async def test_an_export_that_is_canceled_while_it_is_made_leaves_nothing(
    keep: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one_conversation(keep)
    monkeypatch.setattr(work, "HEARTBEAT_SECONDS", 0.01)
    begun = asyncio.Event()

    async def endless(*_: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024
            begun.set()
            await asyncio.sleep(0.001)

    monkeypatch.setattr(work, "write", endless)
    _, made = await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True})
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        working = group.create_task(keep.worker.work())
        await begun.wait()
        assert (await keep.ask("POST", f"/api/exports/{made['id']}/cancel"))[0] == 200
        assert await working
    await keep.expire()
    assert keep.files() == []


async def queue(keep: Keeping, *exports: tuple[str, str]) -> None:
    """Exports of tenants, in the order they were asked for."""
    for place, (export_id, tenant) in enumerate(exports):
        await keep.pool.execute(
            """
            INSERT INTO exports (id, tenant_id, format, scope, state, created_at)
            VALUES ($1, $2, 'csv', '{}', 'queued', now() - interval '1 hour' + make_interval(secs => $3))
            """,
            export_id,
            tenant,
            place,
        )


async def claimed(keep: Keeping) -> str:
    row = await store.claim(keep.pool, lease_seconds=60)
    assert row is not None
    return str(row["id"])


async def test_no_tenant_waits_for_all_that_another_asked_for(keep: Keeping) -> None:
    await queue(
        keep, ("exp_a1", TENANT), ("exp_a2", TENANT), ("exp_a3", TENANT), ("exp_b1", OTHER_TENANT), ("exp_b2", OTHER_TENANT)
    )
    assert [await claimed(keep) for _ in range(5)] == ["exp_a1", "exp_b1", "exp_a2", "exp_b2", "exp_a3"]
    assert await store.claim(keep.pool, lease_seconds=60) is None


async def test_tenants_take_turns_where_one_is_made_at_a_time(keep: Keeping) -> None:
    await queue(keep, ("exp_a1", TENANT), ("exp_a2", TENANT), ("exp_b1", OTHER_TENANT))
    made = []
    for _ in range(3):
        made.append(await claimed(keep))
        await store.fail(keep.pool, made[-1], 1, "export.failed")
    assert made == ["exp_a1", "exp_b1", "exp_a2"]


async def test_a_large_export_holds_back_no_other(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def stuck(*given: Any) -> AsyncIterator[bytes]:
        if not begun.is_set():
            begun.set()
            await asyncio.Event().wait()
        async for part in write(*given):
            yield part

    monkeypatch.setattr(work, "write", stuck)
    for tenant in (TENANT, OTHER_TENANT):
        assert (await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True}, tenant=tenant))[0] == 202
    worker = work.ExportWorker(
        keep.pool, Tenants(keep.pool), keep.objects, Metrics("archive"), SystemClock(), days=7, at_once=2
    )
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await begun.wait()
        while await keep.pool.fetchval("SELECT count(*) FROM exports WHERE state = 'completed'") == 0:
            await asyncio.sleep(0.01)  # the deadline is above
        stop.set()
    assert await keep.pool.fetchval("SELECT count(*) FROM exports WHERE state = 'queued'") == 1


async def test_a_worker_that_stops_gives_its_export_back(keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = await one_conversation(keep)
    begun = asyncio.Event()

    async def stuck(*_: Any) -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await asyncio.Event().wait()

    _, made = await keep.ask("POST", "/api/exports", {"format": "ndjson", "conversation_id": conversation})
    with monkeypatch.context() as patched:
        patched.setattr(work, "write", stuck)
        stop = asyncio.Event()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(keep.worker.run(stop))
            await begun.wait()
            stop.set()
    assert (await keep.ask("GET", f"/api/exports/{made['id']}"))[1]["state"] == "queued"
    assert await keep.worker.work()
    _, export = await keep.ask("GET", f"/api/exports/{made['id']}")
    assert (export["state"], export["entries"]) == ("completed", 5)
    assert len(keep.files()) == 1


async def test_an_export_whose_worker_died_is_made_anew_and_the_late_one_cannot_end_it(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    _, made = await keep.ask("POST", "/api/exports", {"format": "ndjson", "conversation_id": conversation})
    dead = await store.claim(keep.pool, lease_seconds=0)
    assert dead is not None
    (keep.folder / dead["object_key"]).parent.mkdir(parents=True, exist_ok=True)
    (keep.folder / f"{dead['object_key']}#1").write_bytes(b"half a file")
    assert await keep.worker.work()
    _, export = await keep.ask("GET", f"/api/exports/{made['id']}")
    assert export["state"] == "completed"
    assert keep.files() == [f"{made['id']}-2"]
    progress = store.Progress(1, 0, 0, 1)
    assert not await store.extend(keep.pool, made["id"], dead["run"], progress, lease_seconds=30)
    assert not await store.complete(keep.pool, made["id"], dead["run"], 7, progress, "", "", "")


async def test_nothing_is_left_of_workers_that_died_one_after_the_other(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    _, made = await keep.ask("POST", "/api/exports", {"format": "ndjson", "conversation_id": conversation})
    for _ in range(2):
        dead = await store.claim(keep.pool, lease_seconds=0)
        assert dead is not None
        (keep.folder / dead["object_key"]).parent.mkdir(parents=True, exist_ok=True)
        (keep.folder / dead["object_key"]).write_bytes(b"a whole file that nobody knows of")
    assert await keep.worker.work()
    assert keep.files() == [f"{made['id']}-3"]


@pytest.mark.parametrize("ends", ["cancel", "delete", "erase"])
async def test_the_file_of_an_export_that_was_ended_goes_once_its_worker_cannot_write_it_any_more(
    ends: str, keep: Keeping
) -> None:
    """Else a worker that is killed after its file was cleared, and before it heard of that, would leave it for ever."""
    conversation = await one_conversation(keep)
    _, made = await keep.ask("POST", "/api/exports", {"format": "ndjson", "conversation_id": conversation})
    working = await store.claim(keep.pool, lease_seconds=30)
    assert working is not None
    if ends == "cancel":
        assert (await keep.ask("POST", f"/api/exports/{made['id']}/cancel"))[0] == 200
    elif ends == "delete":
        assert (await keep.ask("DELETE", f"/api/exports/{made['id']}"))[0] == 204
    else:
        async with keep.pool.acquire() as connection:
            assert await store.delete_with(connection, TENANT, [conversation]) == [made["id"]]
    await keep.expire()
    (keep.folder / working["object_key"]).parent.mkdir(parents=True, exist_ok=True)
    (keep.folder / working["object_key"]).write_bytes(b"what it had in hand; then it is killed")
    await keep.pool.execute("UPDATE exports SET lease_until = now() - interval '1 second'")
    await keep.expire()
    assert keep.files() == []


async def test_an_export_that_cannot_be_made_fails_and_the_next_one_goes_on(
    keep: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> AsyncIterator[bytes]:
        yield b"half"
        raise ValueError

    _, made = await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True})
    with monkeypatch.context() as patched:
        patched.setattr(work, "write", broken)
        assert await keep.worker.work()
    _, export = await keep.ask("GET", f"/api/exports/{made['id']}")
    assert (export["state"], export["error_code"]) == ("failed", "export.failed")
    await keep.exported({"format": "csv", "everything": True})


async def test_files_go_when_their_time_is_over_and_when_they_are_deleted(keep: Keeping) -> None:
    conversation = await one_conversation(keep)
    old, _ = await keep.exported({"format": "csv", "conversation_id": conversation})
    other, _ = await keep.exported({"format": "csv", "conversation_id": conversation})
    kept, _ = await keep.exported({"format": "csv", "conversation_id": conversation})
    await keep.pool.execute("UPDATE exports SET expires_at = now() - interval '1 second' WHERE id = $1", old["id"])
    assert (await keep.ask("GET", f"/api/exports/{old['id']}/file"))[0] == 410
    assert await keep.ask("DELETE", f"/api/exports/{other['id']}") == (204, b"")
    assert (await keep.ask("DELETE", f"/api/exports/{other['id']}"))[0] == 404
    assert (await keep.ask("GET", f"/api/exports/{other['id']}"))[0] == 404
    await keep.expire()
    assert keep.files() == [f"{kept['id']}-1"]
    _, page = await keep.ask("GET", "/api/exports")
    assert [(one["id"], one["state"]) for one in page["data"]] == [(kept["id"], "completed"), (old["id"], "expired")]
    await keep.pool.execute("UPDATE exports SET finished_at = now() - interval '31 days' WHERE id = $1", old["id"])
    await keep.expire()
    assert await keep.pool.fetchval("SELECT count(*) FROM exports") == 1


async def test_exports_that_can_hold_a_conversation_are_deleted_with_it(keep: Keeping) -> None:
    await keep.recorder.record([received(f"w{n}", seconds=n, sender=f"+1555000000{n}") for n in range(2)])
    one, other = await keep.conversations()
    made = {}
    for name, asked in (
        ("one", {"conversation_id": one}),
        ("other", {"conversation_id": other}),
        ("all", {"everything": True}),
        ("search", {"search": {"q": "hi"}}),
        ("within", {"search": {"q": "hi", "conversation_id": other}}),
    ):
        _, export = await keep.ask("POST", "/api/exports", {"format": "csv", **asked})
        made[name] = export["id"]
    async with keep.pool.acquire() as connection:
        gone = await store.delete_with(connection, TENANT, [one])
    assert set(gone) == {made["one"], made["all"], made["search"]}
    assert {row["id"] for row in (await keep.ask("GET", "/api/exports"))[1]["data"]} == {made["other"], made["within"]}


async def test_exports_are_listed_page_by_page_and_bounded(keep: Keeping) -> None:
    for _ in range(20):
        assert (await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True}))[0] == 202
    status, problem = await keep.ask("POST", "/api/exports", {"format": "csv", "everything": True})
    assert (status, problem["code"]) == (429, "export.too_many")
    assert [len(page) for page in await keep.pages("/api/exports", {"limit": "8"})] == [8, 8, 4]


BAD: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({}, 422, "request.invalid"),
    ({"format": "csv"}, 422, "request.invalid"),
    ({"format": "pdf", "everything": True}, 422, "request.invalid"),
    ({"format": "csv", "everything": False}, 422, "request.invalid"),
    ({"format": "csv", "everything": True, "conversation_id": UNKNOWN}, 422, "request.invalid"),
    ({"format": "csv", "conversation_id": UNKNOWN}, 404, "conversation.unknown"),
    ({"format": "csv", "conversation_id": "1"}, 422, "request.invalid"),
    ({"format": "csv", "search": {"q": "x", "conversation_id": UNKNOWN}}, 404, "conversation.unknown"),
    ({"format": "csv", "search": {"participant_id": "prt_" + "0" * 26}}, 404, "participant.unknown"),
    ({"format": "csv", "search": {"participant_id": "1"}}, 422, "request.invalid"),
    ({"format": "csv", "search": {"q": "?!"}}, 422, "request.invalid"),
    ({"format": "csv", "search": {"q": "a\x00"}}, 422, "request.invalid"),
    ({"format": "csv", "search": {"label": "a/b"}}, 422, "request.invalid"),
    ({"format": "whatsapp", "search": {"q": "x"}}, 422, "request.invalid"),
    ({"format": "csv", "everything": True, "time_zone": "Mars/Olympus"}, 422, "request.invalid"),
    ({"format": "csv", "everything": True, "time_zone": "../../etc/passwd"}, 422, "request.invalid"),
    ({"format": "csv", "everything": True, "me": "a\nb"}, 422, "request.invalid"),
    ({"format": "csv", "everything": True, "from": "2026-01-01T00:00:00"}, 422, "request.invalid"),
    (
        {"format": "csv", "everything": True, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
        422,
        "request.invalid",
    ),
    ({"format": "csv", "everything": True, "since": "2026-01-02T00:00:00Z"}, 422, "request.invalid"),
)


async def test_bad_requests_are_named(keep: Keeping) -> None:
    for asked, status, code in BAD:
        answered, problem = await keep.ask("POST", "/api/exports", asked)
        assert (answered, problem["code"]) == (status, code), asked
    for path in (f"/api/conversations/{UNKNOWN}/export?format=csv", f"/api/exports/{new_id('exp')}", "/api/exports/1"):
        assert (await keep.ask("GET", path))[0] == 404, path
    assert (await keep.ask("GET", f"/api/conversations/{UNKNOWN}/export"))[0] == 422
    assert (await keep.ask("GET", "/api/exports?cursor=x"))[0] == 400
    async with keep.session.get(f"{keep.url}/api/exports", headers={"Authorization": f"Bearer {TOKEN}x"}) as response:
        assert response.status == 401
