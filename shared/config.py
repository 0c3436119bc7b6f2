"""Settings: read once, from `CHASQUI_<GROUP>__<FIELD>`, checked whole before anything starts.

Each service composes its settings from the groups here and one group of its own, named after it. A variable that names no known
field of its group stops the process: pydantic-settings alone would ignore a misspelt one.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from typing import Final, Self, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.addresses import Networks
from shared.auth.seal import Sealer, SealError

PREFIX: Final = "CHASQUI_"
SERVICES: Final = ("gateway", "scheduler", "sender", "archive", "sandbox")


_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2


class SettingsError(Exception):
    """The environment contradicts the settings; the text is one sentence per fault and holds no secret."""


class Group(BaseModel):
    """A group of settings; frozen, and strict about its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class DatabaseSettings(Group):
    url: str = Field(
        "postgresql://127.0.0.1:5432/chasqui",
        pattern=r"^postgres(ql)?://",
        description="Server and database, without user and password.",
    )
    password: SecretStr = Field(SecretStr(""), description="Password of the service's role.")
    other_password: SecretStr = Field(
        SecretStr(""), description="Tried where the server refuses `password`: the next or the former one, while it is rotated."
    )
    pool_min: int = Field(2, ge=0, le=100, description="Connections kept open.")
    pool_max: int = Field(10, ge=2, le=200, description="Connections at most; callers beyond wait.")
    acquire_seconds: float = Field(3, gt=0, le=60, description="Longest wait for a free connection.")
    command_seconds: float = Field(5, gt=0, le=300, description="Longest run of one statement.")

    @model_validator(mode="after")
    def _min_within_max(self) -> Self:
        if self.pool_min > self.pool_max:
            raise ValueError("pool_min is greater than pool_max")
        return self


class BusSettings(Group):
    url: str = Field(
        "amqp://guest:guest@127.0.0.1:5672/",
        pattern=r"^(amqps?|memory)://",
        description="RabbitMQ, or memory:// within one process.",
    )


class ReplicaSettings(Group):
    url: str = Field(
        "",
        pattern=r"^(postgres(ql)?://.+)?$",
        description="A replica of the database, without user and password, for reads that may be a moment behind; empty: none.",
    )


class RedisSettings(Group):
    url: str = Field("redis://127.0.0.1:6379/0", pattern=r"^(rediss?|unix)://", description="Redis or Valkey.")


class HttpSettings(Group):
    host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port the gateway listens on; 0 picks a free one.")


class SecuritySettings(Group):
    master_key: SecretStr = Field(description="32 bytes in base64; seals the numbers' secrets (AES-256-GCM).")
    internal_token: SecretStr = Field(
        description="Shared by the services: archive, scheduler and sender answer nobody without it."
    )
    other_master_keys: SecretStr = Field(
        SecretStr(""),
        description="Master keys, separated by commas, that open what they sealed and seal nothing: the next or the former one, "
        "while it is rotated.",
    )
    other_internal_token: SecretStr = Field(
        SecretStr(""),
        description="Is taken beside `internal_token` and never shown: the next or the former one, while it is rotated.",
    )

    @property
    def master_keys(self) -> tuple[str, ...]:
        """All of them in base64, first the one that seals."""
        return (self.master_key.get_secret_value(), *_listed(self.other_master_keys))

    @property
    def internal_tokens(self) -> tuple[SecretStr, SecretStr]:
        """Those that are taken, first the one that is shown. The other may be empty."""
        return (self.internal_token, self.other_internal_token)

    def sealer(self) -> Sealer:
        """Of all master keys. Raises `SealError` where there is none."""
        return Sealer(*self.master_keys)

    @field_validator("master_key", "other_master_keys")
    @classmethod
    def _are_keys(cls, keys: SecretStr) -> SecretStr:
        for text in _listed(keys):  # a service that seals nothing has none
            try:
                Sealer(text)
            except SealError as error:
                raise ValueError(str(error)) from None
        return keys


def _listed(keys: SecretStr) -> list[str]:
    return [key.strip() for key in keys.get_secret_value().split(",") if key.strip()]


class OutsideSettings(Group):
    allowed_networks: str = Field(
        "",
        description="Networks, separated by commas, that tenants' callbacks and files may be on although they are not public, such "
        "as `10.1.0.0/16`. Empty: none.",
    )

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        Networks.parse(text)
        return text

    @property
    def networks(self) -> Networks:
        return Networks.parse(self.allowed_networks)


class ObjectsSettings(Group):
    url: str = Field(
        ".chasqui/objects",
        min_length=1,
        description="Where files are kept: a folder, which all processes share, or `s3://bucket/prefix`.",
    )
    endpoint: str = Field("", pattern=r"^(https?://.+)?$", description="URL of an S3-compatible server; empty is Amazon's.")
    region: str = Field("us-east-1", min_length=1, description="S3 region.")
    access_key_id: str = Field("", description="S3 access key; empty takes the machine's role.")
    secret_access_key: SecretStr = Field(SecretStr(""), description="Its secret.")

    @model_validator(mode="after")
    def _is_place(self) -> Self:
        if "://" in self.url and not self.url.startswith("s3://"):
            raise ValueError("url is a folder or s3://bucket/prefix")
        if self.url.startswith("s3://") and not self.url.removeprefix("s3://").strip("/"):
            raise ValueError("url names no bucket")
        if bool(self.access_key_id) != bool(self.secret_access_key.get_secret_value()):
            raise ValueError("access_key_id and secret_access_key go together")
        return self


