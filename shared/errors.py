"""The three ways work can fail, as data.

    Failure
    ├── Rejected    the caller's fault; raised at the HTTP edge only, rendered as problem+json
    ├── Retry       later may work; the delivery comes back by its RetryPolicy
    └── Permanent   never will; the delivery is dead-lettered with the code

Everything else that is raised is our bug: it is logged once with its traceback where the delivery or request is settled.
Codes are stable, lower-case and dotted (`event.malformed`): tenants and runbooks refer to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.ids import EventId


class Failure(Exception):
    """Base of the outcomes that are data; `code` is stable and safe to log, unlike a foreign exception's text."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault in a request: `pointer` is an RFC 6901 JSON pointer into the body ("" is the whole body)."""

    pointer: str
    code: str
    detail: str


@dataclass(eq=False)
class Rejected(Failure):
    """A request that cannot be taken as it is.

    `status` is the HTTP status (400-499, or 503 where the platform cannot take it now), `detail` a sentence the caller can act on.
    """

    code: str
    detail: str
    status: int = 422
    errors: Sequence[FieldError] = ()
    retry_after_seconds: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        Exception.__init__(self, self.code)


class Retry(Failure):
    """Later may work. `after` is the shortest wait in seconds; None leaves it to the subscription's policy.

    `counted=False` marks an interruption that says nothing about the event (a database away): it uses up no attempt.
    """

    def __init__(self, code: str, after: float | None = None, *, counted: bool = True) -> None:
        super().__init__(code)
        self.after = after
        self.counted = counted


class Permanent(Failure):
    """Never will work; the event is dead-lettered under `code`."""


class BatchFailed(Exception):
    """Some events of a handled batch failed, the others are done. Maps event_id to its `Retry` or `Permanent`."""

    def __init__(self, failures: Mapping[EventId, Retry | Permanent]) -> None:
        super().__init__(f"{len(failures)} events failed")
        self.failures = dict(failures)
