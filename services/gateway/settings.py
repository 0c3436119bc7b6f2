"""The gateway's settings."""

from __future__ import annotations

from pydantic import Field

from shared.config import DatabaseSettings, Group, HttpSettings, SecuritySettings, ServiceSettings


class GatewaySettings(Group):
    archive_url: str = Field("http://127.0.0.1:8083", description="Base URL of the archive's HTTP interface.")


class Settings(ServiceSettings):
    http: HttpSettings = Field(default_factory=HttpSettings)
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    security: SecuritySettings
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
