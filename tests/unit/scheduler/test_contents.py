"""Schedules and campaigns say whatever a message can say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.scheduler.campaign_draft import faults_of as campaign_faults
from services.scheduler.campaign_draft import spec_of as campaign_spec
from services.scheduler.payloads.campaigns import CampaignBody
from services.scheduler.payloads.schedules import ScheduleBody
from services.scheduler.schedule_meaning import Moments, spec_of, timing_of
from shared.errors import Rejected
from shared.http.requests import validate
from shared.ids import NumberId
from tests.unit.content.samples import CONTENTS

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
TO = "+15551234567"


def scheduled(**fields: Any) -> Any:
    document = {"to": TO, "scheduled_time": "2026-12-02T10:00:00Z", **fields}
    body = validate(ScheduleBody, orjson.dumps(document))
    return spec_of(body, timing_of(body, Moments(NOW, NOW, "UTC")), "num_1")["variants"][0]["content"]


@pytest.mark.parametrize("name", CONTENTS)
def test_every_type_is_passed_on_as_it_was_said(name: str) -> None:
    content = CONTENTS[name]
    assert scheduled(**content) == content
    body = validate(CampaignBody, orjson.dumps({"name": "n", "audience": {"recipients": [{"to": TO}]}, "content": content}))
    assert list(campaign_faults(body, NOW)) == []
    assert campaign_spec(body, NumberId("num_1"), NOW).variants[0].content == content


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"type": "image"}, "/image", "field.missing"),
        ({"type": "image", "image": {"link": "ftp://x.example"}}, "/image/link", "link.invalid"),
        ({"text": {"body": "x"}, "image": {"id": "1"}}, "/image", "field.surplus"),
        ({"message_id": f"drf_{'0' * 26}", "image": {"id": "1"}}, "/image", "field.surplus"),
        ({**CONTENTS["reaction"], "context": {"message_id": "wamid.x"}}, "/context", "field.surplus"),
    ],
)
def test_a_content_that_cannot_be_is_refused_by_its_field(fields: dict[str, Any], pointer: str, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        scheduled(**fields)
    assert [(fault.pointer, fault.code) for fault in refused.value.errors] == [(pointer, code)]


def test_what_is_left_to_variables_is_filled_in_later() -> None:
    content = {"type": "image", "image": {"link": "{{photo}}", "caption": "For {{name}}"}}
    assert scheduled(**content) == content
