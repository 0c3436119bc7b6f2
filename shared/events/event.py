"""The base of every event: its envelope, and the registry from subject to class."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field

from shared.ids import EventId, TenantId, new_id
from shared.personal import Model

_registry: dict[str, type[Event]] = {}


def _recorded(traceparent: str) -> str | None:
    """The context of a trace that is recorded: the last of its flags is set (W3C Trace Context §3.2.2.5)."""
    return traceparent if traceparent[54:55] in "13579bdf" and len(traceparent) >= 55 else None


class Event(Model):
    """Something that happened, told once by its owner to any number of consumers.

    Subclasses name themselves: `class MessageSent(Event, name="message.sent", version=1, owner="sender")`. The wire is JSON; a
    reader ignores fields it does not know, so a new optional field needs no new version.
    """

    model_config = ConfigDict(extra="ignore")

    event_name: ClassVar[str]
    event_version: ClassVar[int]
    event_owner: ClassVar[str]

    event_id: EventId = Field(default_factory=lambda: EventId(new_id("evt")))
    occurred_at: AwareDatetime = Field(default_factory=partial(datetime.now, UTC))
    tenant_id: TenantId
    traceparent: Annotated[str, AfterValidator(_recorded)] | None = None
    """W3C trace context of the work that caused it; the consumer's span is its child. None where nobody records that trace: then
    it is not told either, which spares every hop after this one a sixth of the bytes."""

    def __init_subclass__(cls, name: str = "", version: int = 0, owner: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not name:
            return
        cls.event_name, cls.event_version, cls.event_owner = name, version, owner
        if _registry.setdefault(cls.subject(), cls) is not cls:
            raise TypeError(f"event {cls.subject()} is declared twice")

    @classmethod
    def subject(cls) -> str:
        """Routing key on every bus: `message.accepted.v1`."""
        return f"{cls.event_name}.v{cls.event_version}"


def registered_events() -> Mapping[str, type[Event]]:
    """Every declared event by subject. Importing `shared.events.catalogue` declares them."""
    return _registry


MAX_BATCH_EVENTS: Final = 256
"""Events one bus message carries at most (design, decision 2: beyond it little is gained)."""
