"""The drill: a backup while messages flow, everything destroyed, restored: the same answers, nothing lost in silence, nothing sent
twice, although the backup does not know what was sent after it was taken."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fault.account import SETTLED, received_by_provider, send_batch, until_all_are
from tests.fault.conftest import Scene, open_scene
from tests.support.platform import ROOT, Api, Platform, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.timeout(600)

FLOWING: Final = 400
LATER: Final = 20
STATUS_MS: Final = 3_000
LAST_STATUS_MS: Final = 8_000
"""Of what is sent last: nothing is said of it before everything is killed."""
FIRST_DUE: Final = timedelta(seconds=30)
"""Longer than a backup takes."""
FAR: Final = "2032-02-29T12:00:00+00:00"


@pytest.fixture
async def scene(tmp_path: Path, servers: Asking) -> AsyncIterator[Scene]:
    need(servers, "rabbitmq")
    async with AsyncExitStack() as stack:
        yield await open_scene(stack, tmp_path, "stack")


def command(platform: Platform, module: str, argument: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHASQUI_")}
    environment |= {**platform.ports, "CHASQUI_LOCAL__FOLDER": str(platform.folder / "home")}
    argv = [sys.executable, "-m", module, str(argument)]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)


def destroy(home: Path) -> dict[str, str]:
    """Databases, queues, files, journal: all but the secrets, which are kept elsewhere."""
    kept = (home / "secrets.json").read_text()
    shutil.rmtree(home)
    home.mkdir()
    (home / "secrets.json").write_text(kept)
    secrets: dict[str, str] = json.loads(kept)
    return secrets


async def answers(api: Api, ids: list[str], conversation_ids: list[str], file_id: str) -> dict[str, Any]:
    """What a tenant is told of what had ended."""
    async with api.session.get(f"{api.url}/api/media/{file_id}/content") as answer:
        content = answer.status, await answer.read()
    return {
        "messages": {one: await api.message(one) for one in ids},
        "numbers": [number["id"] for number in (await api.get("/api/numbers"))["data"]],
        "contacts": await api.get("/api/contacts"),
        "schedules": await api.get("/api/schedules"),
        "conversations": {one: await api.get(f"/api/conversations/{one}/entries") for one in conversation_ids},
        "file": content,
    }


async def scheduled(api: Api, scene: Scene, count: int, start: int, due: datetime | str) -> list[str]:
    when = due if isinstance(due, str) else due.isoformat()
    return [
        await api.send(**{"to": f"+1888{start + n:07d}", "from": scene.number_id, "scheduled_time": when}) for n in range(count)
    ]


async def until_recorded(api: Api, count: int) -> list[str]:
    """Wait until the archive knows that everybody has read theirs; returns the conversations."""

    async def recorded() -> list[str]:
        found = [conversation["id"] for conversation in (await api.get("/api/conversations?limit=100"))["data"]]
        entries = [entry for one in found for entry in (await api.get(f"/api/conversations/{one}/entries"))["data"]]
        return found if len(found) == count and all(entry.get("status") == "read" for entry in entries) else []

    found: list[str] = await until(recorded, "the archive to know of all")
    return found


async def until_taken(scene: Scene, ids: list[str]) -> None:
    async def taken() -> bool:
        return len(await received_by_provider(scene, ids)) == len(ids)

    await until(taken, "the provider to have all")


@dataclass(slots=True)
class Story:
    """What was sent when, by message ids."""

    source: Path
    """The backup."""
    expected: dict[str, Any]
    ended: list[str]
    """Before the backup."""
    flowing: list[str]
    """While it was taken."""
    reported: list[str]
    """Accepted before the backup, due after it, and read before the end."""
    unreported: list[str]
    """As these, but their reports came when nobody was there to take them."""
    far: str
    """Accepted before the backup, due in years."""
    after: list[str]
    """Accepted after the backup."""

    @property
    def known(self) -> list[str]:
        return [*self.flowing, *self.reported, *self.unreported]

    @property
    def sent(self) -> list[str]:
        return [*self.ended, *self.known, *self.after]


async def until_the_end(scene: Scene, backups: Path) -> tuple[Story, dict[str, Any]]:
    """A platform's life, with a backup in the middle of it; returns also how to ask for what was answered then."""
    async with scene.platform.api() as api:
        ended = await send_batch(api, scene, 10)
        assert (await api.call("POST", "/api/contacts", {"phone": "+4930123456"}))[0] == 201
        pdf = {"Content-Type": "application/pdf"}
        async with api.session.post(f"{api.url}/api/media", data=b"%PDF-1.7\n", headers=pdf) as answer:
            assert answer.status == 201, await answer.text()
            file_id = (await answer.json())["id"]
        await until_all_are(api, ended, {"read"})
        asked = {"conversation_ids": await until_recorded(api, len(ended)), "file_id": file_id}
        await scene.sandbox.patch_behaviour(status_delay_ms=STATUS_MS, latency_ms=40)
        due = datetime.now(UTC) + FIRST_DUE
        reported = await scheduled(api, scene, LATER, 0, due)
        last_due = due + timedelta(milliseconds=4 * STATUS_MS)
        unreported = await scheduled(api, scene, LATER, 1_000, last_due)
        (far,) = await scheduled(api, scene, 1, 2_000, FAR)
        flowing = await send_batch(api, scene, FLOWING, 10_000)
        made = await asyncio.to_thread(command, scene.platform, "local.backup", backups)
        assert made.returncode == 0, made.stderr
        assert datetime.now(UTC) < due, "nothing that is due later has left before the backup is complete"
        expected = await answers(api, ended, **asked)
        after = await send_batch(api, scene, 5, 20_000)
        await until_taken(scene, [*flowing, *after, *reported])
        await scene.sandbox.patch_behaviour(status_delay_ms=LAST_STATUS_MS)
        assert datetime.now(UTC) < last_due, "what is sent last is reported late"
        await until_all_are(api, [*flowing, *after, *reported], {"read"})
        await until_taken(scene, unreported)
    return Story(next(backups.iterdir()), expected, ended, flowing, reported, unreported, far, after), asked


