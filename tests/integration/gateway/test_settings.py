"""A tenant's settings: time zone, hours, keywords."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.gateway.domain.keywords import START, STOP
from shared.events.catalogue import TenantChanged
from tests.integration.gateway.serving import Answer, Gateway, Tenant

NIGHT = {"quiet": [{"start": "22:00", "end": "07:30"}]}
EVERY_DAY = [1, 2, 3, 4, 5, 6, 7]


async def patch(gateway: Gateway, tenant: Tenant, body: Any, **headers: str) -> Answer:
    return await gateway.call("PATCH", "/api/settings", body, tenant, **headers)


async def get(gateway: Gateway, tenant: Tenant) -> dict[str, Any]:
    answer = await gateway.call("GET", "/api/settings", tenant=tenant)
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def test_who_has_chosen_nothing_has_utc_any_hour_and_the_usual_words(gateway: Gateway) -> None:
    shown = await get(gateway, await gateway.new_tenant())
    assert shown == {"revision": 0, "time_zone": "UTC", "stop_words": STOP, "start_words": START}


async def test_what_is_given_changes_and_the_rest_stays(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await patch(gateway, tenant, {"time_zone": "Asia/Kathmandu", "hours": NIGHT, "stop_words": {"en": ["Go away!"]}})
    assert answer.status == 200, answer.text
    assert answer.body == await get(gateway, tenant)
    hours = {"quiet": [{"start": "22:00", "end": "07:30", "days": EVERY_DAY}], "allowed": []}
    assert (answer.body["revision"], answer.body["hours"], answer.body["stop_words"]) == (1, hours, {"en": ["Go away!"]})
    assert answer.body["start_words"] == START
    [told] = await gateway.told()
    assert isinstance(told, TenantChanged)
    assert (told.tenant_id, told.revision, told.time_zone) == (tenant.tenant_id, 1, "Asia/Kathmandu")
    assert told.hours is not None
    assert told.hours.model_dump() == {"zone": "Asia/Kathmandu", **hours}
    later = await patch(gateway, tenant, {"hours": None, "stop_words": None})
    assert later.body == {"revision": 2, "time_zone": "Asia/Kathmandu", "stop_words": STOP, "start_words": START}
    [told] = await gateway.told()
    assert isinstance(told, TenantChanged)
    assert (told.revision, told.hours) == (2, None)


async def test_what_changes_nothing_tells_nothing(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    for body in ({}, {"time_zone": "UTC"}, {"hours": {}}, {"stop_words": None}):
        assert (await patch(gateway, tenant, body)).body["revision"] == 0
    assert await gateway.told() == []
    assert (await get(gateway, await gateway.new_tenant("Other")))["revision"] == 0


async def test_changes_at_once_are_all_made_one_after_another(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    zones = ["Europe/Berlin", "America/Lima", "Asia/Tokyo", "Africa/Cairo", "Asia/Kolkata"]
    answers = await asyncio.gather(*(patch(gateway, tenant, {"time_zone": zone}) for zone in zones))
    assert sorted(answer.body["revision"] for answer in answers) == [1, 2, 3, 4, 5]
    last = max(await gateway.told(), key=lambda event: event.revision if isinstance(event, TenantChanged) else 0)
    assert isinstance(last, TenantChanged)
    assert (await get(gateway, tenant))["time_zone"] == last.time_zone


async def test_a_repeat_under_a_key_is_the_same_answer(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    first, second = [await patch(gateway, tenant, {"time_zone": "Asia/Tokyo"}, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert (first.text, second.headers["Idempotent-Replayed"]) == (second.text, "true")
    assert len(await gateway.told()) == 1


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "time_zone.unknown"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone", "time_zone.unknown"),
        ({"time_zone": "a\x00"}, "/time_zone", "field.bad_text"),
        ({"hours": {"quiet": [{"start": "8:00", "end": "09:00"}]}}, "/hours/quiet/0/start", "field.format"),
        ({"hours": {"quiet": [{"start": "08:00", "end": "24:00"}]}}, "/hours/quiet/0/end", "field.format"),
        (
            {"hours": {"quiet": [{"start": "08:00", "end": "09:00", "days": [8]}]}},
            "/hours/quiet/0/days/0",
            "field.out_of_range",
        ),
        ({"hours": {"quiet": [{"start": "00:00", "end": "00:00"}]}}, "/hours", "hours.never_open"),
        (
            {
                "hours": {
                    "allowed": [{"start": "09:00", "end": "17:00", "days": [1]}],
                    "quiet": [{"start": "08:00", "end": "12:00"}, {"start": "12:00", "end": "20:00"}],
                }
            },
            "/hours",
            "hours.never_open",
        ),
        ({"stop_words": {"en": ["!?"]}}, "/stop_words/en/0", "keyword.empty"),
        ({"stop_words": {"EN": ["stop"]}}, "/stop_words/EN", "field.format"),
        ({"start_words": {"en": "start"}}, "/start_words/en", "field.type"),
        ({"zone": "UTC"}, "/zone", "field.unknown"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(body: Any, pointer: str, code: str, gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    answer = await patch(gateway, tenant, body)
    assert (answer.status, [(e["pointer"], e["code"]) for e in answer.body["errors"]]) == (422, [(pointer, code)])
    assert (await get(gateway, tenant))["revision"] == 0


async def test_a_span_that_passes_midnight_leaves_the_day_open(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    hours = {"allowed": [{"start": "22:00", "end": "06:00", "days": [7]}], "quiet": [{"start": "22:00", "end": "00:00"}]}
    assert (await patch(gateway, tenant, {"hours": hours})).status == 200
