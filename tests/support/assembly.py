"""The whole platform within the test's own process, on the memory bus: what it logs and which spans it records can be looked at."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import asyncpg
from opentelemetry.sdk.trace.export import SpanExporter
from pydantic import SecretStr

import services.archive.settings
import services.gateway.settings
import services.sandbox.settings
import services.scheduler.settings
import services.sender.settings
from local.assembly import AllSettings, build_all
from local.home import HOST
from local.ports import free_port
from local.welcome import connect_sandbox
from services.gateway import operators, tenants
from shared.auth.keys import new_admin_key, new_key
from shared.config import (
    BusSettings,
    HttpSettings,
    ObjectsSettings,
    OutsideSettings,
    RedisSettings,
    SecuritySettings,
    TelemetrySettings,
)
from shared.run import Component, run
from tests.support.database import Database
from tests.support.platform import PATIENCE_SECONDS, Api

PORTS: Final = ("gateway", "scheduler", "sender", "archive", "sandbox")
DRAIN_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Assembly:
    """All services, running. `secrets` are those it was given, by name: none of them may ever be seen again."""

    database: Database
    ports: Mapping[str, int]
    secrets: Mapping[str, str]

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.ports['gateway']}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{HOST}:{self.ports['sandbox']}"

    @asynccontextmanager
    async def api(self, key: str | None = None) -> AsyncIterator[Api]:
        headers = {"Authorization": f"Bearer {key or self.secrets['test_key']}"}
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:
            yield Api(session, self.gateway_url)


@asynccontextmanager
async def assembled(
    database: Database,
    redis_url: str,
    journal: Path,
    exporter: SpanExporter | None = None,
    bus_url: str = "memory://",
) -> AsyncIterator[Assembly]:
    """Started, with the sandbox's number connected for a tenant of its own; drained and closed at the end."""
    ports = {name: free_port() for name in PORTS}
    kept = {
        "master_key": base64.b64encode(secrets.token_bytes(32)).decode(),
        "internal_token": secrets.token_urlsafe(32),
        "access_token": f"EAA{secrets.token_hex(24)}",
        "app_secret": secrets.token_hex(16),
        "verify_token": secrets.token_urlsafe(16),
    }
    kept["test_key"] = await new_tenant(database.admin_url, "Tenant of the assembly")
    kept["admin_key"] = await new_operator(database.admin_url, "Operator of the assembly")
    stop, started = asyncio.Event(), asyncio.Event()
    settings = _settings(database, redis_url, bus_url, journal, ports, kept)

    async def build(stack: AsyncExitStack) -> Sequence[Component]:
        return await build_all(stack, settings, exporter)

    async with asyncio.TaskGroup() as group:
        group.create_task(run([build], drain_seconds=DRAIN_SECONDS, stop=stop, on_started=started.set))
        await started.wait()
        try:
            await connect_sandbox(ports, kept)
            yield Assembly(database, ports, kept)
        finally:
            stop.set()


async def new_tenant(admin_url: str, name: str) -> str:
    """A tenant made as an operator makes one; returns its key."""
    key = new_key(live=False)
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        await tenants.admit_key(connection, await tenants.create(connection, name), key)
    finally:
        await connection.close()
    return key


async def new_operator(admin_url: str, name: str) -> str:
    """An operator made as they are made; returns the key."""
    key = new_admin_key()
    connection = await asyncpg.connect(admin_url, server_settings={"search_path": "gateway"})
    try:
        await operators.admit_key(connection, name, key)
    finally:
        await connection.close()
    return key


def _settings(
    database: Database, redis_url: str, bus_url: str, journal: Path, ports: Mapping[str, int], kept: Mapping[str, str]
) -> AllSettings:
    bus, telemetry = BusSettings(url=bus_url), TelemetrySettings(log_level="debug")
    token = SecretStr(kept["internal_token"])
    security = SecuritySettings(master_key=SecretStr(kept["master_key"]), internal_token=token)
    objects = ObjectsSettings(url=str(journal.with_name("objects")))
    outside = OutsideSettings(allowed_networks="127.0.0.0/8,::1/128")
    gateway_url = f"http://{HOST}:{ports['gateway']}"
    return AllSettings(
        gateway=services.gateway.settings.Settings(
            bus=bus,
            telemetry=telemetry,
            db=database.settings_for("gateway"),
            http=HttpSettings(host=HOST, port=ports["gateway"]),
            redis=RedisSettings(url=redis_url),
            security=security,
            gateway=services.gateway.settings.GatewaySettings(
                archive_url=f"http://{HOST}:{ports['archive']}",
                scheduler_url=f"http://{HOST}:{ports['scheduler']}",
                sender_url=f"http://{HOST}:{ports['sender']}",
                provider_origins=f"http://{HOST}:*",
            ),
            objects=objects,
            outside=outside,
        ),
        scheduler=services.scheduler.settings.Settings(
            bus=bus,
            db=database.settings_for("scheduler"),
            security=services.scheduler.settings.SchedulerSecuritySettings(internal_token=token),
            scheduler=services.scheduler.settings.SchedulerSettings(host=HOST, port=ports["scheduler"]),
        ),
        sender=services.sender.settings.Settings(
            bus=bus,
            db=database.settings_for("sender"),
            redis=RedisSettings(url=redis_url),
            security=security,
            sender=services.sender.settings.SenderSettings(host=HOST, port=ports["sender"], journal_folder=journal),
            objects=objects,
            outside=outside,
        ),
        archive=services.archive.settings.Settings(
            bus=bus,
            db=database.settings_for("archive"),
            redis=RedisSettings(url=redis_url),
            security=services.archive.settings.ArchiveSecuritySettings(internal_token=token),
            objects=objects,
            archive=services.archive.settings.ArchiveSettings(host=HOST, port=ports["archive"]),
        ),
        sandbox=services.sandbox.settings.Settings(
            sandbox=services.sandbox.settings.SandboxSettings(
                host=HOST,
                port=ports["sandbox"],
                access_token=SecretStr(kept["access_token"]),
                app_secret=SecretStr(kept["app_secret"]),
                verify_token=SecretStr(kept["verify_token"]),
                webhook_url=f"{gateway_url}/api/webhooks/whatsapp",
            )
        ),
    )
