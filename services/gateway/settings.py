"""The gateway's settings."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from services.gateway.domain.origins import Origins
from shared.config import (
    DatabaseSettings,
    Group,
    HttpSettings,
    ObjectsSettings,
    OutsideSettings,
    RedisSettings,
    SecuritySettings,
    ServiceSettings,
)


def _parsable(origins: str) -> str:
    Origins.parse(origins)
    return origins


class GatewaySettings(Group):
    archive_url: str = Field("http://127.0.0.1:8083", description="Base URL of the archive's HTTP interface.")
    scheduler_url: str = Field("http://127.0.0.1:8081", description="Base URL of the scheduler's HTTP interface.")
    sender_url: str = Field("http://127.0.0.1:8082", description="Base URL of the sender's HTTP interface.")
    processes_host: str = Field(
        "",
        pattern=r"^([a-z0-9.-]*\{service\}[a-z0-9.-]*)?$",
        description="Name that stands for the address of each process of a service, as that of a headless Service does; "
        "`{service}` in it is `gateway`, `scheduler`, `sender` or `archive`, the ports are those of the URLs and of this gateway. "
        "What operators ask and order then reaches all processes. Empty: this gateway, and of the others whoever answers at "
        "their URLs.",
    )
    schedules_per_minute: int = Field(
        100, ge=1, le=100_000, description="Schedules that one client, an API key, may create a minute; as many at once."
    )
    inbound_per_minute: int = Field(
        20,
        ge=1,
        le=100_000,
        description="Messages that one user may write to a number a minute; what is over it is marked, not lost.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="Where clients and providers reach this gateway: addresses of files and of pages are below it, and Twilio is "
        "told with each message to report there. Empty: what scheme and host the caller asked, and for Twilio `http://127.0.0.1:` "
        "and the port. Set it behind a proxy, and wherever callers are not to choose the host.",
    )
    provider_origins: Annotated[str, AfterValidator(_parsable)] = Field(
        "https://graph.facebook.com,https://api.twilio.com",
        description="Origins, separated by commas, that a number's provider_url may have: access tokens are sent nowhere else. "
        "A sandbox on this machine is `http://127.0.0.1:*`.",
    )

    keep_spans: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="Spans of recorded traces that are kept in the database for the page `/traces`, some 700 bytes each; the "
        "oldest go first. 0: none, where traces go to a collector.",
    )

    @property
    def inner_urls(self) -> dict[str, str]:
        """The others' base URLs, by service."""
        return {"archive": self.archive_url, "scheduler": self.scheduler_url, "sender": self.sender_url}


class Settings(ServiceSettings):
    http: HttpSettings = Field(default_factory=HttpSettings)
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    security: SecuritySettings
    outside: OutsideSettings = Field(default_factory=OutsideSettings)
    objects: ObjectsSettings = Field(default_factory=ObjectsSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)

    @property
    def process_urls(self) -> dict[str, str]:
        """By service, where its processes are; without the gateway where no name stands for all of them."""
        host, urls = self.gateway.processes_host, self.gateway.inner_urls
        if not host:
            return urls
        urls = {"gateway": f"http://127.0.0.1:{self.http.port}", **urls}
        return {service: str(URL(url).with_host(host.format(service=service))) for service, url in urls.items()}

    @model_validator(mode="after")
    def _metrics_have_a_token(self) -> Self:
        if self.run.environment == "production" and not self.telemetry.metrics_token.get_secret_value():
            raise ValueError("TELEMETRY__METRICS_TOKEN is needed in production: the gateway's port is open to the world")
        return self
