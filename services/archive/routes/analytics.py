"""GET /api/analytics, and those of a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from services.archive.cache import analytics_group
from services.archive.domain import statistics as domain
from services.archive.operations import analytics as operations
from services.archive.payloads.analytics import (
    AnalyticsQuery,
    AnswerTimes,
    AuthorShare,
    BusyConversation,
    ConversationAnalytics,
    ConversationStats,
    Day,
    DeliveryRates,
    MoodDay,
    Moods,
    ResponseTimes,
    Share,
    Silence,
    Span,
    StreakPayload,
    TenantAnalytics,
    TermCount,
    Totals,
)
from services.archive.routes.kept import Answers
from services.archive.statistics.reading import Analysis, Asked, Author, conversation_analysis, tenant_analysis
from services.archive.store import statistics as store
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_query
from shared.http.routes import Access, Route


def routes(pool: Pool, tenants: Tenants, answers: Answers, *, seconds: int) -> Sequence[Route]:
    """The statistics of tenants and conversations, kept for so many seconds, or until they are counted anew."""

    async def get_analytics(request: web.Request) -> web.StreamResponse:
        asked, tenant = read_query(request, AnalyticsQuery), tenant_of(request)

        async def load() -> TenantAnalytics:
            tenant_no = await tenants.known(tenant)
            found = await tenant_analysis(pool, tenant_no or 0, _asked(asked))
            return TenantAnalytics(
                **_common(found, asked),
                busiest=[BusyConversation(conversation_id=id_, **brief._asdict()) for id_, brief in found.busiest],
            )

        return await answers.about_group(request, analytics_group(tenant), seconds, load)

    async def get_conversation_analytics(request: web.Request) -> web.StreamResponse:
        asked, conversation_id = read_query(request, AnalyticsQuery), request.match_info["conversation_id"]

        async def load() -> ConversationAnalytics:
            conversation_no = await store.conversation_no(pool, tenant_of(request), conversation_id)
            if conversation_no is None:
                raise Rejected("conversation.unknown", "No such conversation.", status=404)
            found = await conversation_analysis(pool, conversation_no, _asked(asked))
            return ConversationAnalytics(
                **_common(found, asked),
                conversation_id=conversation_id,
                counted_at=found.counted_at,
                all_time=ConversationStats(**found.all_time._asdict()) if found.all_time else None,
                authors=_authors(found.authors),
                longest_silence=_silence(found),
            )

        return await answers.about_group(request, analytics_group(conversation_id), seconds, load)

    return (
        operations.GET_ANALYTICS.served_by(get_analytics, Access.INTERNAL),
        operations.GET_CONVERSATION_ANALYTICS.served_by(get_conversation_analytics, Access.INTERNAL),
    )


def _asked(query: AnalyticsQuery) -> Asked:
    return Asked(ZoneInfo(query.time_zone), query.first_day, query.last_day)


def _common(found: Analysis, asked: AnalyticsQuery) -> dict[str, Any]:
    heatmap = [[sum(found.hours[weekday * 24 + hour]) for hour in range(24)] for weekday in range(7)]
    typed = sum(found.types.values())
    return {
        "range": Span(first_day=found.first_day, last_day=found.last_day, time_zone=asked.time_zone),
        "totals": Totals(
            messages=found.messages,
            incoming=sum(incoming for incoming, _ in found.days.values()),
            outgoing=sum(outgoing for _, outgoing in found.days.values()),
            notices=found.notices,
            active_days=len(found.days),
            average_length=found.characters / found.texts if found.texts else None,
        ),
        "days": [Day(date=day, incoming=incoming, outgoing=outgoing) for day, (incoming, outgoing) in found.days.items()],
        "hours": [sum(row[hour] for row in heatmap) for hour in range(24)],
        "weekdays": [sum(row) for row in heatmap],
        "heatmap": heatmap,
        "response_times": ResponseTimes(business=_answers(found.of_business), contact=_answers(found.of_contact)),
        "delivery": DeliveryRates(
            sent=found.delivery.sent,
            delivered=found.delivery.delivered,
            read=found.delivery.read,
            failed=found.delivery.failed,
            delivered_rate=found.delivery.delivered_rate,
            read_rate=found.delivery.read_rate,
        ),
        "types": _shares(found.types),
        "media_share": sum(n for kind, n in found.types.items() if kind in domain.MEDIA_TYPES) / typed if typed else None,
        "words": [TermCount(term=term, messages=number) for term, number in found.terms.words.items()],
        "emoji": [TermCount(term=term, messages=number) for term, number in found.terms.emoji.items()],
        "languages": _shares(found.languages),
        "sentiment": Moods(**{mood: found.moods.get(mood, 0) for mood in ("positive", "neutral", "negative")}),
        "sentiment_days": [
            MoodDay(date=mood.day, positive=mood.positive, neutral=mood.neutral, negative=mood.negative)
            for mood in found.moods_by_day
        ],
        "longest_streak": StreakPayload(
            days=found.streak.days, first_day=found.streak.first_day, last_day=found.streak.last_day
        )
        if found.streak
        else None,
    }


def _shares(counts: Mapping[str, int]) -> list[Share]:
    total = sum(counts.values())
    return [Share(name=name, messages=number, share=number / total) for name, number in counts.items()]


def _answers(answers: domain.Answers) -> AnswerTimes:
    return AnswerTimes(answers=answers.count, median_seconds=answers.median_seconds, p90_seconds=answers.p90_seconds)


def _authors(authors: Sequence[Author]) -> list[AuthorShare]:
    total = sum(author.messages for author in authors)
    return [
        AuthorShare(
            participant_id=author.participant.id if author.participant else None,
            name=author.participant.name if author.participant else None,
            phone=author.participant.address if author.participant else None,
            is_business=author.participant.is_business if author.participant else author.key == "business",
            messages=author.messages,
            share=author.messages / total,
            average_length=author.characters / author.messages,
        )
        for author in authors
    ]


def _silence(found: Analysis) -> Silence | None:
    if found.silence is None:
        return None
    from_at, until_at = found.silence
    return Silence(seconds=(until_at - from_at).total_seconds(), from_at=from_at, until_at=until_at)
