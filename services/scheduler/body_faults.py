"""What can be wrong with schedules and campaigns alike: with the parts that their bodies share, and with their state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.scheduler.domain.hours import has_opening
from services.scheduler.payloads.campaigns import HoursBody
from shared.errors import FieldError, Rejected
from shared.events.values import Hours
from shared.http.codes import Code


def refuse(faults: Sequence[FieldError]) -> None:
    """Raises `Rejected` where there are any."""
    if faults:
        first = f"{faults[0].pointer} {faults[0].detail}"
        detail = f"{first}." if len(faults) == 1 else f"{first}; {len(faults) - 1} more in errors."
        raise Rejected(Code.REQUEST_INVALID, detail, errors=list(faults))


def wrong_state(what: str, state: str, fitting: Sequence[str], action: str) -> Rejected:
    """A schedule or campaign is in no state for the action."""
    *others, last = fitting
    states = f"{', '.join(others)} or {last}" if others else last
    return Rejected(f"{what}.wrong_state", f"To {action} a {what}, it must be {states}; this one is {state}.", 409)


def hours_faults(hours: HoursBody | None) -> Iterator[FieldError]:
    """Days have seven names, and there has to be an opening."""
    if hours is None:
        return
    for name, spans in (("quiet", hours.quiet), ("allowed", hours.allowed)):
        for index, span in enumerate(spans):
            if not all(1 <= day <= 7 for day in span.days):
                yield FieldError(f"/hours/{name}/{index}/days", Code.FIELD_OUT_OF_RANGE, "are 1 (Monday) to 7 (Sunday)")
    if not has_opening(Hours(zone="UTC", quiet=hours.quiet, allowed=hours.allowed)):
        yield FieldError("/hours", "hours.never_open", "leave no minute of the week")
