"""What a preflight finds, and that it sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import AudienceWanted
from shared.ids import new_id
from tests.integration.scheduler.campaigning import NUMBER, Scene, campaigning, connected, faulty, recipient, recipients
from tests.integration.scheduler.telling import now

MISSING = "{{name}}, {{city}} have no value: neither given, nor known of the contact, nor a default"
TEMPLATE: dict[str, Any] = {"type": "template", "template": {"name": "sale", "language": {"code": "es"}}}


@pytest.fixture
async def scene(pool: Pool, outbox: Outbox) -> AsyncIterator[Scene]:
    async with campaigning(pool, outbox) as scene:
        yield await connected(scene)


def codes(found: Any) -> set[str]:
    return {warning["code"] for warning in found["warnings"]}


async def test_it_counts_whom_it_would_reach_and_whom_not_and_sends_nothing(scene: Scene) -> None:
    scene.audience = [
        *recipients(10),
        recipient("+15551000000"),
        faulty("+15552000000", "contact.opted_out"),
        faulty("+15552000001", "variable.missing", MISSING),
        faulty(
            "+15552000002", "variable.missing", "{{name}} has no value: neither given, nor known of the contact, nor a default"
        ),
        faulty("nonsense", "phone.invalid"),
        faulty("ctc_without", "contact.no_phone"),
        faulty("+15552000003", "text.too_long"),
    ]
    one, found = await scene.preflight()
    assert found["state"] == "done"
    assert (found["audience_size"], found["sendable"], found["duplicates"]) == (16, 10, 1)
    assert (found["invalid"], found["opted_out"]) == (2, 1)
    assert found["missing_variables"] == {"name": 2, "city": 1}
    assert found["faults"] == {
        "contact.opted_out": 1,
        "variable.missing": 2,
        "phone.invalid": 1,
        "contact.no_phone": 1,
        "text.too_long": 1,
    }
    assert "recipients.rejected" in codes(found)
    assert found["estimate"]["messages_per_second"] == 80
    assert await scene.dispatch() == []
    assert await scene.state(one) == "draft"
    await scene.act(one, "start")
    await scene.find()
    assert len(await scene.dispatch()) == 10


async def test_it_tells_what_it_has_so_far_and_can_be_asked_for_again(scene: Scene) -> None:
    one = await scene.create()
    assert await scene.refused("GET", f"{one}/preflight") == (404, "preflight.none")
    first = await scene.act(one, "preflight")
    assert (first["state"], first["audience_size"], first["warnings"]) == ("running", 0, [])
    assert await scene.act(one, "preflight") == first
    scene.audience = recipients(2)
    await scene.find()
    found = await scene.get(f"{one}/preflight")
    assert (found["state"], found["sendable"]) == ("done", 2)


async def test_a_change_takes_the_preflight_away(scene: Scene) -> None:
    scene.audience = recipients(1)
    one, _ = await scene.preflight()
    assert (await scene.ask("PATCH", one, {"name": "another"}))[0] == 200
    assert await scene.refused("GET", f"{one}/preflight") == (404, "preflight.none")


async def test_with_nobody_to_send_to_it_warns_and_the_start_is_refused(scene: Scene) -> None:
    scene.audience = [faulty("+15552000000", "contact.opted_out")]
    one, found = await scene.preflight()
    assert "audience.nobody" in codes(found)
    assert "estimate" not in found
    assert await scene.refused("POST", f"{one}/start") == (409, "campaign.nobody")
    scene.audience = recipients(1)
    await scene.act(one, "preflight")
    await scene.find()
    assert (await scene.act(one, "start"))["state"] == "starting"


async def test_what_is_not_there_fails_it_and_the_start_says_the_same(scene: Scene) -> None:
    scene.unfindable = "template.unknown"
    one, found = await scene.preflight()
    assert (found["state"], found["code"], found["detail"]) == ("failed", "template.unknown", "it is not there")
    assert await scene.refused("POST", f"{one}/start") == (409, "template.unknown")


async def test_templates_count_against_the_portfolios_budget_and_free_text_does_not(scene: Scene) -> None:
    scene.audience = recipients(25)
    await scene.pool.execute("UPDATE numbers SET portfolio_id = 'p', unique_users_per_day = 10 WHERE number_id = $1", NUMBER)
    _, found = await scene.preflight()
    assert "budget" not in found
    assert "budget.exceeded" not in codes(found)
    _, found = await scene.preflight(content=TEMPLATE)
    assert found["budget"] == {"portfolio_id": "p", "unique_users_per_day": 10, "wanted": 25, "days": 3}
    assert "budget.exceeded" in codes(found)
    assert found["estimate"]["seconds"] >= 2 * 86_400
    _, found = await scene.preflight(content=None, message_id=new_id("drf"))
    assert found["budget"]["days"] == 3, "a draft may be a template"


async def test_the_estimate_knows_pacing_start_and_hours(scene: Scene) -> None:
    scene.audience = recipients(30, zone="Asia/Kolkata")
    _, found = await scene.preflight(pacing={"messages_per_minute": 6})
    assert found["estimate"]["messages_per_second"] == 0.1
    assert 298 <= found["estimate"]["seconds"] <= 301
    starts_at = (now() + timedelta(days=2)).replace(microsecond=0)
    _, found = await scene.preflight(starts_at=starts_at.isoformat())
    assert found["estimate"]["starts_at"] == starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    morning = {"allowed": [{"start": "09:00", "end": "09:01"}]}
    _, found = await scene.preflight(hours=morning, pacing={"messages_per_minute": 20})
    assert found["estimate"]["ends_at"][10:16] == "T03:30", "half of them at 9:00 in India, the rest a day later"
    _, found = await scene.preflight(pacing={"messages_per_minute": 6}, ttl_seconds=60)
    assert "expires.before_end" in codes(found)
    _, found = await scene.preflight(pacing={"messages_per_minute": 6}, expires_at=(now() + timedelta(minutes=2)).isoformat())
    assert "expires.before_end" in codes(found)


async def test_it_warns_of_a_paused_number_a_held_template_and_closed_windows(scene: Scene) -> None:
    scene.audience = recipients(4)
    _, found = await scene.preflight()
    assert codes(found) == set()
    await scene.pool.execute(
        "UPDATE numbers SET enforces_windows = true, window_known_from = now() - interval '1 day', paused = 'number.flagged', "
        "account_id = 'waba' WHERE number_id = $1",
        NUMBER,
    )
    await scene.pool.execute(
        "INSERT INTO windows (number_id, phone, last_inbound_at) VALUES ($1, '+15551000000', now()), "
        "($1, '+15551000001', now() - interval '25 hours')",
        NUMBER,
    )
    _, found = await scene.preflight()
    assert codes(found) == {"number.flagged", "window.closed"}
    (closed,) = [warning["detail"] for warning in found["warnings"] if warning["code"] == "window.closed"]
    assert closed.startswith("3 of 4 ")
    await scene.pool.execute(
        "INSERT INTO templates (account_id, template, category, held, changed_at) "
        "VALUES ('waba', 'sale:es', 'marketing', 'template.paused', now())"
    )
    _, found = await scene.preflight(content=TEMPLATE)
    assert codes(found) == {"number.flagged", "template.paused"}


async def test_one_that_is_deleted_is_not_looked_for_any_more(scene: Scene) -> None:
    one = await scene.create()
    await scene.act(one, "preflight")
    assert await scene.ask("DELETE", one) == (204, None)
    assert len(await scene.take(AudienceWanted)) == 1
    assert await scene.pool.fetchval("SELECT state FROM runs") == "canceled"
