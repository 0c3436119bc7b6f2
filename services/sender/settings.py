"""The sender's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.config import DatabaseSettings, Group, RedisSettings, SecuritySettings, ServiceSettings


class SenderSettings(Group):
    host: str = Field("127.0.0.1", description="Address of the health endpoints.")
    port: int = Field(8082, ge=0, le=65535, description="Port of the health endpoints; 0 picks a free one.")
    concurrency: int = Field(128, ge=1, le=2_000, description="Calls to the provider at once, per process.")
    max_in_flight: int = Field(2_048, ge=1, le=100_000, description="Messages between claim and outcome, per process.")
    journal_folder: Path = Field(
        Path(".chasqui/journal"), description="Folder of the departure journal; must outlive the process, not the machine."
    )


class Settings(ServiceSettings):
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    security: SecuritySettings
    sender: SenderSettings = Field(default_factory=SenderSettings)
