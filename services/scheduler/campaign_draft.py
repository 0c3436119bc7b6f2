"""What a campaign's definition says: its faults, each with the pointer to its field, and what it means for a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.scheduler.body_faults import hours_faults
from services.scheduler.domain.run import FailureStop, Pacing, RunSpec
from services.scheduler.domain.schedule import RECIPIENT, first_anywhere
from services.scheduler.domain.zones import is_zone, resolve
from services.scheduler.payloads.campaigns import CampaignBody, SayingBody
from shared.content import content_of
from shared.errors import FieldError
from shared.events.values import Audience, Hours, NamedRecipient, Tier, Variant
from shared.free_json import json_faults
from shared.http.codes import Code
from shared.ids import NumberId

_LATEST_YEAR: Final = 9_000
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Start:
    """When a campaign's messages may leave: at a moment, or at a wall time in each recipient's zone."""

    due_at: datetime
    """For a wall time: when the first of the world's zones reaches it."""
    wall: datetime | None = None
    zone: str | None = None
    """For recipients whose own nobody knows; None: the tenant's."""


def faults_of(body: CampaignBody, now: datetime) -> list[FieldError]:
    """What is wrong with a definition, complete or not."""
    return [*_saying_faults(body), *_time_faults(body, now), *_setting_faults(body)]


def lacks_of(body: CampaignBody) -> list[FieldError]:
    """What a definition lacks to be started."""
    lacks = []
    if body.audience is None or body.audience.is_empty:
        lacks.append(
            FieldError("/audience", Code.FIELD_MISSING, "is needed: a group, contacts, a segment, a filter or recipients")
        )
    if not body.variants and not _sayings(body):
        lacks.append(FieldError("/content", Code.FIELD_MISSING, "is needed, or template_id, message_id or variants"))
    return lacks


def start_of(body: CampaignBody, now: datetime) -> Start:
    """When it may begin; the past means now. The body has no faults."""
    zone = None if body.time_zone in {None, RECIPIENT} else body.time_zone
    if body.starts_at is None:
        return Start(now, zone=zone)
    moment = _moment(body.starts_at)
    assert moment is not None
    if moment.tzinfo is not None:
        return Start(max(now, moment.astimezone(UTC)), zone=zone)
    if zone is not None:
        return Start(max(now, resolve(moment, zone)), zone=zone)
    return Start(max(now, first_anywhere(moment)), wall=moment)


def spec_of(body: CampaignBody, number_id: NumberId, now: datetime, zone: str = "UTC", hours: Hours | None = None) -> RunSpec:
    """What the run of a complete campaign without faults is to do. `zone` and `hours` are the tenant's, for one without its own."""
    start = start_of(body, now)
    return RunSpec(
        audience=audience_of(body),
        variants=variants_of(body),
        number_id=number_id,
        tier=body.priority.tier,
        due_at=start.due_at if start.wall is None else None,
        local_time=start.wall,
        default_zone=start.zone,
        hours=hours_of(body, start.zone or zone, hours),
        ttl_seconds=body.ttl_seconds,
        expires_at=body.expires_at,
        on_unknown=body.on_unknown,
        needs_consent=body.needs_consent,
        reference=body.reference,
        metadata=body.metadata,
        pacing=pacing_of(body),
        failure_stop=None
        if body.stop_on_failure is None
        else FailureStop(rate=body.stop_on_failure.rate, after=body.stop_on_failure.after),
    )


def audience_of(body: CampaignBody) -> Audience:
    given = body.audience
    assert given is not None
    groups = [*([given.group_id] if given.group_id else []), *given.group_ids]
    return Audience(
        group_ids=list(dict.fromkeys(groups)),
        contact_ids=list(dict.fromkeys(given.contact_ids)),
        segment_id=given.segment_id,
        filter=given.filter,
        recipients=[NamedRecipient(to=named.to, variables=named.variables) for named in given.recipients],
    )


def variants_of(body: CampaignBody) -> list[Variant]:
    """Those given, or the one content as the only variant."""
    if not body.variants:
        return [_variant(body, "a", 1, {})]
    return [_variant(variant, variant.name, variant.weight, body.variables) for variant in body.variants]


def hours_of(body: CampaignBody, zone: str, tenants: Hours | None) -> Hours | None:
    """Those it keeps: its own, else the tenant's; none where it is critical."""
    if body.priority.tier is Tier.CRITICAL:
        return None
    if body.hours is None:
        return tenants
    own = Hours(zone=zone, quiet=body.hours.quiet, allowed=body.hours.allowed)
    return own if own.quiet or own.allowed else None