class TelemetrySettings(Group):
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Lowest level written.")
    otlp_endpoint: str = Field("", pattern=r"^(https?://.+)?$", description="OTLP/HTTP base URL for traces; empty keeps none.")
    otlp_headers: SecretStr = Field(
        SecretStr(""), description="Headers for the OTLP endpoint, `name=value,name=value`, the values percent-encoded."
    )
    sample_ratio: float = Field(
        1.0, ge=0, le=1, description="Share of new traces that are recorded; what fails is recorded all the same."
    )
    trace_url: str = Field(
        "",
        pattern=r"^(https?://\S*\{trace_id\}\S*)?$",
        description="Where a trace is shown, with `{trace_id}` in its place: the gateway tells it with a message. Empty: nowhere.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token that `/metrics` asks for; empty: none. Production needs one at the gateway."
    )
    other_metrics_token: SecretStr = Field(
        SecretStr(""), description="Opens `/metrics` beside `metrics_token`: the next or the former one, while it is rotated."
    )

    @field_validator("otlp_headers")
    @classmethod
    def _are_headers(cls, headers: SecretStr) -> SecretStr:
        _header_fields(headers.get_secret_value())
        return headers

    @property
    def metrics_tokens(self) -> tuple[SecretStr, SecretStr]:
        """Those that open `/metrics`, first the one that is shown to other services. Either may be empty."""
        return (self.metrics_token, self.other_metrics_token)

    @property
    def otlp_header_fields(self) -> dict[str, str]:
        return _header_fields(self.otlp_headers.get_secret_value())


def _header_fields(text: str) -> dict[str, str]:
    """As in OTEL_EXPORTER_OTLP_HEADERS: W3C Baggage without properties (OpenTelemetry, Protocol Exporter). Raises ValueError."""
    fields = {}
    for pair in filter(None, text.split(",")):
        name, equals, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not equals or not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
            raise ValueError("otlp_headers is not of the form name=value,name=value")
        fields[name] = value
    return fields


class RunSettings(Group):
    environment: str = Field("development", pattern="^(development|production)$", description="production refuses memory://.")
    drain_seconds: float = Field(20, gt=0, le=300, description="Longest time that work in flight has after SIGTERM.")
    drain_notice_seconds: float = Field(
        0,
        ge=0,
        le=60,
        description="Of it, how long after SIGTERM requests are still taken, each answer the last one of its connection: until no "
        "balancer sends any. At most half of `drain_seconds`.",
    )

    @model_validator(mode="after")
    def _notice_within_drain(self) -> Self:
        if self.drain_notice_seconds > self.drain_seconds / 2:
            raise ValueError("drain_notice_seconds is more than half of drain_seconds")
        return self


class ServiceSettings(BaseSettings):
    """Groups every service has. Subclasses add theirs; the field's name is the group's."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    run: RunSettings = Field(default_factory=RunSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    bus: BusSettings = Field(default_factory=BusSettings)


S = TypeVar("S", bound=BaseSettings)

SHARED_GROUPS: Final[Mapping[str, type[Group]]] = {
    "run": RunSettings,
    "telemetry": TelemetrySettings,
    "bus": BusSettings,
    "db": DatabaseSettings,
    "db_replica": ReplicaSettings,
    "redis": RedisSettings,
    "http": HttpSettings,
    "security": SecuritySettings,
    "outside": OutsideSettings,
    "objects": ObjectsSettings,
}


def load(settings_type: type[S]) -> S:
    """The settings from the environment.

    Raises `SettingsError` that names each bad or unknown variable. Groups of the other services are theirs to check.
    """
    faults = _unknown_names(settings_type)
    if faults:
        raise SettingsError("; ".join(faults))
    try:
        return settings_type()
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        faults = [f"{name}: {e['msg']}" for e in found for name in _variables(settings_type, e["loc"], e["type"])]
        raise SettingsError("; ".join(faults)) from None


def _variables(settings_type: type[BaseSettings], place: tuple[int | str, ...], fault: str) -> list[str]:
    """The variables to set for a faulty place; where a whole group is missing, those of its fields that have no default, where
    its fields contradict each other, the group, and where groups do, the prefix of all."""
    if not place:
        return [PREFIX]
    group = settings_type.model_fields[str(place[0])].annotation
    if len(place) == 1 and fault != "missing":
        return [f"{PREFIX}{place[0]}".upper()]
    if len(place) == 1 and isinstance(group, type) and issubclass(group, Group):
        fields = [name for name, field in group.model_fields.items() if field.is_required()]
    else:
        fields = ["__".join(str(part) for part in place[1:])]
    return [f"{PREFIX}{place[0]}__{field}".upper() for field in fields]


def _unknown_names(settings_type: type[BaseSettings]) -> list[str]:
    known: dict[str, set[str]] = {name: set(group.model_fields) for name, group in SHARED_GROUPS.items()}
    for name, field in settings_type.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Group):
            known[name] = set(field.annotation.model_fields)
    names = [f"{PREFIX}{g}__{f}".upper() for g, fields in known.items() for f in fields]
    faults = []
    for variable in os.environ:
        if not variable.upper().startswith(PREFIX):
            continue
        group, _, field_name = variable[len(PREFIX) :].lower().partition("__")
        if group in known and field_name in known[group]:
            continue
        if group in SERVICES and group not in known:
            continue
        near = difflib.get_close_matches(variable.upper(), names, n=1)
        faults.append(f"{variable} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
    return faults
