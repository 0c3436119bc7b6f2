"""The reader of webhooks: what every field of them means, and that nothing signed is lost."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.gateway import contacts
from services.gateway.contacts import Channel
from services.gateway.domain.contact import Change, Contact, Identifier, Kind
from services.gateway.store import contacts as store
from services.gateway.store import news
from shared.db.pool import Pool
from shared.events.catalogue import (
    ContactConsentChanged,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    MessageRevoked,
    NumberConnected,
    TemplateChanged,
    UpdateTold,
)
from shared.events.event import Event
from shared.ids import TenantId
from tests.integration.gateway.reading import Reader
from tests.integration.gateway.serving import Gateway
from tests.support.platform import until
from tests.support.told import silent_outbox, told
from tests.unit.gateway.webhook.corpus import BUSINESS, STAMP, UNDERSTOOD, USER, USER_ID, message, said, system
from tests.unit.gateway.webhook.test_fuzz import places, put

SAID_AT = datetime.fromtimestamp(int(STAMP), UTC)
NUMBERED = {"metadata": {"display_phone_number": BUSINESS, "phone_number_id": "1001"}}


def ours(payload: dict[str, Any], seconds: int = 0) -> dict[str, Any]:
    """The payload about the reader's number and account, its entry's time so much later."""
    changed = copy.deepcopy(payload)
    for entry in changed["entry"]:
        entry["id"] = "1"
        if "time" in entry:
            entry["time"] += seconds
        for change in entry["changes"]:
            if "metadata" in change["value"]:
                change["value"] |= copy.deepcopy(NUMBERED)
            if "display_phone_number" in change["value"]:
                change["value"]["display_phone_number"] = "+1"
    return changed


async def heard(reader: Reader, pool: Pool, *payloads: dict[str, Any]) -> list[Event]:
    await reader.store(*map(ours, payloads))
    await reader.read()
    assert await pool.fetch("SELECT quarantined, body FROM webhooks") == []
    return list(await told(pool))


async def watch(pool: Pool) -> None:
    """From now on the tenant is told of updates; before the reader looks for the first time."""
    await pool.execute("INSERT INTO watched (tenant_id, revision, is_watched) SELECT tenant_id, 1, true FROM numbers")


def told_of(events: list[Event], kind: str) -> list[dict[str, Any]]:
    """What those who watch were told."""
    return [event.data for event in events if isinstance(event, UpdateTold) and event.type == kind]


async def tenant_of(pool: Pool) -> TenantId:
    return TenantId(await pool.fetchval("SELECT tenant_id FROM numbers"))


async def know(pool: Pool, *people: dict[Kind, str | None]) -> None:
    now = datetime.now(UTC)
    async with silent_outbox(pool, "gateway").transaction() as unit:
        changes = [Change(identifiers=one) for one in people]
        await contacts.upsert(unit, await tenant_of(pool), changes, channel=Channel.API, now=now)


async def called(pool: Pool, *names: Identifier) -> list[Contact]:
    async with pool.acquire() as connection, connection.transaction():
        return await store.lock_called(connection, await tenant_of(pool), names)


async def test_a_message_is_told_with_all_its_names(bare_reader: Reader, pool: Pool) -> None:
    (event,) = await heard(bare_reader, pool, said(message(group_id="120363")))
    assert isinstance(event, MessageReceived)
    assert (event.sender, event.user_id, event.username, event.group_id) == (f"+{USER}", USER_ID, "ana.p", "120363")
    assert not event.is_history


async def test_somebody_without_a_phone_number_can_opt_out(bare_reader: Reader, pool: Pool) -> None:
    stop = message(text={"body": "STOP"}, **{"from": ""})
    events = await heard(bare_reader, pool, said(stop, contacts=[]))
    assert [type(event) for event in events] == [MessageReceived, ContactConsentChanged]
    (contact,) = await called(pool, ("user_id", USER_ID))
    assert contact.identifiers == {"user_id": USER_ID}


async def test_what_is_said_in_a_group_or_was_said_before_is_no_opt_out(bare_reader: Reader, pool: Pool) -> None:
    in_group = said(message(text={"body": "STOP"}, group_id="120363"))
    old = {"from": USER, "id": "wamid.h1", "timestamp": STAMP, "type": "text", "text": {"body": "stop"}}
    history = said({"threads": [{"id": USER, "messages": [old]}]}, field="history", key="history")
    events = await heard(bare_reader, pool, in_group, history)
    assert [type(event) for event in events] == [MessageReceived, MessageReceived]
    assert [event.is_history for event in events if isinstance(event, MessageReceived)] == [False, True]


async def test_a_message_changed_and_taken_back_is_told_once_each(bare_reader: Reader, pool: Pool) -> None:
    edit = message("edit", "wamid.edit", edit={"original_message_id": "wamid.in", "message": {"text": {"body": "b"}}})
    revoke = message("revoke", "wamid.revoke", revoke={"original_message_id": "wamid.in"})
    events = await heard(bare_reader, pool, said(revoke), said(edit, message()))
    assert [type(event) for event in events] == [MessageReceived, MessageEdited, MessageRevoked]
    assert {event.wamid for event in events if isinstance(event, MessageEdited | MessageRevoked)} == {"wamid.in"}
    assert await heard(bare_reader, pool, said(revoke), said(edit, message())) == []


async def test_echoes_and_history_are_told_once_whichever_brings_them(bare_reader: Reader, pool: Pool) -> None:
    events = await heard(bare_reader, pool, UNDERSTOOD["echo"], UNDERSTOOD["history"])
    echoes = [event for event in events if isinstance(event, MessageEchoed)]
    assert [(echo.wamid, echo.to, echo.is_history) for echo in echoes] == [
        ("wamid.echo", f"+{USER}", False),
        ("wamid.h2", f"+{USER}", True),
        ("wamid.h3", f"+{USER}", True),
    ]
    assert await heard(bare_reader, pool, UNDERSTOOD["history"], UNDERSTOOD["echo"]) == []


async def test_a_file_that_somebody_sent_is_wanted(bare_reader: Reader, pool: Pool) -> None:
    await heard(bare_reader, pool, said(message("image")), said(message("text", "wamid.2")))
    assert await pool.fetchval("SELECT count(*) FROM media_fetches") == 1


@pytest.mark.parametrize("is_linked", [True, False])
async def test_a_contact_keeps_its_place_under_another_number(is_linked: bool, bare_reader: Reader, pool: Pool) -> None:
    person: dict[Kind, str | None] = {"phone": f"+{USER}"}
    await know(pool, person | ({"user_id": USER_ID} if is_linked else {}))
    (before,) = await called(pool, ("phone", f"+{USER}"))
    await watch(pool)
    changed = said(system(type="user_changed_number", wa_id="16505550000"))
    for times in (1, 0):
        events = await heard(bare_reader, pool, changed)
        assert len(told_of(events, "contact.identity_changed")) == times
    (after,) = await called(pool, ("phone", "+16505550000"))
    assert after.id == before.id
    assert await called(pool, ("phone", f"+{USER}")) == []


async def test_an_opt_out_comes_along_to_the_other_number(bare_reader: Reader, pool: Pool) -> None:
    await heard(bare_reader, pool, said(message(text={"body": "stop"})))
    events = await heard(bare_reader, pool, said(system(type="user_changed_number", wa_id="16505550000")))
    assert "+16505550000" in {event.phone for event in events if isinstance(event, ContactConsentChanged)}


async def test_two_contacts_stay_two(bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"phone": f"+{USER}"}, {"phone": "+16505550000", "user_id": USER_ID})
    await watch(pool)
    events = await heard(bare_reader, pool, said(system(type="user_changed_number", wa_id="16505550000")))
    (first,), (second,) = await called(pool, ("phone", f"+{USER}")), await called(pool, ("phone", "+16505550000"))
    (update,) = told_of(events, "contact.identity_changed")
    assert update.pop("at")
    assert update == {"contact_id": first.id, "kind": "phone", "before": f"+{USER}", "after": "+16505550000"}
    assert first.id != second.id
    assert second.identifiers == {"phone": "+16505550000", "user_id": USER_ID}
    await heard(bare_reader, pool, said(message("text", "wamid.2")))
    assert (await called(pool, ("phone", f"+{USER}")))[0].identifiers == {"phone": f"+{USER}"}


@pytest.mark.parametrize("name", ["changed user id", "user id update"])
async def test_a_contact_follows_its_user_id(name: str, bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"user_id": USER_ID})
    await watch(pool)
    events = await heard(bare_reader, pool, UNDERSTOOD[name])
    (contact,) = await called(pool, ("user_id", "US.2"))
    assert [update["contact_id"] for update in told_of(events, "contact.identity_changed")] == [contact.id]
    assert await heard(bare_reader, pool, UNDERSTOOD[name]) == []


async def test_a_contact_learns_its_user_id_from_what_it_writes(bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"phone": f"+{USER}"})
    await heard(bare_reader, pool, said(message()))
    (contact,) = await called(pool, ("user_id", USER_ID))
    assert contact.identifiers == {"phone": f"+{USER}", "user_id": USER_ID}
    await heard(bare_reader, pool, said(message("text", "wamid.2", text={"body": "stop"}, **{"from": ""}), contacts=[]))
    (contact,) = await called(pool, ("phone", f"+{USER}"))
    assert contact.standing.consent == "opted_out"


async def test_who_is_no_contact_becomes_none_by_another_name(bare_reader: Reader, pool: Pool) -> None:
    await watch(pool)
    (update,) = told_of(await heard(bare_reader, pool, UNDERSTOOD["changed identity"]), "contact.identity_changed")
    assert (update.get("contact_id"), update["kind"], update["after"]) == (None, "identity", "h")
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 0


async def test_the_phones_address_book_becomes_contacts(bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"phone": "+16505550000"})
    entry = {"type": "contact", "action": "add", "contact": {"full_name": "Bo", "phone_number": "16505550000"}}
    book = said(entry, field="smb_app_state_sync", key="state_sync")
    gone = said({**entry, "action": "remove"}, field="smb_app_state_sync", key="state_sync")
    await heard(bare_reader, pool, UNDERSTOOD["address book"], book, book, gone)
    named = await called(pool, ("phone", f"+{USER}"), ("phone", "+16505550000"))
    assert sorted(str(contact.name) for contact in named) == ["Bo", "Bo B"]


async def test_health_is_the_latest_word_on_each_aspect(bare_reader: Reader, pool: Pool) -> None:
    flagged = copy.deepcopy(UNDERSTOOD["number quality"])
    flagged["entry"][0]["changes"][0]["value"] |= {"event": "FLAGGED", "current_limit": "TIER_250"}
    flagged["entry"][0]["time"] -= 100
    named, capable = UNDERSTOOD["number name"], UNDERSTOOD["capability"]
    await watch(pool)
    events = await heard(bare_reader, pool, UNDERSTOOD["number quality"], named)
    assert [update["field"] for update in told_of(events, "account.reported") if "number_id" in update] == [
        "phone_number_quality_update",
        "phone_number_name_update",
    ]
    events = await heard(bare_reader, pool, flagged, flagged, UNDERSTOOD["number quality"])
    assert len(told_of(events, "account.reported")) == 1
    tenant_id, number_id = await tenant_of(pool), await pool.fetchval("SELECT id FROM numbers")
    known = {row["aspect"]: row["value"] for row in await news.health(pool, tenant_id, [number_id])}
    assert known == {
        "messaging_limit": "TIER_2K",
        "quality": "red",
        "verified_name": "Lucky",
        "name_status": "approved",
    }
    await bare_reader.store(ours(capable, 100))
    await bare_reader.read()
    known = {row["aspect"]: row["value"] for row in await news.health(pool, tenant_id, [number_id])}
    assert known["messaging_limit"] == "2000"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ({"event": "ONBOARDING", "current_limit": "TIER_2K"}, {"unique_users_per_day": 2_000}),
        ({"event": "UPGRADE", "current_limit": "TIER_250"}, {"unique_users_per_day": 250}),
        ({"event": "UPGRADE", "current_limit": "TIER_UNLIMITED"}, {"unique_users_per_day": None}),
        ({"event": "UPGRADE", "current_limit": "TIER_SOME"}, {"unique_users_per_day": 700}),
        ({"event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_100K"}, {"messages_per_second": 1_000}),
    ],
)
async def test_limits_that_the_provider_sets_are_kept_to(
    bare_reader: Reader, pool: Pool, words: dict[str, str], kept: dict[str, int | None]
) -> None:
    await pool.execute("UPDATE numbers SET unique_users_per_day = 700, messages_per_second = 80")
    news = copy.deepcopy(UNDERSTOOD["number quality"])
    news["entry"][0]["changes"][0]["value"] |= words
    events = await heard(bare_reader, pool, news)
    row = await pool.fetchrow("SELECT * FROM numbers")
    assert {name: row[name] for name in kept} == kept
    told = [event for event in events if isinstance(event, NumberConnected)]
    assert bool(told) == (words["current_limit"] != "TIER_SOME")
    assert all(getattr(event, name) == value for event in told[-1:] for name, value in kept.items())


async def test_a_rate_that_the_tenant_has_chosen_stays(bare_reader: Reader, pool: Pool) -> None:
    await pool.execute("UPDATE numbers SET messages_per_second = 20")
    news = copy.deepcopy(UNDERSTOOD["number quality"])
    news["entry"][0]["changes"][0]["value"] |= {"event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_100K"}
    await heard(bare_reader, pool, news)
    assert await pool.fetchval("SELECT messages_per_second FROM numbers") == 20


async def test_a_number_shows_its_health(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    (number,) = (await gateway.call("GET", "/api/numbers", tenant=tenant)).body["data"]
    assert "health" not in number
    account = await gateway.pool.fetchval("SELECT waba_id FROM numbers")
    payload = copy.deepcopy(UNDERSTOOD["number quality"])
    payload["entry"][0]["id"] = account
    payload["entry"][0]["changes"][0]["value"] |= {"event": "FLAGGED", "display_phone_number": number["display_number"]}
    assert (await gateway.webhook(payload, "secret-1001")).status == 200

    async def is_shown() -> bool:
        body = (await gateway.call("GET", f"/api/numbers/{number['id']}", tenant=tenant)).body
        health = body.get("health", {})
        return (health.get("quality"), health.get("messaging_limit")) == ("red", "TIER_2K")

    await until(is_shown, "the number's health is shown")


async def test_a_disabled_account_pauses_its_numbers_until_it_is_reinstated(bare_reader: Reader, pool: Pool) -> None:
    events = await heard(bare_reader, pool, UNDERSTOOD["account disabled"])
    assert [event.paused for event in events if isinstance(event, NumberConnected)] == ["account.disabled"]
    reinstated = copy.deepcopy(UNDERSTOOD["account disabled"])
    reinstated["entry"][0]["changes"][0]["value"]["ban_info"]["waba_ban_state"] = "REINSTATE"
    await bare_reader.store(ours(reinstated, -100))
    await bare_reader.read()
    assert await told(pool) == [], "an old word changes nothing"
    await bare_reader.store(ours(reinstated, 100))
    await bare_reader.read()
    assert [event.paused for event in await told(pool) if isinstance(event, NumberConnected)] == [None]
    assert await heard(bare_reader, pool, UNDERSTOOD["account disabled"]) == [], "told before"


async def test_a_pause_of_the_tenants_stays(bare_reader: Reader, pool: Pool) -> None:
    await pool.execute("UPDATE numbers SET status = 'paused', paused_code = 'number.paused', paused_at = now()")
    reinstated = copy.deepcopy(UNDERSTOOD["account disabled"])
    reinstated["entry"][0]["changes"][0]["value"]["ban_info"]["waba_ban_state"] = "REINSTATE"
    await heard(bare_reader, pool, UNDERSTOOD["account disabled"])
    await bare_reader.store(ours(reinstated, 100))
    await bare_reader.read()
    assert await pool.fetchval("SELECT paused_code FROM numbers") == "number.paused"


async def test_nobody_is_told_of_what_is_no_news_but_those_who_watch(bare_reader: Reader, pool: Pool) -> None:
    quiet = [
        UNDERSTOOD[name] for name in ("flows", "calls", "groups", "field of tomorrow", "status of tomorrow", "history refused")
    ]
    assert await heard(bare_reader, pool, *quiet) == []
    await watch(pool)
    other = await Reader.watching(pool)
    events = await heard(other, pool, *quiet)
    assert [event.graph["field"] for event in events if isinstance(event, UpdateTold) and event.graph is not None] == [
        "flows", "calls", "group_lifecycle_update", "something_new", "messages", "history",
    ]  # fmt: skip
    assert await heard(other, pool, *quiet) == [], "told once"


async def test_every_shape_is_told_to_those_who_watch(bare_reader: Reader, pool: Pool) -> None:
    await watch(pool)
    for name, payload in UNDERSTOOD.items():
        if name.startswith("status") and name not in ("status of tomorrow", "status of a payment"):
            continue  # of no message that is there
        await pool.execute("DELETE FROM inbound")
        events = await heard(bare_reader, pool, payload)
        assert any(isinstance(event, UpdateTold) for event in events), name


async def test_templates_are_taken_as_before(bare_reader: Reader, pool: Pool) -> None:
    events = await heard(bare_reader, pool, UNDERSTOOD["template status"])
    assert [type(event) for event in events] == [TemplateChanged]


async def test_of_what_is_broken_every_part_is_told_or_set_aside(bare_reader: Reader, pool: Pool) -> None:
    """The whole way of reading, with payloads of the reference broken at random."""
    chance = random.Random(20261122)  # noqa: S311  # the same every time
    hostile = [None, 0, -1, 2**64, "", "\0", "\ud800", [], {}, [None], {"id": "\0"}, "1750263773", "16505551234", True, 1.5]
    await watch(pool)
    shapes = sorted(UNDERSTOOD)
    with capture_logs() as logs:
        for round_ in range(40):
            payloads = []
            for n in range(8):
                tree = ours(UNDERSTOOD[chance.choice(shapes)], round_)
                for _ in range(chance.randint(1, 3)):
                    tree = put(tree, chance.choice(places(tree)), copy.deepcopy(chance.choice(hostile)))
                good = ours(said(message("text", f"wamid.{round_}.{n}")))
                payloads += [tree, good]
            await bare_reader.store_json(*payloads)
            while await bare_reader.read():
                pass
            assert await pool.fetchval("SELECT count(*) FROM webhooks WHERE quarantined IS NULL") == 0
            heard_of = {event.wamid for event in await told(pool) if isinstance(event, MessageReceived)}
            assert {f"wamid.{round_}.{n}" for n in range(8)} <= heard_of
    assert [entry for entry in logs if entry["event"] == "webhook.unreadable"] == []
    reasons = {row["quarantined"] for row in await pool.fetch("SELECT DISTINCT quarantined FROM webhooks")}
    assert reasons
    assert all(" not understood: " in reason for reason in reasons)


async def test_what_comes_late_is_no_earlier_than_said(bare_reader: Reader, pool: Pool) -> None:
    (event,) = await heard(bare_reader, pool, said(message()))
    assert isinstance(event, MessageReceived)
    assert event.received_at == SAID_AT
    assert event.occurred_at - event.received_at > timedelta(days=1)


async def test_the_file_of_a_history_follows_its_placeholder(bare_reader: Reader, pool: Pool) -> None:
    await heard(bare_reader, pool, UNDERSTOOD["history"])
    (event,) = await heard(bare_reader, pool, UNDERSTOOD["history media"])
    assert isinstance(event, MessageEchoed)
    assert (event.wamid, event.content["type"], event.is_history) == ("wamid.h3", "image", True)
    assert await pool.fetchval("SELECT count(*) FROM media_fetches WHERE wamid = 'wamid.h3'") == 1
    assert await heard(bare_reader, pool, UNDERSTOOD["history media"], UNDERSTOOD["history"]) == []


async def test_what_takes_a_message_back_may_have_its_id(bare_reader: Reader, pool: Pool) -> None:
    await heard(bare_reader, pool, said(message()))
    assert [type(event) for event in await heard(bare_reader, pool, UNDERSTOOD["revoke"])] == [MessageRevoked]
    assert await heard(bare_reader, pool, UNDERSTOOD["revoke"]) == []


async def test_a_contact_learns_its_number_from_what_it_writes(bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"user_id": USER_ID})
    events = await heard(bare_reader, pool, said(message(text={"body": "stop"})))
    (contact,) = await called(pool, ("user_id", USER_ID))
    assert contact.identifiers == {"phone": f"+{USER}", "user_id": USER_ID}
    assert {event.phone for event in events if isinstance(event, ContactConsentChanged)} == {f"+{USER}", USER_ID}


async def test_a_word_holds_for_two_contacts_who_are_one(bare_reader: Reader, pool: Pool) -> None:
    await know(pool, {"phone": f"+{USER}", "user_id": "US.9"}, {"phone": "+16505550000", "user_id": USER_ID})
    await heard(bare_reader, pool, said(message(text={"body": "stop"})))
    both = await called(pool, ("phone", f"+{USER}"), ("user_id", USER_ID))
    assert [contact.standing.consent for contact in both] == ["opted_out", "opted_out"]
    await heard(bare_reader, pool, said(message("text", "wamid.2", text={"body": "start"}, timestamp=int(STAMP) + 1)))
    both = await called(pool, ("phone", f"+{USER}"), ("user_id", USER_ID))
    assert [contact.standing.consent for contact in both] == ["opted_in", "opted_in"]
