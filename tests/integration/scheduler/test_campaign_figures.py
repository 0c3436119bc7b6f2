"""What became of a campaign's recipients: figures, lists and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.scheduler import conclude
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MessageRequested, RunReported
from shared.events.values import DeliveryStatus
from tests.integration.scheduler.campaigning import TENANT, TEXT, Scene, campaigning, connected, faulty, recipients
from tests.integration.scheduler.telling import now

VARIANTS = [{"name": "short", "content": TEXT}, {"name": "long", "weight": 2, "content": TEXT}]


@pytest.fixture
async def scene(pool: Pool, outbox: Outbox) -> AsyncIterator[Scene]:
    async with campaigning(pool, outbox) as scene:
        yield await connected(scene)


async def report(scene: Scene, event: MessageRequested, *statuses: DeliveryStatus) -> None:
    await conclude.report(
        scene.outbox,
        [
            RunReported(tenant_id=TENANT, run_id=event.run_id, message_id=event.message_id, status=status, status_at=now())
            for status in statuses
        ],
    )


async def finished(scene: Scene) -> tuple[str, list[MessageRequested]]:
    """Six were asked for and one was not: four sent, of whom two got it and one read it; one failed, one expired."""
    scene.audience = [*recipients(2), *recipients(6, variant=1)[2:], faulty("=1+1", "phone.invalid", "+no\tnumber")]
    one = await scene.started(content=None, variants=VARIANTS)
    asked = sorted(await scene.dispatch(), key=lambda event: event.to)
    await scene.end(asked[:4], "sent")
    await scene.end(asked[4:5], "failed", "provider.refused")
    await scene.end(asked[5:], "expired")
    await report(scene, asked[0], DeliveryStatus.DELIVERED, DeliveryStatus.READ)
    await report(scene, asked[1], DeliveryStatus.DELIVERED)
    await report(scene, asked[2], DeliveryStatus.FAILED)
    await scene.dispatch()
    return one, asked


async def test_figures_by_variant_by_reason_and_over_time(scene: Scene) -> None:
    one, _ = await finished(scene)
    stats = await scene.get(f"{one}/stats")
    short, long = stats["variants"]
    assert short == {
        "name": "short",
        "recipients": 3,
        "sent": 2,
        "delivered": 2,
        "read": 1,
        "failed": 1,
        "sent_rate": 0.6667,
        "delivered_rate": 1.0,
        "read_rate": 0.5,
        "failed_rate": 0.3333,
    }
    assert (long["name"], long["recipients"], long["sent"], long["failed"]) == ("long", 4, 2, 2)
    assert sorted((row["state"], row.get("code"), row["recipients"]) for row in stats["failures"]) == [
        ("expired", None, 1),
        ("failed", "provider.refused", 1),
        ("rejected", "phone.invalid", 1),
        ("undelivered", None, 1),
    ]
    assert stats["interval"] == "minute"
    for figure, count in (("sent", 4), ("failed", 3), ("delivered", 2), ("read", 1)):
        assert sum(point[figure] for point in stats["series"]) == count
    assert all(point["at"].endswith(":00Z") for point in stats["series"])
    by_hour = await scene.get(f"{one}/stats?interval=hour")
    assert all(point["at"].endswith(":00:00Z") for point in by_hour["series"])
    assert await scene.refused("GET", f"{one}/stats?interval=day") == (422, "request.invalid")


async def test_the_progress_says_who_got_it_and_who_read_it(scene: Scene) -> None:
    one, _ = await finished(scene)
    progress = (await scene.get(one))["progress"]
    assert (progress["delivered"], progress["read"]) == (2, 1)
    assert progress["ended"] == {"sent": 4, "failed": 1, "expired": 1, "rejected": 1}


async def test_a_draft_has_no_figures_and_no_recipients(scene: Scene) -> None:
    one = await scene.create()
    assert await scene.get(f"{one}/stats") == {"variants": [], "failures": [], "interval": "minute", "series": []}
    assert await scene.get(f"{one}/recipients") == {"data": []}
    _, text = await scene.text(f"{one}/recipients.csv")
    assert text.count("\n") == 1


async def test_recipients_are_listed_page_by_page_and_by_state(scene: Scene) -> None:
    one, asked = await finished(scene)
    found: list[dict[str, Any]] = []
    query = "?limit=3"
    while True:
        page = await scene.get(f"{one}/recipients{query}")
        found += page["data"]
        if "next_cursor" not in page:
            break
        query = f"?limit=3&cursor={page['next_cursor']}"
    assert len(found) == 7
    by_phone = {one["to"]: one for one in found}
    assert by_phone[asked[0].to]["message_id"] == asked[0].message_id
    assert by_phone[asked[0].to]["variant"] == "short"
    assert {"delivered_at", "read_at", "ended_at"} <= set(by_phone[asked[0].to])
    assert by_phone["=1+1"]["code"] == "phone.invalid"
    (failed,) = (await scene.get(f"{one}/recipients?state=failed"))["data"]
    assert (failed["to"], failed["code"]) == (asked[4].to, "provider.refused")
    assert len((await scene.get(f"{one}/recipients?state=sent"))["data"]) == 4


async def test_csv_has_a_line_for_each_and_no_formula(scene: Scene) -> None:
    one, asked = await finished(scene)
    headers, text = await scene.text(f"{one}/recipients.csv")
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == f'attachment; filename="{one[1:]}.csv"'
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(lines) == 7
    assert {line["to"] for line in lines} == {*(event.to for event in asked), "'=1+1"}
    (wrong,) = [line for line in lines if line["state"] == "rejected"]
    assert (wrong["code"], wrong["detail"], wrong["message_id"]) == ("phone.invalid", "'+no\tnumber", "")
    _, text = await scene.text(f"{one}/recipients.csv?state=expired")
    assert [line["to"] for line in csv.DictReader(io.StringIO(text, newline=""))] == [asked[5].to]


async def test_csv_goes_on_past_what_is_read_at_a_time(scene: Scene) -> None:
    one = await scene.started()
    await scene.pool.execute(
        "INSERT INTO recipients (run_id, position, phone, zone, variant, due_at) "
        "SELECT runs.id, 1000000 + n, '+1999' || n, 'UTC', 0, now() FROM runs, generate_series(1, 2500) AS n"
    )
    _, text = await scene.text(f"{one}/recipients.csv")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [line["to"] for line in lines] == [f"+1999{n}" for n in range(1, 2_501)]


async def test_the_rate_is_what_was_sent_since_the_start_or_resumption(scene: Scene) -> None:
    scene.audience = recipients(60)
    one = await scene.started()
    asked = await scene.dispatch()
    await scene.end(asked[:10], "sent")
    assert "messages_per_minute" not in (await scene.get(one))["progress"], "a moment says nothing"
    minute_ago = now() - timedelta(minutes=1)
    await scene.pool.execute("UPDATE runs SET since = $1", minute_ago)
    await scene.pool.execute("UPDATE campaigns SET first_due_at = $1", minute_ago)
    assert 9 <= (await scene.get(one))["progress"]["messages_per_minute"] <= 10
