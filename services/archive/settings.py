"""The archive's settings."""

from __future__ import annotations

from importlib.util import find_spec

from pydantic import Field, SecretStr, model_validator

from shared.config import (
    DatabaseSettings,
    Group,
    ObjectsSettings,
    RedisSettings,
    ReplicaSettings,
    SecuritySettings,
    ServiceSettings,
)


class ArchiveSettings(Group):
    host: str = Field("127.0.0.1", description="Address the archive answers the gateway on.")
    port: int = Field(8083, ge=0, le=65535, description="Port the archive answers the gateway on; 0 picks a free one.")
    retention_months: int = Field(
        0,
        ge=0,
        le=1200,
        description="Whole months that anybody's entries are kept at most, besides the current one; 0: for ever.",
    )
    import_file_bytes: int = Field(4 << 30, ge=1 << 20, le=16 << 30, description="Bytes that an imported file has at most.")
    import_processes: int = Field(1, ge=1, le=16, description="Imports worked on at once, each read by a process of its own.")
    import_lease_seconds: float = Field(
        30, ge=1, le=600, description="How long after a crash another process goes on with an import."
    )
    cache_process_mib: int = Field(64, ge=1, le=4096, description="Memory for answers that are kept in this process.")
    cache_process_seconds: int = Field(60, ge=1, le=3600, description="How long an answer is kept in this process.")
    cache_list_seconds: int = Field(300, ge=1, le=3600, description="How long lists of conversations are kept in Redis.")
    cache_conversation_seconds: int = Field(
        900, ge=1, le=3600, description="How long a conversation and its pages are kept in Redis."
    )
    cache_analytics_seconds: int = Field(
        3600, ge=1, le=3600, description="How long analytics are kept in Redis, unless they are counted anew before."
    )
    warm_conversations: int = Field(
        50, ge=0, le=1000, description="So many of the most read conversations are kept ready; 0: none."
    )
    export_at_once: int = Field(2, ge=1, le=8, description="Exports made at once, each with a connection of its own.")
    export_days: int = Field(7, ge=1, le=90, description="How long the file of an export is kept.")


class StatisticsSettings(Group):
    days_seconds: float = Field(
        60, ge=0, le=3600, description="How long after a message its day is counted, with all others that came meanwhile."
    )
    words_seconds: float = Field(600, ge=0, le=86400, description="The same of the words of its month.")


class AnnotationSettings(Group):
    enabled: bool = Field(
        False,
        description="Tell language, sentiment and entities of every entry; needs the extra `nlp`. What is there is caught up with.",
    )
    processes: int = Field(4, ge=1, le=64, description="Processes that tell them.")
    batch: int = Field(1000, ge=1, le=20000, description="Entries of one step.")

    @model_validator(mode="after")
    def _has_its_libraries(self) -> AnnotationSettings:
        if self.enabled and not all(find_spec(module) for module in ("py3langid", "vaderSentiment")):
            raise ValueError("ANNOTATIONS__ENABLED needs the extra `nlp`: pip install chasqui[nlp]")
        return self


class SearchSettings(Group):
    connections: int = Field(
        2, ge=1, le=64, description="Searches at once, about as many as the database has cores; others wait for them."
    )
    statement_seconds: float = Field(2, gt=0, le=60, description="Longest run of a statement of a search.")


class ArchiveSecuritySettings(SecuritySettings):
    """The archive seals nothing: it runs without the master key."""

    master_key: SecretStr = Field(SecretStr(""), description="Not used here.")
    other_master_keys: SecretStr = Field(SecretStr(""), description="Not used here.")
    internal_token: SecretStr = Field(min_length=16, description="The gateway shows it with every request.")


class Settings(ServiceSettings):
    security: ArchiveSecuritySettings
    db: DatabaseSettings = Field(default_factory=DatabaseSettings)
    db_replica: ReplicaSettings = Field(default_factory=ReplicaSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    archive: ArchiveSettings = Field(default_factory=ArchiveSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
    objects: ObjectsSettings = Field(default_factory=ObjectsSettings)
    statistics: StatisticsSettings = Field(default_factory=StatisticsSettings)
    annotations: AnnotationSettings = Field(default_factory=AnnotationSettings)
