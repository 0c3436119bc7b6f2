"""The sender's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.config import (
    DatabaseSettings,
    Group,
    ObjectsSettings,
    OutsideSettings,
    RedisSettings,
    SecuritySettings,
    ServiceSettings,
)


class SenderSettings(Group):
    host: str = Field("127.0.0.1", description="Address the sender answers the gateway and probes on.")
    port: int = Field(8082, ge=0, le=65535, description="Port of it; 0 picks a free one.")
    concurrency: int = Field(256, ge=1, le=2_000, description="Calls to the providers at once, per process.")
    calls_per_number: int = Field(96, ge=1, le=2_000, description="Calls from one number at once, per process.")
    max_in_flight: int = Field(2_048, ge=1, le=100_000, description="Messages between claim and outcome, per process.")
    journal_folder: Path = Field(
        Path(".chasqui/journal"), description="Folder of the departure journal; must outlive the process, not the machine."
    )
    critical_per_minute: int = Field(200, ge=1, description="Critical messages a minute of a number of the device profile.")
    high_per_minute: int = Field(100, ge=1, description="High ones.")
    normal_per_minute: int = Field(60, ge=1, description="Normal ones.")
    low_per_minute: int = Field(30, ge=1, description="Low ones.")
    tenant_per_second: int = Field(0, ge=0, description="Messages of one tenant a second; 0: no limit but its numbers'.")
    all_per_second: int = Field(0, ge=0, description="Messages of all tenants a second; 0: no limit.")
    local_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Part of each rate for this process while Redis is away: one over the replicas keeps within.",
    )
    breaker_threshold: int = Field(5, ge=1, le=1_000, description="Failures in ten seconds that open a circuit breaker.")
    breaker_open_seconds: float = Field(60, ge=15, le=3_600, description="How long it stays open before a probe.")
    retry_attempts: int = Field(10, ge=1, le=100, description="Failed attempts after which a message is given up.")
    retry_horizon_seconds: float = Field(86_400, gt=0, description="No retry later than this after a message was first due.")
    unknown_grace_seconds: float = Field(
        900, ge=1, le=604_800, description="How long a report is awaited on a message of unknown outcome."
    )
    callback_concurrency: int = Field(
        128,
        ge=4,
        le=2_000,
        description="Posts to the tenants' callbacks at once, per process; beside the calls to the providers.",
    )


class Settings(ServiceSettings):
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    security: SecuritySettings
    outside: OutsideSettings = Field(default_factory=OutsideSettings)
    objects: ObjectsSettings = Field(default_factory=ObjectsSettings)
    sender: SenderSettings = Field(default_factory=SenderSettings)
