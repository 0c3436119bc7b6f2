"""Annotating entries in processes: as they come, late, again, and when the models fail."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from pydantic import ValidationError

from services.archive.annotations import jobs, models
from services.archive.annotations.annotator import Annotator
from services.archive.cache import Changes
from services.archive.domain.annotation import Annotation, Entity
from services.archive.record import Recorder
from services.archive.routes.shown import entry_shown
from services.archive.settings import AnnotationSettings
from services.archive.statistics.reading import Asked, conversation_analysis
from services.archive.store import read, removal
from shared.db.pool import Pool, open_pool, role_of
from tests.support.archive_events import edited, received, revoked
from tests.support.database import Database
from tests.support.following import all_ended, catch_up


def no_models() -> None:
    """Nothing to prepare."""


def spell(texts: Sequence[str]) -> list[Annotation | None]:
    """A model that tells the text itself, and fails on some."""
    return [None if "fail" in text else Annotation("en", 0.5, (Entity("tag", text),)) for text in texts]


def die(texts: Sequence[str]) -> list[Annotation | None]:
    """A model that takes its process along."""
    os._exit(1)


@asynccontextmanager
async def annotating(
    pool: Pool, tell: Callable[[Sequence[str]], list[Annotation | None]] = spell, *, batch: int = 100
) -> AsyncIterator[Annotator]:
    annotator = Annotator(pool, Changes(), processes=2, batch=batch, tell=tell, prepare=no_models)
    try:
        yield annotator
    finally:
        annotator.close()


async def done(annotator: Annotator, pool: Pool, expected: int) -> None:
    """Steps until so many entries are annotated."""
    async with asyncio.timeout(180):
        while await states(pool) != ["done"] * expected:
            await annotator.step()


async def states(pool: Pool) -> list[str]:
    return [row["state"] for row in await pool.fetch("SELECT state FROM annotations ORDER BY sent_at")]


async def told(pool: Pool) -> list[str]:
    """What the model was shown of each entry, in the order of the entries."""
    rows = await pool.fetch("SELECT entities->0->>'text' AS text FROM annotations WHERE state = 'done' ORDER BY sent_at")
    return [row["text"] for row in rows]


async def test_what_was_there_before_is_caught_up_with_and_what_comes_is_added(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received(f"w{n}", f"text {n}", seconds=n) for n in range(25)])
    async with annotating(pool, batch=10) as annotator:
        await done(annotator, pool, 25)
        await recorder.record([received("w25", "text 25", seconds=25)])
        await done(annotator, pool, 26)
    assert await told(pool) == [f"text {n}" for n in range(26)]


async def test_an_entry_without_text_is_none_of_its_business(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", content={"type": "image", "image": {}}), received("w2", "text", seconds=1)])
    async with annotating(pool) as annotator:
        await done(annotator, pool, 1)


async def test_a_changed_text_is_annotated_again(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "before"), received("w2", "taken back", seconds=1)])
    async with annotating(pool) as annotator:
        await done(annotator, pool, 2)
        await recorder.record([edited("w1", "after"), revoked("w2")])
        assert await states(pool) == ["stale", "stale"]
        await done(annotator, pool, 2)
    assert await told(pool) == ["after", ""]


async def test_an_entry_that_the_models_fail_on_spoils_no_other(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "one"), received("w2", "fail", seconds=1), received("w3", "three", seconds=2)])
    async with annotating(pool) as annotator, asyncio.timeout(180):
        while not await states(pool):
            await annotator.step()
    assert await states(pool) == ["done", "failed", "done"]
    assert await told(pool) == ["one", "three"]


async def test_models_that_die_rest_and_nothing_is_lost(
    pool: Pool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorder.record([received("w1", "text")])
    await all_ended(pool)
    async with annotating(pool, die) as annotator:
        await annotator.step()  # begins to follow
        assert not await annotator.step()
        assert await states(pool) == []
        monkeypatch.setattr(annotator, "_tell", spell)
        await annotator.step()
        assert await states(pool) == []  # it rests
        monkeypatch.setattr(annotator, "_rests_until", 0.0)
        await done(annotator, pool, 1)


def die_of_some(texts: Sequence[str]) -> list[Annotation | None]:
    """A model that some texts kill."""
    if any("kill" in text for text in texts):
        os._exit(1)
    return spell(texts)


def hang_on_some(texts: Sequence[str]) -> list[Annotation | None]:
    """A model that some texts never let go."""
    if any("kill" in text for text in texts):
        time.sleep(600)
    return spell(texts)


@pytest.mark.parametrize("tell", [die_of_some, hang_on_some])
async def test_a_text_that_takes_the_models_with_it_holds_back_no_other(
    pool: Pool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, tell: Callable[[Sequence[str]], list[Annotation | None]]
) -> None:
    monkeypatch.setattr("services.archive.annotations.annotator.ANSWER_SECONDS", 3.0)
    monkeypatch.setattr("services.archive.annotations.annotator.LEAST_SECONDS", 3.0)
    says = ["one", "two", "kill", "four", "five"]
    await recorder.record([received(f"w{n}", body, seconds=n) for n, body in enumerate(says)])
    async with annotating(pool, tell) as annotator:
        async with asyncio.timeout(180):
            while not await states(pool):
                await annotator.step()
        assert await states(pool) == ["done", "done", "failed", "done", "done"]
        await recorder.record([edited("w2", "three")])
        await done(annotator, pool, 5)
    assert await told(pool) == ["one", "two", "three", "four", "five"]


def muse(texts: Sequence[str]) -> list[Annotation | None]:
    """A model that takes longer than a transaction may be silent."""
    time.sleep(1 if any(texts) else 0)
    return spell(texts)


async def test_models_may_think_longer_than_others_may_be_silent(database: Database, pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "one"), received("w2", "two", seconds=1)])
    admin, name = await asyncpg.connect(database.admin_url), urlsplit(database.url).path[1:]
    await admin.execute(f"ALTER ROLE {role_of('archive')} IN DATABASE {name} SET idle_in_transaction_session_timeout = '500ms'")
    await admin.close()
    async with open_pool(database.settings_for("archive"), "archive") as strict, annotating(strict, muse) as annotator:
        await done(annotator, pool, 2)


async def test_two_replicas_take_turns(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received(f"w{n}", f"text {n}", seconds=n) for n in range(40)])
    async with annotating(pool, batch=5) as one, annotating(pool, batch=5) as other:
        await asyncio.gather(done(one, pool, 40), done(other, pool, 40))
    assert await told(pool) == [f"text {n}" for n in range(40)]


async def test_what_is_removed_loses_its_annotation(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "text")])
    async with annotating(pool) as annotator:
        await done(annotator, pool, 1)
    row = await pool.fetchrow("SELECT id, sent_at FROM entries")
    assert row is not None
    async with pool.acquire() as connection, connection.transaction():
        await removal.remove(connection, [(row["id"], row["sent_at"])])
    assert await states(pool) == []


async def test_the_models_tell_languages_and_moods_which_are_counted(pool: Pool, recorder: Recorder) -> None:
    says = [
        "Thank you so much, this is wonderful!",
        "I hate this, it is terrible",
        "¿Dónde está mi pedido?",
        "Wo ist mein Paket geblieben?",
    ]
    await recorder.record([received(f"w{n}", body, seconds=n) for n, body in enumerate(says)])
    async with annotating(pool, models.annotate) as annotator:
        await done(annotator, pool, 4)
    await catch_up(pool)
    number = await pool.fetchval("SELECT conversation_no FROM conversations")
    found = await conversation_analysis(pool, number, Asked(ZoneInfo("UTC")))
    assert found.languages == {"en": 2, "de": 1, "es": 1}
    assert found.moods == {"positive": 1, "negative": 1}
    assert [(mood.positive, mood.negative) for mood in found.moods_by_day] == [(1, 1)]


@pytest.mark.parametrize(
    ("text", "language", "mood"),
    [
        ("good morning everyone", "en", 1),
        ("this is awful", "en", -1),
        ("see you at ten tomorrow", "en", 0),
        ("nos vemos mañana por la tarde 😍", "es", 1),
        ("nos vemos mañana por la tarde", "es", None),
        ("早上好,明天见", "zh", None),
        ("صباح الخير يا صديقي", "ar", None),
        ("https://example.com/in/english", None, None),
        ("👍 12345", None, None),
        ("\ud800 lone", None, None),
    ],
)
def test_what_the_models_tell(text: str, language: str | None, mood: int | None) -> None:
    (found,) = models.annotate([text])
    assert found is not None
    if "lone" not in text:
        assert found.language == language
    sign = None if found.sentiment is None else (found.sentiment > 0) - (found.sentiment < 0)
    assert sign == mood


async def test_nothing_is_started_unless_it_is_switched_on(pool: Pool) -> None:
    async with AsyncExitStack() as stack:
        assert jobs.jobs(stack, pool, Changes(), AnnotationSettings()) == []
        assert len(jobs.jobs(stack, pool, Changes(), AnnotationSettings(enabled=True))) == 1


def test_it_cannot_be_switched_on_without_its_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.archive.settings.find_spec", lambda _: None)
    with pytest.raises(ValidationError, match="nlp"):
        AnnotationSettings(enabled=True)


async def test_an_entry_shows_what_the_models_said_of_it(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "text")])
    row = await pool.fetchrow("SELECT id, tenant_id FROM entries")
    assert row is not None
    before = await read.entry(pool, row["tenant_id"], row["id"])
    assert before is not None
    assert before.annotation is None
    async with annotating(pool) as annotator:
        await done(annotator, pool, 1)
    after = await read.entry(pool, row["tenant_id"], row["id"])
    assert after is not None
    assert after.annotation == Annotation("en", 0.5, (Entity("tag", "text"),))
    shown = entry_shown(after).model_dump(exclude_none=True)["annotation"]
    assert shown == {"language": "en", "sentiment": 0.5, "entities": [{"kind": "tag", "text": "text"}]}
