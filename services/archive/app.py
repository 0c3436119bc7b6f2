"""Wiring of the archive: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from services.archive import erase
from services.archive.annotations.jobs import jobs as annotation_jobs
from services.archive.cache import Changes, Reads
from services.archive.consumers import SUBSCRIPTIONS, subscriber
from services.archive.exports.work import ExportWorker, expire_job
from services.archive.forget import forgetting
from services.archive.imports.upload import Uploads
from services.archive.imports.work import ImportWorker
from services.archive.jobs import catch_up_job, import_jobs, jobs, retention_jobs, turn_job, warm_job
from services.archive.metrics import add_sources
from services.archive.nearby import CHANNEL, LISTEN_SECONDS, Listener, Nearby
from services.archive.record import Recorder
from services.archive.retain import Retention
from services.archive.routes import analytics, bookmarks, caching, files, marking, participants, search
from services.archive.routes import retention as retention_routes
from services.archive.routes.conversations import ConversationRoutes
from services.archive.routes.cursor import Cursors
from services.archive.routes.entries import EntryRoutes
from services.archive.routes.exports import ExportRoutes
from services.archive.routes.imports import ImportRoutes
from services.archive.routes.kept import Answers
from services.archive.routes.labels import LabelRoutes
from services.archive.search.answer import Searcher
from services.archive.search.jobs import lexicon_job
from services.archive.search.pool import open_search_pool
from services.archive.settings import Settings
from services.archive.statistics.counting import Delays
from services.archive.statistics.jobs import jobs as statistics_jobs
from services.archive.tenants import Tenants
from services.archive.warm import Warmer
from shared.bus.depths import depths
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.cache import Cache
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.db.query_times import QueryTimes
from shared.db.replica import open_replica
from shared.erasure import steps
from shared.http.internal import internal, service
from shared.http.routes import Access
from shared.http.scraping import scraper
from shared.http.server import HttpServer
from shared.objects.store import open_objects
from shared.operations.station import Station
from shared.redis import open_redis, open_waiting_redis
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

ANALYTICS_BEHIND_SECONDS: Final = 60
"""How long analytics from a replica are kept: nobody can tell whether the last count had reached it."""


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing, metrics: Metrics) -> Sequence[Component]:
    """Open what the archive needs; nothing runs yet."""
    times = QueryTimes(metrics, "main")
    pool = await stack.enter_async_context(open_pool(settings.db, "archive", times=times))
    replica = pool  # for reads that are not kept, or not for long, and may be a moment behind
    analytics_seconds = settings.archive.cache_analytics_seconds
    if settings.db_replica.url:
        analytics_seconds = min(analytics_seconds, ANALYTICS_BEHIND_SECONDS)
        replica = await stack.enter_async_context(
            open_replica(settings.db, settings.db_replica, "archive", pool, times=QueryTimes(metrics, "replica"))
        )
    searching = await stack.enter_async_context(open_search_pool(settings.db, settings.db_replica, settings.search, metrics))
    redis = await stack.enter_async_context(open_redis(settings.redis))
    waiting_redis = await stack.enter_async_context(open_waiting_redis(settings.redis, LISTEN_SECONDS))
    cache = Cache(redis, channel=CHANNEL)
    nearby = Nearby(settings.archive.cache_process_mib << 20, settings.archive.cache_process_seconds)
    changes, reads = Changes(cache, nearby), Reads(cache, nearby)
    await bus.declare(SUBSCRIPTIONS)
    metrics.source("queues", depths(bus, SUBSCRIPTIONS))
    outbox = Outbox(pool, bus, metrics)
    tenants = Tenants(pool)
    recorder = Recorder(pool, tenants, changes)
    retention = Retention(pool, SystemClock(), changes, months=settings.archive.retention_months)
    objects = open_objects(settings.objects)
    cursors = Cursors(*settings.security.internal_tokens)
    uploads = Uploads(pool, objects, tenants, file_bytes=settings.archive.import_file_bytes)
    importer = ImportWorker(
        pool,
        settings.objects,
        changes,
        metrics,
        SystemClock(),
        at_once=settings.archive.import_processes,
        lease_seconds=settings.archive.import_lease_seconds,
    )
    answers = Answers(
        reads,
        conversation_seconds=settings.archive.cache_conversation_seconds,
        list_seconds=settings.archive.cache_list_seconds,
    )
    entries = EntryRoutes(pool, replica, cursors, answers)
    turner = turn_job(pool, changes)
    exporter = ExportWorker(
        pool,
        tenants,
        objects,
        metrics,
        SystemClock(),
        days=settings.archive.export_days,
        at_once=settings.archive.export_at_once,
    )
    delays = Delays(settings.statistics.days_seconds, settings.statistics.words_seconds)
    add_sources(metrics, pool, reads, delays, SystemClock(), is_annotating=settings.annotations.enabled)
    http = HttpServer(
        "archive",
        (
            *ConversationRoutes(pool, cursors, answers, outbox, changes, turner.wake).routes(),
            *entries.routes(),
            *caching.routes(reads),
            *search.routes(Searcher(searching, tenants, metrics, SystemClock()), cursors),
            *marking.routes(outbox, changes),
            *retention_routes.routes(pool, tenants),
            *ImportRoutes(outbox, uploads, cursors, SystemClock(), importer.wake).routes(),
            *files.routes(pool, objects),
            *analytics.routes(replica, tenants, answers, seconds=analytics_seconds),
            *bookmarks.routes(pool, tenants, cursors, changes),
            *LabelRoutes(pool, outbox, tenants, cursors, changes).routes(),
            *ExportRoutes(pool, outbox, tenants, cursors, objects, exporter, SystemClock()).routes(),
            *participants.routes(pool),
            steps.route(outbox, erase.parts(changes)),
            *Station(bus, SUBSCRIPTIONS, {"main": pool}, [times], forgetting(pool, cache, redis, nearby)).routes(),
        ),
        host=settings.archive.host,
        port=settings.archive.port,
        authenticate={
            Access.INTERNAL: internal(*settings.security.internal_tokens),
            Access.SERVICE: service(*settings.security.internal_tokens),
            Access.METRICS: scraper(*settings.telemetry.metrics_tokens),
        },
        tracing=tracing,
        metrics=metrics,
        notice_seconds=settings.run.drain_notice_seconds,
        readiness={"database": lambda: check(pool)},
        title="Chasqui archive",
        version="1",
        serve_docs=True,
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [
        outbox,
        http,
        Listener(waiting_redis, nearby),
        catch_up_job(changes),
        turner,
        warm_job(Warmer(redis, reads, entries.make_ready, settings.archive.warm_conversations)),
        subscriber(bus, recorder, tracing, metrics, SystemClock()),
        exporter,
        expire_job(pool, objects),
        importer,
        *import_jobs(pool, objects),
        *jobs(pool, recorder, SystemClock()),
        lexicon_job(pool),
        *retention_jobs(retention),
        *annotation_jobs(stack, pool, changes, settings.annotations),
        *statistics_jobs(pool, delays, changes),
    ]
