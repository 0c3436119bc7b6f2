"""Zip files with media: the chat's text is found by what it says, media are kept with their entries, and go with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import asyncpg
import pytest

from services.archive.imports.leftovers import remove_leftovers
from shared.config import ObjectsSettings
from shared.db.pool import Pool
from shared.objects.store import open_objects
from tests.integration.archive.importing import TOKEN, Importing, android, importing, zipped
from tests.support.archive_events import OTHER_TENANT, TENANT
from tests.support.database import Database

pytestmark = pytest.mark.timeout(120)

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40
SAID = [
    ("Ana", "\u200eIMG-20240521-WA0001.jpg (file attached)\nthe harbour"),
    ("Bo", "\u200eIMG-20240521-WA0002.jpg (file attached)"),
    ("Ana", "which one?"),
]


@pytest.fixture
async def archive(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Importing]:
    async with importing(database, redis_url, tmp_path / "objects") as archive:
        yield archive


async def remove(pool: Pool, archive: Importing) -> None:
    while await remove_leftovers(pool, open_objects(ObjectsSettings(url=str(archive.objects)))):
        pass


def kept(archive: Importing) -> list[Path]:
    return [path for path in archive.objects.rglob("*") if path.is_file()]


async def download(
    archive: Importing, conversation_id: str, file_id: str, **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    url = f"{archive.url}/api/conversations/{conversation_id}/files/{file_id}"
    known = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": headers.pop("tenant", TENANT)}
    async with archive.session.get(url, headers={**known, **headers}) as response:
        return response.status, await response.read(), response.headers


async def test_media_are_kept_and_given_out(archive: Importing) -> None:
    data = zipped(
        [
            ("Export/__MACOSX/._chat.txt", b"\x00\x05\x16\x07"),
            ("Export/notes.txt", b"Things to buy:\n- bread\n"),
            ("Export/WhatsApp Chat with Ana.txt", android(SAID)),
            ("Export/IMG-20240521-WA0001.jpg", PICTURE),
            ("Export/unused.jpg", b"nobody names it"),
        ]
    )
    done = await archive.imported(data, title="Ana")
    assert (done["state"], done["entry_count"], done["file_count"]) == ("completed", 3, 1), done
    first, second, _ = await archive.entries(done["conversation_id"])
    assert first["media"]["mime_type"] == "image/jpeg"
    assert first["media"]["size_bytes"] == len(PICTURE)
    assert second["media"]["lost"] == "not_exported"

    place = done["conversation_id"], first["media"]["file_id"]
    status, body, headers = await download(archive, *place)
    assert (status, body, headers["Content-Type"]) == (200, PICTURE, "image/jpeg")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in headers["Content-Security-Policy"]
    status, body, headers = await download(archive, *place, Range="bytes=2-5")
    assert (status, body, headers["Content-Range"]) == (206, PICTURE[2:6], f"bytes 2-5/{len(PICTURE)}")
    status, _, _ = await download(archive, *place, **{"If-None-Match": headers["ETag"]})
    assert status == 304
    status, _, _ = await download(archive, *place, tenant=OTHER_TENANT)
    assert status == 404


async def test_an_export_with_media_completes_one_without(archive: Importing) -> None:
    without = await archive.imported(zipped({"_chat.txt": android(SAID)}), title="Ana")
    assert without["file_count"] == 0
    whole = zipped({"_chat.txt": android(SAID), "IMG-20240521-WA0001.jpg": PICTURE, "IMG-20240521-WA0002.jpg": PICTURE})
    done = await archive.imported(whole, title="Ana")
    assert (done["entry_count"], done["known_count"], done["file_count"]) == (0, 3, 2)
    first, second, _ = await archive.entries(done["conversation_id"])
    for entry in (first, second):
        _, body, _ = await download(archive, done["conversation_id"], entry["media"]["file_id"])
        assert body == PICTURE


async def test_undo_removes_the_media_and_the_end_the_file(archive: Importing, pool: Pool) -> None:
    done = await archive.imported(zipped({"_chat.txt": android(SAID), "IMG-20240521-WA0001.jpg": PICTURE}), title="Ana")
    first, *_ = await archive.entries(done["conversation_id"])
    await remove(pool, archive)
    assert [path.read_bytes() for path in kept(archive)] == [PICTURE]

    await archive.ask("POST", f"/api/imports/{done['id']}/undo")
    await archive.until(done["id"], "undone")
    await remove(pool, archive)
    assert kept(archive) == []
    status, _, _ = await download(archive, done["conversation_id"], first["media"]["file_id"])
    assert status == 404


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"../_chat.txt": b"x"}, "zip.path_traversal"),
        ({"_chat.txt": bytes(64 * 1024 * 1024)}, "zip.bomb"),
        ({"a.jpg": PICTURE}, "zip.no_text"),
        ({"inner.zip": PICTURE}, "zip.nested"),
        ({"notes.txt": b"Things to buy:\n- bread\n"}, "import.not_an_export"),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_its_reason(
    archive: Importing, members: dict[str, bytes], code: str
) -> None:
    failed = await archive.imported(zipped(members))
    assert (failed["state"], failed["error"]["code"]) == ("failed", code)
    assert failed["error"]["detail"]


async def test_a_text_that_is_not_what_its_header_says(archive: Importing) -> None:
    data = zipped({"_chat.txt": android(SAID)}, method=0)
    failed = await archive.imported(data.replace(b"which one?", b"which two?"))
    assert (failed["state"], failed["error"]["code"]) == ("failed", "zip.corrupt")


async def test_an_upload_that_breaks_off_leaves_nothing(archive: Importing, pool: Pool, database: Database) -> None:
    _, made, _ = await archive.ask("POST", "/api/imports", json={"file_name": "a.txt", "size_bytes": 5_000_000})

    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionResetError

    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever the client makes of its own fault
        await archive.ask("PATCH", made["upload_url"], data=broken(), headers={"Upload-Offset": "0"})
    assert (await archive.get(f"/api/imports/{made['id']}"))["received_bytes"] == 0
    connection = await asyncpg.connect(database.admin_url)
    try:
        await connection.execute("UPDATE archive.import_objects SET remove_at = now() WHERE remove_at IS NOT NULL")
    finally:
        await connection.close()
    await remove(pool, archive)
    assert kept(archive) == []
