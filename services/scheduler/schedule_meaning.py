"""What a schedule's definition means: when its occurrences are and what each sends, or its faults, each with the pointer to its
field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from services.scheduler.body_faults import hours_faults, refuse
from services.scheduler.domain import recurrence, zones
from services.scheduler.domain.schedule import RECIPIENT, Timing, first_anywhere, next_occurrences, once
from services.scheduler.payloads.schedules import ScheduleBody, TimingBody
from shared.content import TYPES, content_of
from shared.errors import FieldError
from shared.events.values import Audience, NamedRecipient, Variant
from shared.free_json import json_faults
from shared.http.codes import Code

_PHONE: Final = re.compile(r"\+?[0-9]{7,15}", re.ASCII)
_SEPARATORS: Final = str.maketrans("", "", " -().")


@dataclass(frozen=True, slots=True)
class Moments:
    """What a definition is read by."""

    created_at: datetime
    """A recurrence without `starts_at` starts in that minute."""
    now: datetime
    zone: str
    """The tenant's."""


def timing_of(body: TimingBody, moments: Moments) -> Timing:
    """When it is. Raises `Rejected`."""
    faults = [*_kind_faults(body), *_zone_faults(body)]
    refuse(faults)
    zone = body.time_zone or moments.zone
    if body.scheduled_time is not None:
        return _once(body.scheduled_time, zone, moments)
    timing = _again(body, zone, moments)
    if timing.end is not None and timing.start is not None and timing.end < _moment(timing.start, zone):
        refuse([FieldError("/ends_at", "time.too_early", "must lie after the start")])
    if not next_occurrences(timing, moments.now, 1):
        name = "recurrence" if body.recurrence is not None else "cron"
        refuse([FieldError(f"/{name}", "recurrence.never", "has no occurrence to come, or none that can be found")])
    return timing


def spec_of(body: ScheduleBody, timing: Timing, number_id: str) -> dict[str, Any]:
    """What its runs are to do, but for their time and the tenant's hours: the fields of a `RunSpec` in JSON. Raises `Rejected`."""
    refuse([*_saying_faults(body), *_audience_faults(body), *hours_faults(body.hours), *_expiry_faults(body, timing)])
    content = None if body.template_id or body.message_id else content_of(body.type or "text", body)
    variant = Variant(
        content=content if isinstance(content, dict) else None,
        template_id=body.template_id,
        message_id=body.message_id,
        variables=body.variables,
    )
    audience = Audience(
        group_ids=[] if body.group_id is None else [body.group_id],
        contact_ids=list(dict.fromkeys(body.contact_ids)),
        segment_id=body.segment_id,
        filter=body.filter,
        recipients=[
            *([NamedRecipient(to=body.to)] if body.to is not None else []),
            *(NamedRecipient(to=named.to, variables=named.variables) for named in body.recipients),
        ],
    )
    return {
        "audience": audience.model_dump(mode="json"),
        "variants": [variant.model_dump(mode="json")],
        "number_id": number_id,
        "tier": int(body.priority.tier),
        "default_zone": None if timing.is_local else timing.zone,
        "ttl_seconds": body.ttl_seconds,
        "expires_at": None if body.expires_at is None else body.expires_at.isoformat(),
        "on_unknown": body.on_unknown.value,
        "needs_consent": body.needs_consent,
        "reference": body.reference,
        "metadata": body.metadata,
        "hours": None if body.hours is None else body.hours.model_dump(mode="json"),
    }


def _once(time: datetime, zone: str, moments: Moments) -> Timing:
    if time.tzinfo is None and zone == RECIPIENT:
        return Timing(local_at=time, zone=RECIPIENT)
    at = _moment(time, zone)
    return Timing(at=max(moments.now, at), zone=zone)


