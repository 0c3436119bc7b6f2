"""Who works on imports and exports ends when told so, whatever comes in the place of the cancellation."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from services.archive.exports.work import ExportWorker
from services.archive.imports.work import ImportWorker

NOTHING = cast("Any", None)


class _Hidden:
    """Work in which something breaks at the moment it is to end."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.times = 0

    async def work(self) -> bool:
        self.times += 1
        self.begun.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise TimeoutError from None
        return False


@pytest.mark.parametrize("kind", ["imports", "exports"])
async def test_hands_end_although_their_cancellation_is_hidden(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, stop = _Hidden(), asyncio.Event()
    worker: ImportWorker | ExportWorker
    if kind == "imports":
        worker = ImportWorker(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, at_once=1, lease_seconds=30)
        monkeypatch.setattr(worker, "work_once", hidden.work)
    else:
        worker = ExportWorker(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, days=7, at_once=1)
        monkeypatch.setattr(worker, "work", hidden.work)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(worker.run(stop))
        await hidden.begun.wait()
        stop.set()
    assert hidden.times == 1
