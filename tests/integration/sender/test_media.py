"""Files go up once per number, by one process at a time, and no message waits for another's."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from services.sender import uploads as use_case
from services.sender.store import media as store
from services.sender.uploads import Uploads
from shared.events.catalogue import MediaStored, MessageDeferred, MessageFailed, MessageReleased, MessageSent, NumberPaused
from shared.events.event import Event
from shared.events.values import Content, Provider
from shared.ids import NumberId, new_id
from tests.integration.sender.scene import TENANT, Scene, refusing, released, scene
from tests.support.database import Database
from tests.support.files import JPEG, PDF, grown
from tests.support.told import told

OTHER = NumberId("num_2")


async def stored(there: Scene, data: bytes = JPEG, mime_type: str = "image/jpeg", name: str | None = None) -> str:
    """A file that the gateway has told of."""

    async def parts() -> AsyncIterator[bytes]:
        yield data

    media_id = new_id("med")
    await there.objects.put(f"media/{media_id}", parts())
    event = MediaStored(
        tenant_id=TENANT,
        media_id=media_id,
        object_key=f"media/{media_id}",
        mime_type=mime_type,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        file_name=name,
    )
    await use_case.know(there.outbox, [event, event])
    return media_id


def image(media_id: str) -> Content:
    return {"type": "image", "image": {"id": media_id, "caption": "See"}}


async def outcomes(there: Scene, *events: MessageReleased) -> list[Event]:
    """Release these; what became of them, in their order."""
    before = await there.pool.fetchval("SELECT count(*) FROM attempts WHERE state <> 'submitting'")
    await there.delivery.take(events)
    await there.until_settled(before + len(events))
    found = {event.message_id: event for event in await told(there.pool) if hasattr(event, "message_id")}
    return [found[event.message_id] for event in events]


async def claim(there: Scene) -> store.Job | None:
    return await store.claim(there.pool, lease=use_case.LEASE, bytes_per_second=1e6, per_number=use_case.PER_NUMBER)


async def until_uploaded(there: Scene) -> None:
    while await there.uploads.upload_due():
        pass


async def test_a_message_with_a_file_goes_back_until_it_is_there_and_then_leaves_with_the_providers_id(
    database: Database, tmp_path: Path
) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there, PDF, "application/pdf", 'Über "uns".pdf')
        message = released(content={"type": "document", "document": {"id": media_id, "filename": "a.pdf"}})
        text = released()
        waiting, sent = await outcomes(there, message, text)
        assert isinstance(waiting, MessageDeferred)
        assert (waiting.code, waiting.counted, waiting.gate) == ("media.uploading", False, None)
        assert waiting.retry_at - waiting.occurred_at < timedelta(seconds=2)
        assert isinstance(sent, MessageSent), "others go on"
        await until_uploaded(there)
        [(number, data, mime_type, name)] = there.provider.files
        assert (number, data, mime_type) == ("1", PDF, "application/pdf")
        assert name == "Über _uns_.pdf"
        (event,) = await outcomes(there, message.model_copy(update={"attempt": 2}))
        assert isinstance(event, MessageSent)
        assert there.provider.bodies[f"{message.message_id}.2"]["document"] == {"id": "9001", "filename": "a.pdf"}
        assert message.content["document"]["id"] == media_id, "what is kept is not changed"


async def test_equal_bytes_go_up_once_per_number_whatever_they_are_called(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.connect(OTHER)
        one, two = await stored(there), await stored(there)
        events = [released(content=image(media_id)) for media_id in (one, two, one)]
        await outcomes(there, *events)
        await outcomes(there, released(content=image(two), number_id=OTHER))
        await until_uploaded(there)
        assert sorted(number for number, *_ in there.provider.files) == ["1", "2"]
        ended = await outcomes(there, *(event.model_copy(update={"attempt": 2}) for event in events))
        assert {type(event) for event in ended} == {MessageSent}
        ids = {body["image"]["id"] for body in there.provider.bodies.values()}
        assert len(ids) == 1


async def test_every_place_of_a_content_is_filled(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        one, two = await stored(there), await stored(there, PDF, "application/pdf")
        content: Content = {
            "type": "template",
            "template": {
                "name": "x",
                "language": {"code": "en"},
                "components": [
                    {"type": "header", "parameters": [{"type": "image", "image": {"id": one}}]},
                    {"type": "body", "parameters": [{"type": "text", "text": one}]},
                    {"type": "carousel", "cards": [{"card_index": 0, "components": [
                        {"type": "header", "parameters": [{"type": "document", "document": {"id": two}}]}]}]},
                ],
            },
        }  # fmt: skip
        interactive: Content = {
            "type": "interactive",
            "interactive": {
                "type": "button",
                "header": {"type": "image", "image": {"id": one}},
                "body": {"text": "x"},
                "action": {"buttons": [{"type": "reply", "reply": {"id": one, "title": "t"}}]},
            },
        }
        await outcomes(there, released(content=content))
        await until_uploaded(there)
        await outcomes(there, released(content=content))
        await until_uploaded(there)
        template, buttons = released(content=content), released(content=interactive)
        assert {type(event) for event in await outcomes(there, template, buttons)} == {MessageSent}
        sent = there.provider.bodies[f"{template.message_id}.1"]["template"]["components"]
        assert sent[0]["parameters"][0]["image"]["id"].startswith("900")
        assert sent[1]["parameters"][0]["text"] == one
        assert sent[2]["cards"][0]["components"][0]["parameters"][0]["document"]["id"].startswith("900")
        shown = there.provider.bodies[f"{buttons.message_id}.1"]["interactive"]
        assert shown["header"]["image"]["id"] == sent[0]["parameters"][0]["image"]["id"]
        assert shown["action"]["buttons"][0]["reply"]["id"] == one


async def test_the_providers_own_ids_and_links_pass_as_they_are(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        own, link = (
            released(content=image("1037543291543636")),
            released(content={"type": "image", "image": {"link": "https://x"}}),
        )
        assert {type(event) for event in await outcomes(there, own, link)} == {MessageSent}
        assert there.provider.bodies[f"{own.message_id}.1"]["image"]["id"] == "1037543291543636"


async def test_a_file_nobody_has_told_of_is_waited_for_and_then_unknown(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        young = released(content=image(new_id("med")))
        old = released(content=image(new_id("med")), first_due_at=young.occurred_at - timedelta(minutes=2))
        waiting, failed = await outcomes(there, young, old)
        assert isinstance(waiting, MessageDeferred)
        assert (waiting.code, waiting.counted) == ("media.not_yet_known", False)
        assert isinstance(failed, MessageFailed)
        assert failed.code == "media.unknown"


async def test_a_file_of_another_tenant_is_unknown(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await there.pool.execute("UPDATE media SET tenant_id = 'tnt_other'")
        event = released(content=image(media_id))
        (ended,) = await outcomes(there, event.model_copy(update={"first_due_at": event.occurred_at - timedelta(minutes=2)}))
        assert isinstance(ended, MessageFailed)


async def test_replicas_upload_a_file_once(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there, aiohttp.ClientSession() as session:
        begun, may_answer = asyncio.Event(), asyncio.Event()

        async def slow(count: str) -> web.Response:
            begun.set()
            await may_answer.wait()
            return web.json_response({"id": count})

        there.provider.answer_to_file = slow
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        replicas = [Uploads(there.outbox, there.pool, session, there.objects, there.numbers) for _ in range(3)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(replica.upload_due()) for replica in replicas]
            await begun.wait()
            assert [
                event.code
                for event in await outcomes(there, released(content=image(media_id)))
                if isinstance(event, MessageDeferred)
            ]
            may_answer.set()
        assert sorted(task.result() for task in tasks) == [False, False, True]
        assert len(there.provider.files) == 1


async def test_what_a_dead_process_had_in_hand_is_uploaded_by_another(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await outcomes(there, released(content=image(await stored(there))))
        claimed = await claim(there)
        assert claimed is not None
        assert not await there.uploads.upload_due()
        await there.pool.execute("UPDATE media_uploads SET due_at = now()")
        await until_uploaded(there)
        await store.refused(there.pool, claimed, "late", "the dead one speaks")
        assert await there.pool.fetchval("SELECT state FROM media_uploads") == "uploaded"


@pytest.mark.parametrize("code", [100, 131053, 131009])
async def test_an_id_that_the_provider_has_forgotten_is_uploaded_again_once(
    database: Database, tmp_path: Path, code: int
) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        await there.pool.execute("UPDATE media_uploads SET settled_at = now() - interval '20 days'")
        there.provider.answer = refusing(code)
        (again,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(again, MessageDeferred)
        assert (again.code, again.counted) == ("media.expired", False)
        await until_uploaded(there)
        assert len(there.provider.files) == 2
        (ended,) = await outcomes(there, released(content=image(media_id)))
        assert getattr(ended, "code", None) == f"provider.{code}", "of a fresh id the refusal is believed"
        assert not await there.uploads.upload_due()


async def test_an_id_is_not_used_beyond_its_time(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        await there.pool.execute("UPDATE media_uploads SET expires_at = now()")
        (waiting,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(waiting, MessageDeferred)
        await until_uploaded(there)
        (sent,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(sent, MessageSent)
        assert len(there.provider.files) == 2


async def test_a_file_that_the_provider_refuses_fails_its_messages_with_the_reason(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answer_to_file = refusing(100)
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(failed, MessageFailed)
        assert failed.code == "provider.100"
        await there.pool.execute("UPDATE media_uploads SET settled_at = now() - interval '11 minutes'")
        there.provider.answer_to_file = refusing(131000, 500)
        await outcomes(there, released(content=image(media_id)))
        for _ in range(use_case.MOST_TRIES):
            await there.pool.execute("UPDATE media_uploads SET due_at = now()")
            await until_uploaded(there)
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(failed, MessageFailed)
        assert failed.code == "provider.131000"


async def test_a_dead_token_pauses_the_number_and_costs_the_file_nothing(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        there.provider.answer_to_file = refusing(190, 401)
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        assert await there.uploads.upload_due()
        assert [event.code for event in await told(there.pool) if isinstance(event, NumberPaused)] == ["provider.190"]
        await there.connect()
        await there.pool.execute("UPDATE media_uploads SET due_at = now()")
        there.provider.answer_to_file = type(there.provider)().answer_to_file
        await until_uploaded(there)
        (sent,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(sent, MessageSent)


async def test_a_deleted_file_fails_and_a_provider_without_files_says_so(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await there.objects.delete(f"media/{media_id}")
        await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(failed, MessageFailed)
        assert failed.code == "media.deleted"
        await there.connect(OTHER, provider=Provider.TWILIO, account_id="AC1", display_number="+1", callback_url="https://x")
        (failed,) = await outcomes(there, released(content=image(media_id), number_id=OTHER))
        assert isinstance(failed, MessageFailed)


async def test_a_file_of_many_parts_comes_whole(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        data = grown(PDF, 700_000)
        media_id = await stored(there, data, "application/pdf")
        await outcomes(there, released(content={"type": "document", "document": {"id": media_id}}))
        await until_uploaded(there)
        assert there.provider.files[0][1] == data


async def test_who_cannot_be_reached_is_tried_again(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path, provider_url="http://127.0.0.1:1") as there:
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        for _ in range(2 * use_case.MOST_TRIES):
            await there.pool.execute("UPDATE media_uploads SET due_at = now()")
            assert await there.uploads.upload_due()
        assert await there.pool.fetchval("SELECT state FROM media_uploads") == "wanted"


async def test_bytes_that_were_deleted_can_be_uploaded_anew(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        gone = await stored(there)
        await there.objects.delete(f"media/{gone}")
        await outcomes(there, released(content=image(gone)))
        await until_uploaded(there)
        again = await stored(there)
        (waiting,) = await outcomes(there, released(content=image(again)))
        assert isinstance(waiting, MessageDeferred)
        await until_uploaded(there)
        (sent,) = await outcomes(there, released(content=image(again)))
        assert isinstance(sent, MessageSent)


async def test_the_same_bytes_as_another_type_are_another_file_to_the_provider(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        wrong, right = await stored(there, JPEG, "text/plain"), await stored(there, JPEG, "image/jpeg")
        for media_id in (wrong, right):
            await outcomes(there, released(content=image(media_id)))
        await until_uploaded(there)
        assert sorted(mime_type for _, _, mime_type, _ in there.provider.files) == ["image/jpeg", "text/plain"]
        message = released(content=image(right))
        await outcomes(there, message)
        place = [mime_type for _, _, mime_type, _ in there.provider.files].index("image/jpeg") + 1
        assert there.provider.bodies[f"{message.message_id}.1"]["image"]["id"] == f"900{place}"


async def test_no_number_waits_behind_anothers_many_files(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await there.connect(OTHER)
        many = [await stored(there, grown(JPEG, 500 + n)) for n in range(2 * use_case.WORKERS)]
        await outcomes(there, *(released(content=image(media_id)) for media_id in many))
        claimed = [job for _ in range(use_case.WORKERS) if (job := await claim(there)) is not None]
        assert len(claimed) == use_case.PER_NUMBER, "one number has not all workers"
        await outcomes(there, released(content=image(await stored(there)), number_id=OTHER))
        job = await claim(there)
        assert job is not None
        assert job.number_id == OTHER


async def test_a_late_word_of_a_former_try_does_not_count(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await outcomes(there, released(content=image(await stored(there))))
        dead = await claim(there)
        assert dead is not None
        await there.pool.execute("UPDATE media_uploads SET due_at = now()")
        other = await claim(there)
        assert other is not None
        await store.put_off(there.pool, other, 0, counted=False)
        await store.refused(there.pool, dead, "late", "the dead one speaks")
        assert await there.pool.fetchval("SELECT state FROM media_uploads") == "wanted"


async def test_a_fault_of_ours_ends_one_file_and_not_the_process(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(use_case, "upload", faulty)
    async with scene(database, tmp_path) as there:
        media_id = await stored(there)
        await outcomes(there, released(content=image(media_id)))
        for _ in range(use_case.MOST_TRIES):
            await there.pool.execute("UPDATE media_uploads SET due_at = now()")
            assert await there.uploads.upload_due()
        (failed,) = await outcomes(there, released(content=image(media_id)))
        assert isinstance(failed, MessageFailed)
        assert failed.code == "internal"


async def test_what_nobody_waits_for_any_more_is_forgotten(database: Database, tmp_path: Path) -> None:
    async with scene(database, tmp_path) as there:
        await outcomes(there, released(content=image(await stored(there))))
        await store.prune(there.pool, limit=10)
        assert await there.pool.fetchval("SELECT count(*) FROM media_uploads") == 1
        await there.pool.execute("UPDATE media_uploads SET wanted_at = now() - interval '3 days'")
        await store.prune(there.pool, limit=10)
        assert await there.pool.fetchval("SELECT count(*) FROM media_uploads") == 0
