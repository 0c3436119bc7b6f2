"""The scheduler's settings."""

from __future__ import annotations

from pydantic import Field, SecretStr

from shared.config import DatabaseSettings, Group, SecuritySettings, ServiceSettings


class SchedulerSettings(Group):
    host: str = Field("127.0.0.1", description="Address the scheduler answers the gateway on.")
    port: int = Field(8081, ge=0, le=65535, description="Port the scheduler answers the gateway on; 0 picks a free one.")


class SchedulerSecuritySettings(SecuritySettings):
    """The scheduler seals nothing: it runs without the master key."""

    master_key: SecretStr = Field(SecretStr(""), description="Not used here.")
    other_master_keys: SecretStr = Field(SecretStr(""), description="Not used here.")
    internal_token: SecretStr = Field(min_length=16, description="The gateway shows it with every request.")


class Settings(ServiceSettings):
    security: SchedulerSecuritySettings
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    scheduler: SchedulerSettings = Field(default_factory=SchedulerSettings)
