"""A deleted file: its name goes, its messages fail, and the provider is asked to delete its copies, beside everything else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.sender import media, uploads
from services.sender.removals import LEASE, WAITS
from services.sender.store import media as store
from shared.events.catalogue import MediaDeleted, MediaStored, MessageDeferred, MessageFailed, MessageSent
from shared.ids import NumberId, new_id
from tests.integration.sender.scene import TENANT, Scene, refusing, released, scene
from tests.integration.sender.test_media import claim, image, outcomes, stored, until_uploaded
from tests.support.database import Database
from tests.support.files import JPEG, PDF, grown

OTHER = NumberId("num_2")


def deleted(media_id: str) -> MediaDeleted:
    return MediaDeleted(tenant_id=TENANT, media_id=media_id)


async def delete(there: Scene, *media_ids: str) -> None:
    await uploads.know(there.outbox, [deleted(media_id) for media_id in media_ids])


async def sent_once(there: Scene, media_id: str, number_id: NumberId | None = None) -> None:
    """The provider has the file from that number."""
    message = released(content=image(media_id), **({"number_id": number_id} if number_id else {}))
    await outcomes(there, message)
    await until_uploaded(there)
    (event,) = await outcomes(there, message.model_copy(update={"attempt": 2}))
    assert isinstance(event, MessageSent)


async def remove_all(there: Scene, *, due: bool = True) -> None:
    if due:
        await there.pool.execute("UPDATE media_removals SET due_at = now()")
    while await there.removals.remove_due():
        pass


async def counts(there: Scene) -> tuple[int, int, int]:
    """Files, uploads and removals."""
    row = await there.pool.fetchrow(
        """SELECT (SELECT count(*) FROM media WHERE deleted_at IS NULL), (SELECT count(*) FROM media_uploads),
                  (SELECT count(*) FROM media_removals)"""
    )
    assert row is not None
    return row[0], row[1], row[2]


async def test_of_a_deleted_file_nothing_stays_here_or_at_the_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.connect(OTHER)
        media_id = await stored(there, PDF, "application/pdf", "Grace Hopper.pdf")
        await sent_once(there, media_id)
        await sent_once(there, media_id, OTHER)
        await delete(there, media_id)
        assert "Grace" not in str([tuple(row) for row in await there.pool.fetch("SELECT * FROM media")])
        assert await counts(there) == (0, 0, 2)
        await remove_all(there, due=False)
        assert there.provider.removals == [], "it may still be needed for what was just sent"
        await remove_all(there)
        assert sorted(there.provider.removals) == [("9001", "Bearer token"), ("9002", "Bearer token")]
        assert await counts(there) == (0, 0, 0)


async def test_messages_with_a_deleted_file_fail_though_its_id_is_remembered(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        monkeypatch.setattr(media, "KNOWN_SECONDS", -1.0)  # as if it had been looked up long ago
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(failed, MessageFailed)
        assert failed.code == "media.deleted"
        assert store.REMOVED_AFTER.total_seconds() > 300.0, "longer than ids are remembered"


@pytest.mark.parametrize("at_once", [True, False])
async def test_one_that_was_deleted_never_comes_back(database: Database, tmp_path: Path, *, at_once: bool) -> None:
    async with scene(database, tmp_path) as there:
        media_id = new_id("med")
        told = MediaStored(
            tenant_id=TENANT, media_id=media_id, object_key="k", mime_type="a/b", size_bytes=1, sha256="00", file_name="Ada.pdf"
        )
        if at_once:
            await uploads.know(there.outbox, [deleted(media_id), deleted(media_id), told])
        else:
            await delete(there, media_id)
            await uploads.know(there.outbox, [told])
        await delete(there, media_id)
        assert await counts(there) == (0, 0, 0)
        row = await there.pool.fetchrow("SELECT file_name, sha256, deleted_at FROM media")
        assert row is not None
        assert (row["file_name"], row["sha256"], row["deleted_at"] is None) == (None, None, False)
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert getattr(failed, "code", None) == "media.deleted"


async def test_bytes_that_another_file_has_stay_at_the_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        one, two = await stored(there), await stored(there)
        await sent_once(there, one)
        await delete(there, one)
        assert await counts(there) == (1, 1, 0)
        (sent,) = await outcomes(there, released(content=image(two)))
        assert isinstance(sent, MessageSent)
        assert len(there.provider.files) == 1
        await delete(there, two)
        await remove_all(there)
        assert [handle for handle, _ in there.provider.removals] == ["9001"]


async def test_the_same_bytes_as_another_type_are_another_copy(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        gone, stays = await stored(there, JPEG, "text/plain"), await stored(there, JPEG, "image/jpeg")
        await sent_once(there, gone)
        await sent_once(there, stays)
        await delete(there, gone)
        await remove_all(there)
        assert [handle for handle, _ in there.provider.removals] == ["9001"]
        assert await counts(there) == (1, 1, 0)


async def test_an_upload_that_is_wanted_goes_on_for_the_file_that_is_left(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        one, two = await stored(there), await stored(there)
        await outcomes(there, released(content=image(one)), released(content=image(two)))
        await delete(there, one)
        await until_uploaded(there)
        (sent,) = await outcomes(there, released(content=image(two)))
        assert isinstance(sent, MessageSent)


async def test_deleting_the_file_of_an_upload_that_is_wanted_holds_up_no_other(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        gone, stays = await stored(there), await stored(there, PDF, "application/pdf")
        await outcomes(there, released(content=image(gone)))
        await delete(there, gone)
        await outcomes(there, released(content={"type": "document", "document": {"id": stays}}))
        await until_uploaded(there)
        assert [data for _, data, _, _ in there.provider.files] == [PDF]


async def test_an_upload_without_its_file_holds_up_no_other(database: Database, tmp_path: Path) -> None:
    """There should be none; if there is, it is pruned in time."""
    async with scene(database, tmp_path) as there:
        lone, stays = await stored(there), await stored(there, PDF, "application/pdf")
        await outcomes(there, released(content=image(lone)))
        await there.pool.execute("DELETE FROM media WHERE media_id = $1", lone)
        await outcomes(there, released(content={"type": "document", "document": {"id": stays}}))
        await until_uploaded(there)
        assert [data for _, data, _, _ in there.provider.files] == [PDF]


async def test_what_comes_up_after_its_file_was_deleted_is_removed(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)

        async def too_late(count: str) -> web.Response:
            await delete(there, media_id)
            return web.json_response({"id": f"900{count}"})

        there.provider.answer_to_file = too_late
        await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        assert await counts(there) == (0, 0, 1)
        await remove_all(there)
        assert [handle for handle, _ in there.provider.removals] == ["9001"]


async def test_a_late_word_of_a_former_try_removes_nothing(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await outcomes(there, released(content=image(await stored(there))))
        dead = await claim(there)
        assert dead is not None
        await there.pool.execute("UPDATE media_uploads SET due_at = now()")
        await until_uploaded(there)
        await store.uploaded(there.pool, dead, "9001", good_for=uploads.GOOD_FOR)
        assert await counts(there) == (1, 1, 0)


async def test_a_copy_that_is_in_use_again_is_not_deleted(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:

        async def same(_: str) -> web.Response:
            return web.json_response({"id": "77"})

        there.provider.answer_to_file = same
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        await sent_once(there, await stored(there))
        await remove_all(there)
        assert there.provider.removals == []
        assert await counts(there) == (1, 1, 0)


async def down(_: str) -> web.Response:
    return web.Response(status=503)


@pytest.mark.parametrize("answer", [down, refusing(190, 401), refusing(80007), refusing(131000, 500)])
async def test_a_provider_that_does_not_delete_is_asked_some_times_and_then_no_more(
    database: Database, tmp_path: Path, answer: Any
) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        there.provider.answer_to_removal = answer
        for _ in range(len(WAITS) + 3):
            await there.pool.execute("UPDATE media_removals SET due_at = now()")
            await there.removals.remove_due()
            assert not await there.removals.remove_due(), "it waits"
        assert len(there.provider.removals) == len(WAITS) + 1
        assert await counts(there) == (0, 0, 0)


@pytest.mark.parametrize("document", [{"code": 100, "error_subcode": 33}, {"code": 100}, {"code": 131009}])
async def test_what_the_provider_does_not_have_or_does_not_delete_is_done_with(
    database: Database, tmp_path: Path, document: dict[str, Any]
) -> None:
    async def answer(_: str) -> web.Response:
        return web.json_response({"error": document}, status=400)

    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        there.provider.answer_to_removal = answer
        await remove_all(there)
        assert len(there.provider.removals) == 1
        assert await counts(there) == (0, 0, 0)
        await sent_once(there, await stored(there))  # its number goes on


async def test_who_cannot_be_reached_or_is_paused_is_asked_later(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        await there.connect(paused="provider.190")
        await remove_all(there)
        await there.connect(provider_url="http://127.0.0.1:1")
        await remove_all(there)
        assert there.provider.removals == []
        await there.connect()
        await remove_all(there)
        assert len(there.provider.removals) == 1


async def test_what_a_dead_process_had_in_hand_is_removed_by_another_but_not_for_ever(
    database: Database, tmp_path: Path
) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await sent_once(there, media_id)
        await delete(there, media_id)
        await there.pool.execute("UPDATE media_removals SET due_at = now()")
        assert await store.claim_removal(there.pool, lease=LEASE) is not None
        assert not await there.removals.remove_due()
        await remove_all(there)
        assert len(there.provider.removals) == 1
        await there.pool.execute("INSERT INTO media_removals VALUES ('num_1', '9005', $1, now())", len(WAITS) + 1)
        await remove_all(there)
        assert len(there.provider.removals) == 1
        assert await counts(there) == (0, 0, 0)


async def test_an_odd_id_is_not_made_an_address_of(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.pool.execute("INSERT INTO media_removals VALUES ('num_1', '../9/messages?a=b', 0, now())")
        await remove_all(there)
        assert there.provider.removals == []
        assert await counts(there) == (0, 0, 0)


async def test_no_upload_outlives_its_file_whatever_comes_at_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        ids = [await stored(there, grown(JPEG, 600 + n // 4)) for n in range(16)]
        names = [store.Name(TENANT, NumberId(f"num_{n}"), media_id) for n in range(3) for media_id in ids]
        async with asyncio.TaskGroup() as group:
            for n in range(8):
                group.create_task(store.find(there.pool, names if n % 2 else names[::-1]))
                group.create_task(delete(there, *ids[2 * n : 2 * n + 2][:: 1 if n % 2 else -1]))
                group.create_task(delete(there, *ids[n::8]))
        assert await counts(there) == (0, 0, 0)
        assert [one for one in await store.find(there.pool, names) if not isinstance(one, store.Refused)] == []


async def test_that_a_file_was_deleted_is_forgotten_in_time(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        gone, stays = await stored(there), await stored(there, PDF)
        await delete(there, gone)
        await store.prune(there.pool, limit=10)
        assert await there.pool.fetchval("SELECT count(*) FROM media") == 2
        await there.pool.execute("UPDATE media SET deleted_at = now() - interval '31 days' WHERE deleted_at IS NOT NULL")
        await store.prune(there.pool, limit=10)
        assert await there.pool.fetchval("SELECT array_agg(media_id) FROM media") == [stays]


async def test_uploads_do_not_wait_for_removals(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        asked, may_answer = asyncio.Event(), asyncio.Event()

        async def never(_: str) -> web.Response:
            asked.set()
            await may_answer.wait()
            return web.Response(status=503)

        gone = await stored(there)
        await sent_once(there, gone)
        await delete(there, gone)
        there.provider.answer_to_removal = never
        async with asyncio.TaskGroup() as group:
            group.create_task(remove_all(there))
            await asked.wait()
            waiting, _ = await outcomes(there, released(content=image(await stored(there))), released())
            assert isinstance(waiting, MessageDeferred)
            await until_uploaded(there)
            assert len(there.provider.files) == 2
            may_answer.set()