def pacing_of(body: CampaignBody) -> Pacing | None:
    if body.pacing is None:
        return None
    ramp = body.pacing.ramp
    return Pacing(
        messages_per_minute=body.pacing.messages_per_minute,
        ramp_from=None if ramp is None else ramp.from_,
        ramp_minutes=None if ramp is None else ramp.minutes,
    )


def _variant(saying: SayingBody, name: str, weight: int, variables: dict[str, str]) -> Variant:
    content = None if saying.content is None else content_of(saying.content.type, saying.content)
    return Variant(
        name=name,
        weight=weight,
        content=content if isinstance(content, dict) else None,
        template_id=saying.template_id,
        message_id=saying.message_id,
        variables={**variables, **saying.variables},
    )


def _sayings(saying: SayingBody) -> list[str]:
    return [name for name in ("content", "template_id", "message_id") if getattr(saying, name) is not None]


def _saying_faults(body: CampaignBody) -> Iterator[FieldError]:
    if body.variants:
        for name in _sayings(body):
            yield FieldError(f"/{name}", "field.surplus", "does not go with variants, which have their own")
        if not any(variant.weight for variant in body.variants):
            yield FieldError("/variants", "variants.no_weight", "one at least needs a weight above 0")
        names = [variant.name for variant in body.variants]
        for index, variant in enumerate(body.variants):
            if variant.name in names[:index]:
                yield FieldError(f"/variants/{index}/name", "variants.same_name", "is the name of another one")
            if not _sayings(variant):
                yield FieldError(f"/variants/{index}/content", Code.FIELD_MISSING, "is needed, or template_id or message_id")
            yield from _one_saying(variant, f"/variants/{index}")
    else:
        yield from _one_saying(body, "")


def _one_saying(saying: SayingBody, pointer: str) -> Iterator[FieldError]:
    given = _sayings(saying)
    for name in given[1:]:
        yield FieldError(f"{pointer}/{name}", "field.surplus", f"does not go with {given[0]}")
    if saying.content is not None:
        content = content_of(saying.content.type, saying.content, f"{pointer}/content")
        yield from content if isinstance(content, list) else ()


def _time_faults(body: CampaignBody, now: datetime) -> Iterator[FieldError]:
    zone = body.time_zone
    if zone is not None and zone != RECIPIENT and not is_zone(zone):
        yield FieldError("/time_zone", "zone.unknown", 'must be an IANA name, as Europe/Madrid, or "recipient"')
        return
    moment = None if body.starts_at is None else _moment(body.starts_at)
    if body.starts_at is not None:
        if moment is None:
            yield FieldError(
                "/starts_at", Code.FIELD_FORMAT, "must be a time as in 2026-12-01T10:00:00, with an offset or without"
            )
            return
        if not 1970 < moment.year < _LATEST_YEAR:
            yield FieldError("/starts_at", "time.out_of_range", f"must lie before the year {_LATEST_YEAR}")
            return
        if moment.tzinfo is None and zone is None:
            yield FieldError("/time_zone", Code.FIELD_MISSING, "a starts_at without an offset needs it")
            return
        if moment.tzinfo is not None and zone == RECIPIENT:
            yield FieldError("/time_zone", "field.surplus", "a starts_at with an offset is the same moment for all")
    elif zone == RECIPIENT:
        yield FieldError("/starts_at", Code.FIELD_MISSING, "the recipients' time zones need a starts_at without an offset")
    if body.expires_at is not None:
        if not 1970 < body.expires_at.year < _LATEST_YEAR:
            yield FieldError("/expires_at", "time.out_of_range", f"must lie before the year {_LATEST_YEAR}")
        elif body.expires_at <= start_of(body, now).due_at:
            yield FieldError("/expires_at", "time.too_early", "must lie after the start")


def _setting_faults(body: CampaignBody) -> Iterator[FieldError]:
    yield from hours_faults(body.hours)
    if body.pacing is not None and body.pacing.ramp is not None and body.pacing.ramp.from_ > body.pacing.messages_per_minute:
        yield FieldError("/pacing/ramp/from", Code.FIELD_OUT_OF_RANGE, "must be at most messages_per_minute")
    if body.audience is not None:
        yield from json_faults(body.audience.filter, "/audience/filter")


def _moment(text: str) -> datetime | None:
    """RFC 3339, or the same without an offset: then it is naive. None where it is neither."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
