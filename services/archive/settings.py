"""The archive's settings."""

from __future__ import annotations

from pydantic import Field, SecretStr

from shared.config import DatabaseSettings, Group, SecuritySettings, ServiceSettings


class ArchiveSettings(Group):
    host: str = Field("127.0.0.1", description="Address the archive answers the gateway on.")
    port: int = Field(8083, ge=0, le=65535, description="Port the archive answers the gateway on; 0 picks a free one.")


class ArchiveSecuritySettings(SecuritySettings):
    """The archive seals nothing: it runs without the master key."""

    master_key: SecretStr = Field(SecretStr(""), description="Not used here.")
    internal_token: SecretStr = Field(min_length=16, description="The gateway shows it with every request.")


class Settings(ServiceSettings):
    security: ArchiveSecuritySettings
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings)
