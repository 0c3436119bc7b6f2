"""The scheduler's settings."""

from __future__ import annotations

from pydantic import Field

from shared.config import DatabaseSettings, Group, ServiceSettings


class SchedulerSettings(Group):
    host: str = Field("127.0.0.1", description="Address of the health endpoints.")
    port: int = Field(8081, ge=0, le=65535, description="Port of the health endpoints; 0 picks a free one.")


class Settings(ServiceSettings):
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
