"""Whichever way a search goes, it finds what is there: all of it, once, newest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.archive.domain import routing
from services.archive.domain.hit import Filters
from services.archive.domain.query import parse
from services.archive.search import find, months
from services.archive.search.answer import FIRST, Asked, Order, Searcher
from shared.db.pool import Pool
from tests.support.archive_events import TENANT
from tests.support.archive_search import SINCE, Said, Shelf, chatter, counted, hits, pages, searcher_of, shelve
from tests.support.database import Database

ROWS = 2_400
SAID = chatter(ROWS)
QUESTIONS = (
    "every", "half", "few", "old", "nobody", "apart never", "every nobody", "half few", "old half", "car red", '"car red"',
    "ca*", "n1*", "every -half", "house parcel", "every -red", '"red car" half', "old new", "n17", 'every -"car red"',
)  # fmt: skip
FILTERS = (
    {}, {"is_outgoing": True}, {"types": ("image",)}, {"has_file": True}, {"has_file": False}, {"types": ("image", "text")},
    {"since": SINCE + timedelta(days=40), "until": SINCE + timedelta(days=200)},
    {"until": SINCE + timedelta(days=9)}, {"conversation": 0}, {"conversation": 2, "is_outgoing": False},
)  # fmt: skip


@pytest.fixture(params=["as it is", "small steps", "spans", "days", "not counted"])
async def archive(
    request: pytest.FixtureRequest, database: Database, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Searcher, Shelf]]:
    """Also with limits so small that every way of searching is gone, and goes over to the next."""
    if request.param == "small steps":
        monkeypatch.setattr(routing, "FEW", 20)
        monkeypatch.setattr(find, "WALKED_ROWS", 60)
        monkeypatch.setattr(routing, "WALKED_ROWS", 60)
        monkeypatch.setattr(routing, "COLLECTED", 40)
        monkeypatch.setattr(routing, "AMPLE", -5)
        monkeypatch.setattr(find, "CAP", 90)
        monkeypatch.setattr(find, "PHRASE_BLOCK", 10)
    if request.param in {"spans", "days"}:
        monkeypatch.setattr(routing, "FEW", 5)
        monkeypatch.setattr(routing, "COLLECTED", 5)
        monkeypatch.setattr(routing, "ROW_COST", 1000)
        monkeypatch.setattr(find, "CAP", 60)
    if request.param == "days":
        monkeypatch.setattr(routing, "DAYS_AT_ONCE", 400)
        monkeypatch.setattr(routing, "AMPLE", -5)
    shelf = await shelve(pool, SAID)
    if request.param != "not counted":
        await counted(pool)
    async with searcher_of(database, pool) as searcher:
        yield searcher, shelf


def plain(question: str, **narrowed: object) -> list[str]:
    """What should be found, by looking at everything."""
    query = parse(question)
    found = []
    for place, said in enumerate(SAID):
        words = said.body.split()
        if (
            all(any(want.accepts(word) for word in words) for want in query.wanted)
            and not any(want.accepts(word) for want in query.unwanted for word in words)
            and query.is_met_by(said.body)
            and narrowed.get("is_outgoing", said.is_outgoing) == said.is_outgoing
            and said.type in narrowed.get("types", (said.type,))  # type: ignore[operator]
            and narrowed.get("has_file", said.type == "image") == (said.type == "image")
            and narrowed.get("since", said.at) <= said.at  # type: ignore[operator]
            and said.at < narrowed.get("until", said.at + timedelta(1))  # type: ignore[operator]
            and narrowed.get("conversation", said.conversation) == said.conversation
        ):
            found.append((said.at, place, said.body))
    return [body for _, _, body in sorted(found, reverse=True)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("narrowed", FILTERS)
async def test_every_question_is_answered_as_if_everything_had_been_looked_at(
    archive: tuple[Searcher, Shelf], narrowed: dict[str, object]
) -> None:
    searcher, shelf = archive
    given = dict(narrowed)
    conversation = given.pop("conversation", None)
    more = {} if conversation is None else {"conversation_id": shelf.conversations[conversation][1]}  # type: ignore[index]
    for question in QUESTIONS:
        found = await hits(searcher, question, Filters(**given), limit=40, **more)  # type: ignore[arg-type]
        assert [hit.body for hit in found] == plain(question, **narrowed), (question, narrowed)


async def test_without_words_filters_find(archive: tuple[Searcher, Shelf]) -> None:
    searcher, _ = archive
    found = await hits(searcher, "", Filters(types=("image",)))
    assert [hit.body for hit in found] == plain("", types=("image",))
    found = await hits(searcher, "", Filters(is_outgoing=True), limit=100)
    assert [hit.body for hit in found] == plain("", is_outgoing=True)


async def test_pages_stay_where_they_are_while_rows_come_in(archive: tuple[Searcher, Shelf], pool: Pool) -> None:
    searcher, _ = archive
    for order in Order:
        asked = Asked(parse("half"), order=order)
        first = await searcher.answer(TENANT, asked, FIRST, 30)
        assert first.next is not None
        undisturbed = await searcher.answer(TENANT, asked, first.next, 30)
        await shelve(pool, [Said("half a day later", said.at) for said in SAID[::40]])
        assert (await searcher.answer(TENANT, asked, first.next, 30)).hits == undisturbed.hits


async def test_by_relevance_every_candidate_comes_once_the_best_first(archive: tuple[Searcher, Shelf]) -> None:
    searcher, _ = archive
    asked = Asked(parse("house parcel"), order=Order.RELEVANCE)
    answers = await pages(searcher, asked, 7)
    found = [hit.body for answer in answers for hit in answer.hits]
    assert sorted(found) == sorted(plain("house parcel"))
    together = ["house parcel" in body for body in found]
    assert together[0]
    assert not together[-1]


async def test_no_list_of_the_most_relevant_is_empty_because_time_was_short(
    archive: tuple[Searcher, Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher, _ = archive
    monkeypatch.setattr(find, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(find, "STEPS", 1)
    monkeypatch.setattr("services.archive.search.answer.PAGES_WITHOUT_HITS", 200)
    for question in QUESTIONS:
        answer = await searcher.answer(TENANT, Asked(parse(question), order=Order.RELEVANCE), FIRST, 10)
        assert bool(answer.hits) == bool(plain(question)), question


HALVES = Counter(f"{said.at:%Y-%m}" for said in SAID if "half" in said.body)


async def test_months_are_counted(archive: tuple[Searcher, Shelf]) -> None:
    searcher, _ = archive
    answer = await searcher.answer(TENANT, Asked(parse("half"), months=True), FIRST, 10)
    assert answer.months is not None
    counts, is_exact = answer.months
    assert is_exact
    assert {f"{month.month:%Y-%m}": month.hits for month in counts} == HALVES


async def test_months_of_very_many_hits_are_estimated(database: Database, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(months, "COUNTED", 0)
    await shelve(pool, SAID)
    await counted(pool)
    async with searcher_of(database, pool) as searcher:
        answer = await searcher.answer(TENANT, Asked(parse("half"), months=True), FIRST, 10)
    assert answer.months is not None
    counts, is_exact = answer.months
    assert not is_exact
    assert all(abs(month.hits - HALVES[f"{month.month:%Y-%m}"]) <= 25 for month in counts)
