"""What people say themselves about being written to: keywords, and WhatsApp's own switch."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.gateway import contacts
from services.gateway.domain.consent import Word
from services.gateway.domain.contact import Change, Contact
from services.gateway.domain.phone import parse_phone
from services.gateway.store import contacts as store
from shared.db.pool import Pool
from shared.events.catalogue import ContactConsentChanged
from shared.events.values import Consent, ConsentScope
from shared.ids import TenantId
from shared.unavailable import is_unavailable
from tests.integration.gateway.reading import Reader
from tests.integration.gateway.serving import Gateway
from tests.support.database import one_waits
from tests.support.told import silent_outbox, told

STAMP = 1_795_168_800
SAID_AT = datetime.fromtimestamp(STAMP, UTC)


@pytest.fixture(autouse=True)
def _earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamps below lie in the past, as a provider's do."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return SAID_AT.astimezone(tz) + timedelta(days=1)

    monkeypatch.setattr("services.gateway.webhooks.ingest.datetime", Clock)


def wrote(text: str, wamid: str, seconds: int = 0, sender: str = "15551234567") -> dict[str, Any]:
    return {"id": wamid, "from": sender, "timestamp": str(STAMP + seconds), "type": "text", "text": {"body": text}}


def payload(field: str = "messages", number: str = "1001", **parts: Any) -> dict[str, Any]:
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": number},
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": "15551234567"}],
        **parts,
    }
    return {"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"field": field, "value": value}]}]}


def switched(to: str, seconds: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "wa_id": "15551234567",
        "detail": "the user's words",
        "category": "marketing_messages",
        "value": to,
        "timestamp": STAMP + seconds,
        **changes,
    }


async def changes(pool: Pool) -> list[tuple[str | None, Consent, ConsentScope, str, datetime]]:
    return [
        (event.phone, event.consent, event.scope, event.source, event.changed_at)
        for event in await told(pool)
        if isinstance(event, ContactConsentChanged)
    ]


async def test_somebody_unknown_who_writes_stop_becomes_a_contact_that_has_opted_out(pool: Pool, bare_reader: Reader) -> None:
    await bare_reader.store(payload(messages=[wrote("Stop!", "w1")]), payload(messages=[wrote("Stop!", "w1")]))
    await bare_reader.read()
    expected = ("+15551234567", Consent.OPTED_OUT, ConsentScope.ALL, "keyword", SAID_AT)
    assert await changes(pool) == [expected]
    row = await pool.fetchrow("SELECT name, consent, consent_scope, consent_source, consent_at FROM contacts")
    assert tuple(row or ()) == ("Ana", "opted_out", "all", "keyword", SAID_AT)
    assert await pool.fetchval("SELECT count(*) FROM contact_consents") == 1


async def test_words_count_in_the_order_in_which_they_were_said(pool: Pool, bare_reader: Reader) -> None:
    for texts in (("stop", "w1", 10), ("START", "w2", 5), ("hello", "w3", 20)):
        await bare_reader.store(payload(messages=[wrote(*texts)]))
        await bare_reader.read()
    assert [change[1] for change in await changes(pool)] == [Consent.OPTED_OUT]
    await bare_reader.store(payload(messages=[wrote("start", "w4", 30)]), payload(messages=[wrote("stop", "w5", 25)]))
    await bare_reader.read()
    assert [change[1] for change in await changes(pool)] == [Consent.OPTED_IN]
    assert await pool.fetchval("SELECT count(*) FROM contact_consents") == 4


async def test_the_switch_is_about_marketing_and_does_not_lift_a_stop(pool: Pool, bare_reader: Reader) -> None:
    await bare_reader.store(payload("user_preferences", user_preferences=[switched("stop")]))
    await bare_reader.read()
    assert await changes(pool) == [("+15551234567", Consent.OPTED_OUT, ConsentScope.MARKETING, "provider", SAID_AT)]
    await bare_reader.store(payload(messages=[wrote("stop", "w1", 1)]))
    await bare_reader.read()
    await bare_reader.store(payload("user_preferences", user_preferences=[switched("resume", 2)]))
    await bare_reader.read()
    assert [(change[1], change[2]) for change in await changes(pool)] == [(Consent.OPTED_OUT, ConsentScope.ALL)]
    assert await pool.fetchval("SELECT consent FROM contacts") == "opted_out"


async def test_somebody_without_a_phone_number_has_a_switch_too(pool: Pool, bare_reader: Reader) -> None:
    switch = switched("stop", user_id="US.13491208655302741918")
    del switch["wa_id"]
    await bare_reader.store(payload("user_preferences", user_preferences=[switch]))
    await bare_reader.read()
    wanted = [("US.13491208655302741918", Consent.OPTED_OUT, ConsentScope.MARKETING)]
    assert [change[:3] for change in await changes(pool)] == wanted
    assert await pool.fetchval("SELECT value FROM contact_identifiers") == "US.13491208655302741918"


async def test_a_line_is_one_contact_however_whatsapp_spells_it(pool: Pool, bare_reader: Reader) -> None:
    await bare_reader.store(payload(messages=[wrote("parar", "w1", 0, "551187654321")]))
    await bare_reader.store(payload(messages=[wrote("baja", "w2", 0, "5215512345678")]))
    await bare_reader.read()
    await bare_reader.store(payload(messages=[wrote("parar", "w3", 1, "5511987654321")]))
    await bare_reader.read()
    values = {row["value"] for row in await pool.fetch("SELECT value FROM contact_identifiers")}
    assert values == {"+5511987654321", "+525512345678"}
    phones = {change[0] for change in await changes(pool)}
    assert phones == {"+551187654321", "+5511987654321", "+525512345678", "+5215512345678"}


async def test_a_list_does_not_undo_a_stop_that_came_in_another_spelling(pool: Pool, bare_reader: Reader) -> None:
    for sender, listed in (("551187654321", "+5511987654321"), ("5215512345678", "+525512345678")):
        await bare_reader.store(payload(messages=[wrote("stop", f"w{sender}", 0, sender)]))
        await bare_reader.read()
        stopped = await changes(pool)
        assert {change[1] for change in stopped} == {Consent.OPTED_OUT}
        async with silent_outbox(pool, "gateway").transaction() as unit:
            word = Word(Consent.OPTED_IN, ConsentScope.ALL, SAID_AT + timedelta(days=1), "import")
            item = Change({"phone": parse_phone(listed)}, word=word, is_timed=False)
            (tenant_id,) = {row["tenant_id"] for row in await pool.fetch("SELECT tenant_id FROM contacts")}
            await contacts.upsert(unit, tenant_id, [item], channel=contacts.Channel.IMPORT, now=word.at)
        assert await changes(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 2


async def test_a_stop_that_meets_others_again_and_again_waits_and_is_not_set_aside(
    pool: Pool, bare_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taken(*_: object) -> None:
        raise asyncpg.UniqueViolationError

    await bare_reader.store(payload(messages=[wrote("stop", "w1")]))
    with monkeypatch.context() as others:
        others.setattr(store, "rename", taken)
        with pytest.raises(asyncpg.SerializationError) as raised:
            await bare_reader.read()
    assert is_unavailable(raised.value)
    await bare_reader.read()
    assert [change[1] for change in await changes(pool)] == [Consent.OPTED_OUT]


async def test_a_tenant_has_words_of_its_own(pool: Pool, bare_reader: Reader) -> None:
    await pool.execute(
        """
        INSERT INTO tenant_settings (tenant_id, revision, time_zone, stop_words, start_words)
        SELECT id, 1, 'UTC', '{"en": ["Enough!"]}', '{}' FROM tenants
        """
    )
    await bare_reader.store(payload(messages=[wrote("stop", "w1"), wrote("ENOUGH", "w2", 0, "15550000001")]))
    await bare_reader.read()
    assert [change[:2] for change in await changes(pool)] == [("+15550000001", Consent.OPTED_OUT)]


@pytest.mark.parametrize(
    "broken",
    [
        {"value": "perhaps"},
        {"value": ["stop"]},
        {"category": "everything"},
        {"category": {}},
        {"timestamp": "soon"},
        {"timestamp": 2**62},
        {"wa_id": "15551234567\0"},
        {"wa_id": -15551234567},
        {"wa_id": None, "user_id": "US."},
        {"wa_id": None},
    ],
)
async def test_a_switch_that_is_none_costs_itself_only(broken: dict[str, Any], pool: Pool, bare_reader: Reader) -> None:
    both = [switched("stop", **broken), switched("stop", wa_id="15550000001")]
    await bare_reader.store(payload("user_preferences", user_preferences=both))
    await bare_reader.read()
    assert [change[0] for change in await changes(pool)] == ["+15550000001"]
    reason = await pool.fetchval("SELECT quarantined FROM webhooks")
    assert reason == "1 part not understood: user_preferences[0]: what it needs is not there, or not of the right form"


async def test_batches_that_meet_make_each_contact_once(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()

    def items(turn: int) -> list[dict[str, Any]]:
        order = range(200) if turn % 2 else reversed(range(200))
        return [{"phone": f"+1555000{n:04}", "username": f"user{n}", "name": f"turn {turn}"} for n in order]

    calls = [gateway.call("POST", "/api/contacts/bulk", items(turn), tenant) for turn in range(6)]
    answers = await asyncio.gather(*calls)
    assert {answer.status for answer in answers} == {200}, [answer.text[:200] for answer in answers]
    assert sum(answer.body["created"] for answer in answers) == 200
    assert sum(answer.body["updated"] for answer in answers) == 1_000
    assert await gateway.pool.fetchval("SELECT count(*) FROM contacts") == 200
    assert await gateway.pool.fetchval("SELECT count(*) FROM contact_identifiers") == 400


async def test_batches_that_take_each_others_names_in_opposite_orders_both_come_to_an_end(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One has given up `zoe` and now wants `ana`; the other, which looked before anybody was called `zoe`, has taken `ana` and
    waits for `zoe`."""
    looks: list[list[Contact]] = [[]]
    look = store.lock_called

    async def lock_called(*arguments: Any) -> Any:
        return looks.pop() if looks else await look(*arguments)

    tenant_id, now = TenantId("tnt_1"), datetime.now(UTC)
    outbox = silent_outbox(pool, "gateway")
    async with outbox.transaction() as unit:
        await contacts.create(unit, tenant_id, Change({"username": "zoe"}), now=now)

    async def both() -> list[contacts.Result]:
        async with outbox.transaction() as unit:
            items = [Change({"username": name}) for name in ("ana", "zoe")]
            return await contacts.upsert(unit, tenant_id, items, channel=contacts.Channel.API, now=now)

    monkeypatch.setattr(store, "lock_called", lock_called)
    async with pool.acquire() as connection, asyncio.TaskGroup() as tasks:
        renaming = connection.transaction()
        await renaming.start()
        await connection.execute("DELETE FROM contact_identifiers WHERE value = 'zoe'")
        batch = tasks.create_task(both())
        await one_waits(pool)
        await connection.execute(
            "INSERT INTO contact_identifiers SELECT tenant_id, 'username', 'ana', id FROM contacts WHERE tenant_id = 'tnt_1'"
        )
        await renaming.commit()
    assert [result.outcome for result in batch.result() if isinstance(result, contacts.Done)] == ["unchanged", "created"]
    assert await pool.fetchval("SELECT count(*) FROM contact_identifiers") == 2
