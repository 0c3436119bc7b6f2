"""Wiring of the gateway: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from aiohttp import ClientSession

from services.gateway.accept import Acceptance
from services.gateway.client_rate import ClientRate
from services.gateway.connections import Connections
from services.gateway.consumers import SUBSCRIPTIONS, subscribers
from services.gateway.contact_import import Imports
from services.gateway.contents import ContentDirectory
from services.gateway.domain.media_url import MediaUrls
from services.gateway.domain.origins import Origins
from services.gateway.erase import Erasures, InnerServices
from services.gateway.erasing import OwnParts
from services.gateway.first_keys import ERASED, INBOUND, first_keys
from services.gateway.forward import Door
from services.gateway.graph.access import GraphAuthenticator
from services.gateway.graph.client import GraphClient
from services.gateway.graph.front_door import front_door
from services.gateway.groups import Groups
from services.gateway.jobs import erase_job, import_job, jobs, media_job, reader_job, template_job
from services.gateway.live.access import LiveAuthenticator, Tickets
from services.gateway.live.hub import BLOCK_SECONDS, Hub
from services.gateway.live.streams import Streams
from services.gateway.lookups import Lookups
from services.gateway.media import Media
from services.gateway.media_fetch import FETCH_SECONDS, Fetcher
from services.gateway.metrics import add_sources, counting
from services.gateway.numbers import NumberDirectory
from services.gateway.operations.others import AllServices
from services.gateway.operations.own import own_station
from services.gateway.operators import AdminAuthenticator
from services.gateway.requested import Requests
from services.gateway.routes import archive, callbacks, campaigns
from services.gateway.routes.admin.all import operator_routes
from services.gateway.routes.contact_imports import ContactImportRoutes
from services.gateway.routes.contacts import ContactRoutes
from services.gateway.routes.drafts import DraftRoutes
from services.gateway.routes.erasures import ErasureRoutes
from services.gateway.routes.events import EventRoutes
from services.gateway.routes.groups import GroupRoutes
from services.gateway.routes.media import MediaRoutes
from services.gateway.routes.messages import MessageRoutes
from services.gateway.routes.numbers import NumberRoutes
from services.gateway.routes.quarantine import QuarantineRoutes
from services.gateway.routes.receipts import ReceiptRoutes
from services.gateway.routes.schedules import ScheduleRoutes
from services.gateway.routes.segments import SegmentRoutes
from services.gateway.routes.settings import SettingsRoutes
from services.gateway.routes.templates import TemplateRoutes
from services.gateway.routes.trace_pages import page_routes
from services.gateway.routes.traces import TraceRoutes
from services.gateway.routes.twilio import TwilioRoutes
from services.gateway.routes.webhooks import WebhookRoutes
from services.gateway.settings import Settings
from services.gateway.template_sync import TemplateSync
from services.gateway.templates import TemplateDirectory
from services.gateway.tenant_settings import time_zone_of
from services.gateway.tenants import Authenticator
from services.gateway.traces.buffer import SpanBuffer
from services.gateway.traces.keep import kept_spans
from services.gateway.updates import Updates, Watch
from services.gateway.webhooks.inbound_rate import InboundRate
from services.gateway.webhooks.ingest import WebhookReader
from services.gateway.webhooks.intake import Intake
from services.gateway.webhooks.reach import Reach
from services.gateway.webhooks.signers import Signers
from services.gateway.webhooks.spool import Spool
from services.gateway.webhooks.twilio import TwilioIntake
from shared.auth.kept_keys import kept_keys
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.cache import Cache
from shared.clock import SystemClock
from shared.db.pool import open_pool
from shared.db.query_times import QueryTimes
from shared.http.client import open_client
from shared.http.internal import service
from shared.http.routes import Access, Route
from shared.http.scraping import scraper
from shared.http.server import HttpServer
from shared.limits.redis import RedisLimiter
from shared.objects.store import open_objects
from shared.redis import PATIENT_SECONDS, open_redis, open_waiting_redis
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from shared.version import VERSION

TITLE: Final = "Chasqui"
ARCHIVE_CONNECTIONS: Final = 1_024
DESCRIPTION: Final = (
    "WhatsApp messages: accepted, scheduled, sent within every limit, received, archived, searchable.\n\n"
    "The WhatsApp Cloud API itself is served beside what stands here: its clients take `/v23.0` of this server as their base "
    "URL, or any other version, or none, in place of `https://graph.facebook.com/v23.0`, and an API key as their access token "
    "(`Authorization: Bearer` or `OAuth`, `X-API-Key`, `access_token` in the address or in a form). Messages are queued like those "
    "of `POST /api/messages`; files and webhook subscriptions are kept here; everything else, as templates, numbers, profile and "
    "registration, is passed on to the provider with the token that the number was connected with. Failures are its error "
    "envelopes, not problem documents.\n\n"
    "Its requests for messages take three headers of ours: `X-Chasqui-Schedule`, an RFC 3339 time before which the message does "
    "not leave; `X-Chasqui-Priority`, one of `critical`, `high`, `normal` and `low`, in any case; `Idempotency-Key`, 1 to 255 "
    "printable ASCII characters without a space, under which a repetition is answered like the first."
)


async def build(  # noqa: PLR0915  # wiring: a line for each part
    stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing, metrics: Metrics, spans: SpanBuffer | None = None
) -> Sequence[Component]:
    """Open what the gateway needs; nothing runs yet. Where spans are to be kept, they come by `spans` or over HTTP."""
    clock = SystemClock()
    sealer = settings.security.sealer()
    times = QueryTimes(metrics, "main")
    pool = await stack.enter_async_context(open_pool(settings.db, "gateway", times=times))
    kept = await kept_keys(pool, sealer, first_keys(settings.security.master_key.get_secret_value()))
    redis = await stack.enter_async_context(open_redis(settings.redis))
    session = await stack.enter_async_context(open_client())
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, metrics, counting(metrics))
    directory = NumberDirectory(pool, sealer, clock)
    public_url = settings.gateway.public_url or f"http://127.0.0.1:{settings.http.port}"
    connections = Connections(
        sealer,
        Origins.parse(settings.gateway.provider_origins),
        clock,
        public_url,
    )
    acceptance = Acceptance(outbox, clock, metrics)
    media = Media(pool, open_objects(settings.objects))
    contents = ContentDirectory(TemplateDirectory(pool, clock), media)
    lookups = Lookups(pool, directory, contents)
    limiter = RedisLimiter(redis, clock, local_share=None)
    rate = InboundRate(limiter, kept[INBOUND], settings.gateway.inbound_per_minute)
    updates = Updates(Watch(clock))
    streams = Streams(await stack.enter_async_context(open_redis(settings.redis, seconds=PATIENT_SECONDS)))
    waiting_redis = await stack.enter_async_context(open_waiting_redis(settings.redis, BLOCK_SECONDS))
    hub = Hub(waiting_redis, streams, pool, clock)
    tickets = Tickets(sealer, clock)
    reader = reader_job(WebhookReader(outbox, directory, connections, updates, rate, tracing))
    # Only a bus that outlives this process can stand in for the database.
    reach = Reach(pool, patient=bus.is_local)
    spool = Spool(bus, pool, reach, clock, reader.wake)
    intake = Intake(pool, Signers(directory, reach, clock), reach, None if bus.is_local else spool, reader.wake, metrics)
    cache = Cache(redis)
    groups = Groups(pool, cache)
    imports = Imports(outbox, pool, clock, groups)
    importer = import_job(imports)
    template_reader = template_job(TemplateSync(pool, outbox, session, sealer, connections.origins, clock))

    def door(service: str, url: str, by: ClientSession = session) -> Door:
        return Door(by, service, url, settings.security.internal_token.get_secret_value())

    # Of its readers many stay: those who follow an import, or download a file.
    archive_session = await stack.enter_async_context(open_client(limit=ARCHIVE_CONNECTIONS))

    scheduler = door("scheduler", settings.gateway.scheduler_url)
    graph = GraphClient(pool, session, sealer, connections.origins, limiter)
    media_urls = MediaUrls.of(settings.gateway.public_url, *settings.security.master_keys)
    # Files take longer than calls, and have connections of their own.
    file_session = await stack.enter_async_context(open_client(limit=16, total_seconds=FETCH_SECONDS))
    file_graph = GraphClient(pool, file_session, sealer, connections.origins, limiter)
    fetcher = Fetcher(outbox, media, file_graph, updates, clock)
    keys = Authenticator(pool, clock)
    add_sources(metrics, pool, bus, hub, keys, groups)
    own = OwnParts(groups, media, redis)
    urls = settings.gateway.inner_urls
    others = InnerServices(session, urls, settings.security.internal_token.get_secret_value())
    erasures = Erasures(outbox, pool, sealer, kept[ERASED], own, own.all(), others)
    eraser = erase_job(erasures)
    station = own_station(bus, pool, times, cache, redis)
    spans, span_jobs = kept_spans(stack, pool, settings.gateway.keep_spans, spans, metrics)

    routes = public_routes(
        MessageRoutes(acceptance, lookups, outbox, pool, clock, settings.telemetry.trace_url).routes(),
        ReceiptRoutes(outbox, pool, directory, graph).routes(),
        NumberRoutes(outbox, pool, connections, directory).routes(),
        ContactRoutes(outbox, pool, clock, groups).routes(),
        ContactImportRoutes(outbox, pool, imports, importer.wake).routes(),
        GroupRoutes(outbox, pool, groups).routes(),
        SegmentRoutes(outbox, pool).routes(),
        TemplateRoutes(outbox, pool, template_reader).routes(),
        DraftRoutes(outbox, pool).routes(),
        MediaRoutes(outbox, media, media_urls, clock).routes(),
        SettingsRoutes(outbox, pool).routes(),
        ScheduleRoutes(scheduler, ClientRate(limiter, "schedules", settings.gateway.schedules_per_minute)).routes(),
        campaigns.routes(scheduler),
        callbacks.routes(door("sender", settings.gateway.sender_url)),
        archive.routes(door("archive", settings.gateway.archive_url, archive_session), partial(time_zone_of, pool)),
        ErasureRoutes(erasures, door("archive", settings.gateway.archive_url), eraser.wake).routes(),
        EventRoutes(hub, tickets, clock).routes(),
        WebhookRoutes(intake, pool).routes(),
        QuarantineRoutes(outbox, pool, reader.wake).routes(),
        TwilioRoutes(TwilioIntake(intake, directory, public_url, clock)).routes(),
        TraceRoutes(pool, spans).routes(),
        station.routes(),
        operator_routes(
            AllServices(
                station,
                metrics,
                session,
                settings.process_urls,
                settings.security.internal_token.get_secret_value(),
                settings.telemetry.metrics_token.get_secret_value(),
            ),
            bus,
            outbox,
            pool,
            redis,
            connections,
            directory,
            clock,
        ),
        page_routes(),
        front_door(
            client=graph,
            file_client=file_graph,
            acceptance=acceptance,
            lookups=lookups,
            outbox=outbox,
            media=media,
            fetcher=fetcher,
            urls=media_urls,
            callbacks=door("sender", settings.gateway.sender_url),
            templates=template_reader,
            public_url=settings.gateway.public_url,
            clock=clock,
        ),
    )
    http = HttpServer(
        "gateway",
        routes,
        host=settings.http.host,
        port=settings.http.port,
        authenticate={
            Access.TENANT: keys,
            Access.GRAPH: GraphAuthenticator(keys),
            Access.LIVE: LiveAuthenticator(keys, tickets),
            Access.ADMIN: AdminAuthenticator(pool, keys),
            Access.SERVICE: service(*settings.security.internal_tokens),
            Access.METRICS: scraper(*settings.telemetry.metrics_tokens),
        },
        tracing=tracing,
        metrics=metrics,
        notice_seconds=settings.run.drain_notice_seconds,
        readiness={"webhooks": intake.check},
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        serve_docs=True,
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [
        http,
        hub,
        acceptance.singles,
        intake,
        *subscribers(
            bus,
            outbox,
            connections,
            Requests(outbox, pool, directory, contents, clock),
            updates,
            streams,
            spool=spool,
            tracing=tracing,
            metrics=metrics,
        ),
        reader,
        importer,
        template_reader,
        *fetcher.workers,
        media_job(media),
        eraser,
        *span_jobs,
        *jobs(pool),
        outbox,
    ]


def public_routes(*parts: Sequence[Route]) -> Sequence[Route]:
    """The whole public API, in the order of its reference."""
    return [route for part in parts for route in part]
