"""The seam of the object store, on a folder and on a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from local.ports import free_port
from shared.config import ObjectsSettings
from shared.objects.store import PART_BYTES, NoObject, ObjectsAway, ObjectStore, open_objects
from tests.support.s3 import BUCKET, s3_server, saying_206

BIG = os.urandom(2 * PART_BYTES + 77)


@pytest.fixture(params=["folder", "s3"], scope="module")
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectsSettings]:
    folder = tmp_path_factory.mktemp("objects")
    if request.param == "folder":
        yield ObjectsSettings(url=str(folder / "files"))
        return
    with s3_server(folder) as settings:
        yield settings


@pytest.fixture
async def objects(settings: ObjectsSettings) -> AsyncIterator[ObjectStore]:
    if not settings.endpoint:
        yield open_objects(settings)
        return
    async with saying_206(settings) as mended:
        yield open_objects(mended)


async def in_parts(data: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(objects: ObjectStore, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([part async for part in await objects.get(key, start, end)])


@pytest.mark.parametrize("data", [b"", b"x", b"a small file" * 100, BIG], ids=["empty", "one", "small", "parts"])
async def test_a_file_comes_back_as_it_was_with_its_size_and_digest(objects: ObjectStore, data: bytes) -> None:
    written = await objects.put("media/tnt_1/med_1", in_parts(data))
    assert written.size_bytes == len(data)
    assert written.sha256 == hashlib.sha256(data).hexdigest()
    assert await read(objects, "media/tnt_1/med_1") == data


async def test_parts_of_a_file_can_be_read(objects: ObjectStore) -> None:
    await objects.put("media/tnt_1/med_2", in_parts(BIG))
    assert await read(objects, "media/tnt_1/med_2", 10, 20) == BIG[10:20]
    assert await read(objects, "media/tnt_1/med_2", len(BIG) - 5) == BIG[-5:]
    assert (
        await read(objects, "media/tnt_1/med_2", PART_BYTES - 1, PART_BYTES + 300_000)
        == BIG[PART_BYTES - 1 : PART_BYTES + 300_000]
    )


async def test_what_is_not_there_is_not_there(objects: ObjectStore) -> None:
    with pytest.raises(NoObject):
        await objects.get("media/tnt_1/med_none")
    await objects.delete("media/tnt_1/med_none")
    await objects.put("media/tnt_1/med_3", in_parts(b"x"))
    await objects.delete("media/tnt_1/med_3")
    await objects.delete("media/tnt_1/med_3")
    with pytest.raises(NoObject):
        await objects.get("media/tnt_1/med_3")


@pytest.mark.parametrize("before", [0, 100_000, PART_BYTES + 100_000])
async def test_of_a_file_that_does_not_come_whole_nothing_is_left(
    objects: ObjectStore, settings: ObjectsSettings, before: int
) -> None:
    class Broken(Exception):
        pass

    async def breaking() -> AsyncIterator[bytes]:
        async for part in in_parts(BIG[:before]):
            yield part
        raise Broken

    with pytest.raises(Broken):
        await objects.put("media/tnt_2/med_4", breaking())
    with pytest.raises(NoObject):
        await objects.get("media/tnt_2/med_4")
    if "://" not in settings.url:
        assert [path for path in Path(settings.url).glob("media/tnt_2/**") if path.is_file()] == []


async def test_a_canceled_upload_leaves_nothing(objects: ObjectStore) -> None:
    has_begun, never = asyncio.Event(), asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield BIG
        has_begun.set()
        await never.wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(objects.put("media/tnt_2/med_5", hanging()))
        await has_begun.wait()
        task.cancel()
    with pytest.raises(NoObject):
        await objects.get("media/tnt_2/med_5")


async def test_what_a_killed_process_has_left_of_a_file_goes_when_that_is_deleted(tmp_path: Path) -> None:
    settings = ObjectsSettings(url=str(tmp_path))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _NEVER_ENDING, settings.url)
    async with asyncio.timeout(60):
        while not files_in(tmp_path):
            await asyncio.sleep(0.02)
    process.kill()
    await process.wait()
    assert files_in(tmp_path)
    await open_objects(settings).delete("media/tnt_1/med_7")
    assert files_in(tmp_path) == []


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.is_file()]


_NEVER_ENDING = """
import asyncio, sys
from shared.config import ObjectsSettings
from shared.objects.store import PART_BYTES, open_objects

async def parts():
    while True:
        yield bytes(PART_BYTES)
        await asyncio.sleep(0.1)

asyncio.run(open_objects(ObjectsSettings(url=sys.argv[1])).put("media/tnt_1/med_7", parts()))
"""


async def test_a_folder_that_cannot_be_flushed_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ObjectsAway):
        await open_objects(ObjectsSettings(url=str(tmp_path))).put("media/a", in_parts(b"x"))


async def test_a_later_file_takes_the_place_of_an_earlier_one(objects: ObjectStore) -> None:
    await objects.put("media/tnt_1/med_6", in_parts(BIG))
    await objects.put("media/tnt_1/med_6", in_parts(b"short"))
    assert await read(objects, "media/tnt_1/med_6") == b"short"


async def test_a_server_that_is_away_is_said_to_be() -> None:
    settings = ObjectsSettings(
        url=f"s3://{BUCKET}", endpoint=f"http://127.0.0.1:{free_port()}", access_key_id="a", secret_access_key=SecretStr("b")
    )
    objects = open_objects(settings)
    with pytest.raises(ObjectsAway):
        await objects.put("media/a", in_parts(b"x"))
    with pytest.raises(ObjectsAway):
        await objects.get("media/a")


def test_settings_that_name_no_store_are_refused() -> None:
    for wrong in ({"url": "http://x"}, {"url": "s3://"}, {"access_key_id": "only"}, {"endpoint": "ftp://x"}):
        with pytest.raises(ValueError, match=r"url|together|pattern"):
            ObjectsSettings.model_validate(wrong)