def kill_all(platform: Platform) -> None:
    processes = platform.reread()["processes"]
    platform.kill()
    for process in processes:
        if process.get("pid") and Path(f"/proc/{process['pid']}").exists():
            os.kill(process["pid"], signal.SIGKILL)


async def operators_decide(api: Api, operator: Api, scene: Scene, story: Story) -> None:
    """One is sent once more, the others never."""

    async def told() -> Any:
        state = await operator.get("/admin/restored")
        return state if state["waiting"] == (await api.statuses())["unknown"] else None

    state = await until(told, "what waits to be what is unknown")
    assert state["numbers"][0]["number_id"] == scene.number_id
    wish = {"decision": "send", "message_ids": story.reported[:1]}
    assert await operator.call("POST", "/admin/restored", wish) == (200, {"decided": 1, "is_complete": True})
    await until_all_are(api, story.reported[:1], {"read"})
    status, body = await operator.call("POST", "/admin/restored", {"decision": "discard"})
    assert (status, body) == (200, {"decided": state["waiting"] - 1, "is_complete": True})
    assert (await operator.get("/admin/restored"))["waiting"] == 0
    assert {line["action"] for line in (await operator.get("/admin/audit"))["data"]} >= {"restored.send", "restored.discard"}


async def test_the_drill(scene: Scene, tmp_path: Path) -> None:
    platform = scene.platform
    story, asked = await until_the_end(scene, tmp_path / "backups")
    kill_all(platform)
    await scene.sandbox.patch_behaviour(status_delay_ms=STATUS_MS)
    before = await received_by_provider(scene, story.sent)
    assert before == dict.fromkeys(story.sent, 1)
    secrets = destroy(platform.folder / "home")
    for path in (path for path in story.source.rglob("*") if path.is_file()):
        assert not [name for name, secret in secrets.items() if secret.encode() in path.read_bytes()], path.name

    done = await asyncio.to_thread(command, platform, "local.restore", story.source)
    assert done.returncode == 0, done.stderr
    await platform.start()
    await platform.until_ready()

    async with platform.api() as api, platform.api(platform.run["admin_key"]) as operator:
        assert await answers(api, story.ended, **asked) == story.expected
        # What was released when the backup was taken is told again after 90 s.
        await until_all_are(api, story.known, {*SETTLED, "unknown"}, 150)
        await until_all_are(api, story.unreported, SETTLED)  # the provider repeats what nobody took
        assert {one["status"] for one in await until_all_are(api, story.reported, {"unknown"})} == {"unknown"}
        assert (await api.message(story.far))["status"] == "scheduled"
        assert (await api.call("GET", f"/api/messages/{story.after[0]}"))[0] == 404
        assert await received_by_provider(scene, story.sent) == before, "nothing has left twice"

        await operators_decide(api, operator, scene, story)
        new = await send_batch(api, scene, 5, 30_000)
        await until_all_are(api, new, {"read"})
        wanted = {**before, **dict.fromkeys(new, 1), story.reported[0]: 2}
        assert await received_by_provider(scene, [*story.sent, *new]) == wanted, "twice is what was wanted twice"


async def test_a_restore_overwrites_nothing_and_needs_the_secrets(tmp_path: Path) -> None:
    platform = Platform(tmp_path)
    try:
        await platform.start()
        made = await asyncio.to_thread(command, platform, "local.backup", tmp_path / "backups")
        assert made.returncode == 0, made.stderr
    finally:
        platform.end()
    source, home = next((tmp_path / "backups").iterdir()), tmp_path / "home"
    secrets = json.loads((home / "secrets.json").read_text())

    async def refusal() -> str:
        done = await asyncio.to_thread(command, platform, "local.restore", source)
        assert done.returncode == 1
        return done.stderr

    assert "move it away" in await refusal()
    destroy(home)
    (home / "secrets.json").unlink()
    assert "Put the secrets.json" in await refusal()
    (home / "secrets.json").write_text(json.dumps({**secrets, "master_key": "A" * 43 + "="}))
    assert "another master key" in await refusal()
    (home / "secrets.json").write_text(json.dumps(secrets))
    with (source / "database.dump").open("ab") as dump:
        dump.write(b"x")
    assert "is not what was backed up" in await refusal()
    assert sorted(path.name for path in home.iterdir()) == ["lock", "secrets.json"]
