"""Have the models tell of every entry, in processes of their own, as they come and from the first one there is.

A follower of the rows: switched on late, it catches up; with other models it begins anew. When the models fail - a process died,
the extra is broken - they rest longer and longer, and nothing is lost meanwhile: the follower's place stays where it was. Unless a
single text does it again and again: that one is looked for, half by half, and marked as failed, so that it holds back no other.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from itertools import chain
from typing import Final

import structlog

from services.archive.annotations import models
from services.archive.cache import Changes
from services.archive.domain.annotation import Annotation
from services.archive.follow import Follower, Span
from services.archive.store import annotations as store
from services.archive.store.annotations import Text, Told
from shared.db.pool import Connection, Pool

log = structlog.get_logger(__name__)

ANSWER_SECONDS: Final = 120.0
"""Longest time the models may take for one step: far less than a second is usual."""
START_SECONDS: Final = 120.0
"""The same of the processes' start, which loads the models."""
LEAST_SECONDS: Final = 10.0
"""They always have so long, however few of a step's texts they are asked for."""
FIRST_REST_SECONDS: Final = 5.0
LONGEST_REST_SECONDS: Final = 600.0

Tell = Callable[[Sequence[str]], list[Annotation | None]]


def follower_name() -> str:
    """Of the one that runs: with other models it begins anew."""
    return f"annotations: {models.model_name()}"


class ModelsAwayError(Exception):
    """The models gave no answer."""


class ModelsDiedError(ModelsAwayError):
    """The processes died, or did not come to an end: that can be a text's fault."""


class Annotator:
    """`processes` are started with the first text. `close` ends them."""

    def __init__(
        self,
        pool: Pool,
        changes: Changes,
        *,
        processes: int,
        batch: int,
        tell: Tell = models.annotate,
        prepare: Callable[[], None] = models.prepare,
    ) -> None:
        self._changes = changes
        self._annotated: set[str] = set()
        """Conversations whose entries the step that goes on has annotated: their pages are others once it is committed."""
        self._processes = processes
        self._batch = batch
        self._tell = tell
        self._prepare = prepare
        self._model = models.model_name()
        self._follower = Follower(pool, follower_name(), self._effect, rows=batch)
        self._workers: ProcessPoolExecutor | None = None
        self._suspects: Sequence[Text] = ()
        """What the models died of in the step that goes on."""
        self._fatal: set[Text] = set()
        """Texts of the next step that the models are not asked for any more."""
        self._rest_seconds = 0.0
        self._rests_until = 0.0

    async def step(self) -> bool:
        """Annotate the next entries; True where there may be more. Does nothing while the models rest."""
        now = asyncio.get_running_loop().time
        if now() < self._rests_until:
            return False
        try:
            await self._start()  # before a transaction waits for them
            more = await self._follower.step()
        except ModelsAwayError as error:
            if await self._has_found_fatal():
                return True
            self._rest_seconds = min(max(2 * self._rest_seconds, FIRST_REST_SECONDS), LONGEST_REST_SECONDS)
            self._rests_until = now() + self._rest_seconds
            log.warning("annotations.models_away", error=str(error), rest_seconds=self._rest_seconds)
            return False
        self._rest_seconds = 0.0
        self._fatal.clear()
        if self._annotated:
            await self._changes.changed(self._annotated)
            self._annotated = set()
        return more

    def close(self) -> None:
        """End the processes, whatever they are doing. Twice is safe."""
        if self._workers is None:
            return
        workers, self._workers = self._workers, None
        running = list((workers._processes or {}).values())  # noqa: SLF001  # no other way before Python 3.14
        workers.shutdown(wait=False, cancel_futures=True)
        for process in running:
            process.kill()

    async def _effect(self, connection: Connection, span: Span) -> bool:
        await store.bear_silence(connection, 2 * ANSWER_SECONDS)
        changed = await store.changed_texts(connection, self._batch)
        await self._annotate(connection, changed)
        async for texts in store.texts(connection, span.low, span.high, self._batch):
            await self._annotate(connection, texts)
        return len(changed) == self._batch

    async def _annotate(self, connection: Connection, texts: Sequence[Text]) -> None:
        if not texts:
            return
        asked = [text for text in texts if text not in self._fatal]
        try:
            answers = dict(zip(asked, await self._answers(asked, ANSWER_SECONDS), strict=True))
        except ModelsDiedError:
            self._suspects = asked
            raise
        told = [_told(text, answers.get(text)) for text in texts]
        await store.keep(connection, self._model, told)
        self._annotated.update(await store.conversation_ids(connection, {text.conversation_no for text in texts}))
        if failed := sum(one.state == "failed" for one in told):
            log.warning("annotations.failed", entries=failed)

    async def _has_found_fatal(self) -> bool:
        """Whether one of the suspects is what the models die of. Outside of transactions: it takes its time."""
        suspects, self._suspects = self._suspects, ()
        if not suspects:
            return False
        whole = len(suspects)
        try:
            while len(suspects) > 1:
                half = suspects[: len(suspects) // 2]
                suspects = suspects[len(half) :] if await self._survive(half, whole) else half
            if await self._survive(suspects, whole):
                return False  # they died by chance
        except ModelsAwayError:
            return False
        self._fatal.update(suspects)
        log.warning("annotations.fatal", entry_id=suspects[0].entry_id)
        return True

    async def _survive(self, texts: Sequence[Text], whole: int) -> bool:
        """Whether the models tell of these, which are some of as many as `whole`: they have less time by as much."""
        await self._start()
        try:
            await self._answers(texts, max(ANSWER_SECONDS * len(texts) / whole, LEAST_SECONDS))
        except ModelsDiedError:
            return False
        return True

    async def _start(self) -> None:
        """Have the processes ready. Raises `ModelsAwayError`."""
        if self._workers is None:
            self._workers = ProcessPoolExecutor(
                self._processes, mp_context=multiprocessing.get_context("spawn"), initializer=self._prepare
            )
            await self._ask([[""]] * self._processes, START_SECONDS)

    async def _answers(self, texts: Sequence[Text], seconds: float) -> list[Annotation | None]:
        """In their order. Raises `ModelsAwayError`; the processes are then new ones next time."""
        bodies = [text.body for text in texts]
        size = max(-(-len(bodies) // self._processes), 1)
        return await self._ask([bodies[start : start + size] for start in range(0, len(bodies), size)], seconds)

    async def _ask(self, parts: Sequence[Sequence[str]], seconds: float) -> list[Annotation | None]:
        loop, workers = asyncio.get_running_loop(), self._workers
        if workers is None:
            raise ModelsAwayError("closed")
        try:
            async with asyncio.timeout(seconds):
                answers = await asyncio.gather(*(loop.run_in_executor(workers, self._tell, part) for part in parts))
        except (BrokenExecutor, TimeoutError) as error:
            self.close()
            raise ModelsDiedError(type(error).__name__) from error
        except (ImportError, OSError) as error:
            self.close()
            raise ModelsAwayError(type(error).__name__) from error
        return list(chain.from_iterable(answers))


def _told(text: Text, answer: Annotation | None) -> Told:
    key = text.entry_id, text.sent_at, text.conversation_no
    if answer is None:
        return Told(*key, state="failed", language=None, sentiment=None, entities=None)
    entities = [{"kind": entity.kind, "text": entity.text} for entity in answer.entities]
    return Told(*key, state="done", language=answer.language, sentiment=answer.sentiment, entities=entities or None)
