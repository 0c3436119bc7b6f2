"""What a campaign's definition may be, and what it means for its run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.scheduler.campaign_draft import faults_of, lacks_of, spec_of
from services.scheduler.payloads.campaigns import CampaignBody
from shared.errors import Rejected
from shared.events.values import Tier
from shared.http.requests import validate
from shared.ids import NumberId

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
GROUP, OTHER, CONTACT = (f"{kind}_{'0' * 25}{last}" for kind, last in (("grp", 1), ("grp", 2), ("ctc", 3)))
TEMPLATE = f"tpl_{'0' * 26}"
TEXT: dict[str, Any] = {"type": "text", "text": {"body": "Hello {{name}}"}}
TEMPLATE_PART = {"name": "sale", "language": {"code": "es"}}
QUIET = {"start": "21:00", "end": "08:00"}


def body(**fields: Any) -> CampaignBody:
    return validate(CampaignBody, orjson.dumps({"name": "n", "audience": {"group_id": GROUP}, **fields}))


def complete(**fields: Any) -> CampaignBody:
    return body(content=TEXT, **fields)


def spec(**fields: Any) -> Any:
    return spec_of(complete(**fields), NumberId("num_1"), NOW)


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"template_id": TEMPLATE, "content": TEXT}, "/template_id", "field.surplus"),
        ({"content": {"type": "text"}}, "/content/text", "field.missing"),
        ({"content": {"type": "template"}}, "/content/template", "field.missing"),
        ({"content": {**TEXT, "template": TEMPLATE_PART}}, "/content/template", "field.surplus"),
        ({"content": TEXT, "variants": [{"name": "a", "content": TEXT}]}, "/content", "field.surplus"),
        ({"variants": [{"name": "a"}]}, "/variants/0/content", "field.missing"),
        ({"variants": [{"name": "a", "content": TEXT}] * 2}, "/variants/1/name", "variants.same_name"),
        ({"variants": [{"name": "a", "content": TEXT, "weight": 0}]}, "/variants", "variants.no_weight"),
        ({"variants": [{"name": "a", "content": TEXT, "message_id": TEMPLATE}]}, "/variants/0/message_id", "field.surplus"),
        ({"starts_at": "tomorrow"}, "/starts_at", "field.format"),
        ({"starts_at": "2026-12-01"}, "/starts_at", "field.format"),
        ({"starts_at": "2026-12-32T10:00:00Z"}, "/starts_at", "field.format"),
        ({"starts_at": "0001-01-01T00:00:00+14:00"}, "/starts_at", "field.format"),
        ({"starts_at": "9999-01-01T00:00:00"}, "/starts_at", "time.out_of_range"),
        ({"starts_at": "2026-12-01T10:00:00"}, "/time_zone", "field.missing"),
        ({"starts_at": "2026-12-01T10:00:00Z", "time_zone": "recipient"}, "/time_zone", "field.surplus"),
        ({"time_zone": "recipient"}, "/starts_at", "field.missing"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "zone.unknown"),
        ({"time_zone": "../etc/passwd"}, "/time_zone", "zone.unknown"),
        ({"expires_at": "2026-12-01T11:00:00Z"}, "/expires_at", "time.too_early"),
        ({"expires_at": "2026-12-01T14:00:00Z", "starts_at": "2026-12-01T15:00:00Z"}, "/expires_at", "time.too_early"),
        ({"expires_at": "9999-01-01T00:00:00Z"}, "/expires_at", "time.out_of_range"),
        ({"hours": {"quiet": [{"start": "00:00", "end": "00:00"}]}}, "/hours", "hours.never_open"),
        ({"hours": {"quiet": [{**QUIET, "days": [0, 8]}]}}, "/hours/quiet/0/days", "field.out_of_range"),
        (
            {"pacing": {"messages_per_minute": 10, "ramp": {"from": 11, "minutes": 5}}},
            "/pacing/ramp/from",
            "field.out_of_range",
        ),
        ({"audience": {"filter": {"a": 2**60}}}, "/audience/filter/a", "number.out_of_range"),
    ],
)
def test_a_fault_is_named_with_its_field(fields: dict[str, Any], pointer: str, code: str) -> None:
    assert [(fault.pointer, fault.code) for fault in faults_of(body(**fields), NOW)] == [(pointer, code)]


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"audience": {"group_ids": ["not an id"]}},
        {"audience": {"recipients": [{"to": "+15551234567", "surname": "x"}]}},
        {"audience": {"recipients": [{"to": "+15551234567"}] * 1_001}},
        {"content": {"type": "text", "text": {"body": "nul \0"}}},
        {"pacing": {"messages_per_minute": 0}},
        {"pacing": {"messages_per_minute": 10**18}},
        {"stop_on_failure": {"rate": 1.5}},
        {"stop_on_failure": {"rate": 0}},
        {"ttl_seconds": -1},
        {"ttl_seconds": "60"},
        {"priority": "urgent"},
        {"metadata": {"k": 5}},
        {"hours": {"quiet": [{"start": "25:00", "end": "08:00"}]}},
        {"variants": [{"name": "a\nb"}]},
        {"unheard_of": 1},
    ],
)
def test_what_has_the_wrong_form_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as caught:
        body(**fields)
    assert caught.value.status == 422


def test_a_draft_may_lack_what_a_start_needs() -> None:
    draft = validate(CampaignBody, b'{"name": "n", "audience": {}}')
    assert faults_of(draft, NOW) == []
    assert [fault.pointer for fault in lacks_of(draft)] == ["/audience", "/content"]
    assert lacks_of(complete()) == []


def test_the_audience_names_each_once() -> None:
    audience = spec(audience={"group_id": GROUP, "group_ids": [OTHER, GROUP], "contact_ids": [CONTACT, CONTACT]}).audience
    assert (audience.group_ids, audience.contact_ids) == ([GROUP, OTHER], [CONTACT])


def test_one_content_is_the_only_variant_and_variants_add_to_common_variables() -> None:
    (only,) = spec(variables={"shop": "Lima"}).variants
    assert (only.name, only.weight, only.content, only.variables) == ("a", 1, TEXT, {"shop": "Lima"})
    variants = [
        {"name": "short", "content": TEXT, "weight": 3},
        {"name": "long", "template_id": TEMPLATE, "variables": {"shop": "Cusco"}},
    ]
    short, long = spec_of(body(variants=variants, variables={"shop": "Lima"}), NumberId("num_1"), NOW).variants
    assert (short.name, short.weight, short.variables) == ("short", 3, {"shop": "Lima"})
    assert (long.template_id, long.content, long.weight, long.variables) == (TEMPLATE, None, 1, {"shop": "Cusco"})


@pytest.mark.parametrize(
    ("fields", "due", "wall", "zone"),
    [
        ({}, NOW, None, None),
        ({"starts_at": "2026-12-02T10:00:00+01:00"}, datetime(2026, 12, 2, 9, tzinfo=UTC), None, None),
        ({"starts_at": "2020-01-01T00:00:00Z"}, NOW, None, None),
        (
            {"starts_at": "2026-12-02T10:00", "time_zone": "Asia/Kolkata"},
            datetime(2026, 12, 2, 4, 30, tzinfo=UTC),
            None,
            "Asia/Kolkata",
        ),
        ({"starts_at": "2026-12-02T10:00:00", "time_zone": "recipient"}, None, datetime(2026, 12, 2, 10), None),  # noqa: DTZ001  # a wall time
        ({"time_zone": "Asia/Kolkata"}, NOW, None, "Asia/Kolkata"),
    ],
)
def test_the_start_is_a_moment_or_the_recipients_own_time(
    fields: dict[str, Any], due: datetime | None, wall: datetime | None, zone: str | None
) -> None:
    found = spec(**fields)
    assert (found.due_at, found.local_time, found.default_zone) == (due, wall, zone)


def test_the_rest_is_passed_on() -> None:
    found = spec(
        priority="low",
        pacing={"messages_per_minute": 600, "ramp": {"from": 60, "minutes": 10}},
        stop_on_failure={"rate": 0.2, "after": 50},
        hours={"quiet": [QUIET]},
        ttl_seconds=60,
        expires_at="2026-12-01T13:00:00Z",
        needs_consent=False,
        on_unknown="resend",
        reference="r",
        metadata={"k": "v"},
    )
    assert found.tier is Tier.LOW
    assert (found.ttl_seconds, found.expires_at) == (60, datetime(2026, 12, 1, 13, tzinfo=UTC))
    assert (found.pacing.messages_per_minute, found.pacing.ramp_from, found.pacing.ramp_minutes) == (600, 60, 10)
    assert (found.failure_stop.rate, found.failure_stop.after) == (0.2, 50)
    assert found.hours.quiet[0].start == "21:00"
    assert (found.needs_consent, found.on_unknown, found.reference, found.metadata) == (False, "resend", "r", {"k": "v"})