def _again(body: TimingBody, zone: str, moments: Moments) -> Timing:
    start = body.starts_at or moments.created_at
    if start.tzinfo is not None:
        start = zones.wall_of(start, moments.zone if zone == RECIPIENT else zone)
    start = start.replace(microsecond=0)
    rule, count = None, body.count
    ends = [] if body.ends_at is None else [_moment(body.ends_at, zone)]
    try:
        if body.recurrence is not None:
            rule = recurrence.read_rule(body.recurrence)
            start = start if body.starts_at is not None else _begun(rule, start)
            count = min((number for number in (count, rule.count) if number is not None), default=None)
            ends += [] if rule.until is None else [_moment(rule.until, zone)]
        else:
            recurrence.read_cron(body.cron or "")
    except recurrence.RuleError as error:
        name = "cron" if rule is None and body.recurrence is None else "recurrence"
        refuse([FieldError(f"/{name}", f"{name}.invalid", str(error))])
    return Timing(
        rule=body.recurrence,
        cron=None if body.cron is None else body.cron.strip(),
        zone=zone,
        start=start,
        end=min(ends, default=None),
        count=count,
    )


def _begun(rule: recurrence.Rule, wall: datetime) -> datetime:
    """Where a rule that is given no start begins: in the minute of `wall`, or, where it names hours and no minutes, in its hour. So
    nothing comes at the second or minute at which somebody happened to ask."""
    minute = wall.replace(second=0)
    return minute.replace(minute=0) if "BYHOUR" in rule.lists and "BYMINUTE" not in rule.lists else minute


def _moment(time: datetime, zone: str) -> datetime:
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    return first_anywhere(time) if zone == RECIPIENT else zones.resolve(time, zone)


def _kind_faults(body: TimingBody) -> Iterator[FieldError]:
    given = [name for name in ("scheduled_time", "recurrence", "cron") if getattr(body, name) is not None]
    if not given:
        yield FieldError("/scheduled_time", Code.FIELD_MISSING, "is needed, or recurrence or cron")
    for name in given[1:]:
        yield FieldError(f"/{name}", "field.surplus", f"does not go with {given[0]}")
    if given == ["scheduled_time"]:
        for name in ("starts_at", "ends_at", "count"):
            if getattr(body, name) is not None:
                yield FieldError(f"/{name}", "field.surplus", "belongs to a recurrence")


def _zone_faults(body: TimingBody) -> Iterator[FieldError]:
    if body.time_zone is None:
        return
    if body.time_zone != RECIPIENT:
        if not zones.is_zone(body.time_zone):
            yield FieldError("/time_zone", "zone.unknown", 'must be an IANA name, as Europe/Madrid, or "recipient"')
        return
    for name in ("scheduled_time", "starts_at", "ends_at"):
        time = getattr(body, name)
        if time is not None and time.tzinfo is not None:
            yield FieldError(
                f"/{name}", "zone.conflict", "has an offset, so it is one moment; the recipients' own time has none"
            )


def _saying_faults(body: ScheduleBody) -> Iterator[FieldError]:
    given = [name for name in ("template_id", "message_id") if getattr(body, name) is not None]
    if given:
        for name in (*given[1:], *(name for name in ("type", "context", *TYPES) if getattr(body, name) is not None)):
            yield FieldError(f"/{name}", "field.surplus", f"does not go with {given[0]}")
        return
    content = content_of(body.type or "text", body)
    yield from content if isinstance(content, list) else ()


def _audience_faults(body: ScheduleBody) -> Iterator[FieldError]:
    names = ("to", "group_id", "segment_id", "filter")
    if all(getattr(body, name) is None for name in names) and not body.contact_ids and not body.recipients:
        yield FieldError("/to", Code.FIELD_MISSING, "is needed, or group_id, contact_ids, segment_id, filter or recipients")
    yield from json_faults(body.filter, "/filter")
    phones = [("/to", body.to), *((f"/recipients/{index}/to", named.to) for index, named in enumerate(body.recipients))]
    for pointer, phone in phones:
        if phone is not None and not _PHONE.fullmatch(phone.translate(_SEPARATORS)):
            yield FieldError(pointer, "phone.invalid", "must be a phone number with its country code")


def _expiry_faults(body: ScheduleBody, timing: Timing) -> Iterator[FieldError]:
    if body.expires_at is None:
        return
    if timing.is_recurring:
        yield FieldError("/expires_at", "field.surplus", "does not go with a recurrence; give ttl_seconds")
    elif body.expires_at <= once(timing).due_at:
        yield FieldError("/expires_at", "time.too_early", "must lie after the moment of sending")
