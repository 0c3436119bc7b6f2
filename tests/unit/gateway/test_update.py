"""What tenants who watch are told: in our shapes, and as the provider would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from services.gateway.domain.graph_update import Place
from services.gateway.domain.state import Change, State, told
from services.gateway.domain.status import Status
from services.gateway.domain.update import (
    AccountNews,
    Happened,
    Heard,
    Moved,
    Own,
    PassedOn,
    Reported,
    TemplateNews,
    account_news,
    happened,
    heard,
    passed_on,
    reported,
    template_news,
    told_by_us,
    update_id,
)
from services.gateway.domain.wamid import mint
from shared.events.catalogue import MediaStored, MessageEchoed, MessageEdited, MessageReceived
from shared.events.values import UPDATE_TYPES
from shared.ids import MessageId, NumberId, TenantId, is_id

AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
TENANT = TenantId("tnt_00000000000000000000000000")
NUMBER = NumberId("num_00000000000000000000000000")
MESSAGE = MessageId("msg_06b3kd0000000000000000000g")
PLACE = Place("102290129340398", "106540352242922", "+15550783881")
METADATA = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
REPORT: dict[str, Any] = {
    "id": "wamid.META",
    "status": "delivered",
    "timestamp": "1763632800",
    "recipient_id": "16505551234",
    "biz_opaque_callback_data": f"{MESSAGE}.1",
    "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"},
}


def fact(status: Status = Status.DELIVERED, **said: Any) -> Reported:
    return Reported(TENANT, NUMBER, MESSAGE, status, AT, **said)


def own(**known: Any) -> Own:
    return Own(MESSAGE, "+16505551234", **known)


def received(raw: dict[str, Any], **event: Any) -> Heard:
    content = {"type": raw["type"], raw["type"]: raw[raw["type"]], **({"context": raw["context"]} if "context" in raw else {})}
    given = {"sender": "+16505551234", "sender_name": "Ana", "content": content, "received_at": AT, **event}
    return Heard(MessageReceived(tenant_id=TENANT, number_id=NUMBER, wamid=raw["id"], **given), raw)


def text(**members: Any) -> dict[str, Any]:
    return {
        "id": "wamid.IN",
        "from": "16505551234",
        "timestamp": "1763632800",
        "type": "text",
        "text": {"body": "hi"},
        **members,
    }


def value_of(graph: dict[str, Any] | None) -> dict[str, Any]:
    assert graph is not None
    value: dict[str, Any] = graph["value"]
    return value


def test_a_report_is_told_as_the_provider_wrote_it_but_for_what_its_sender_knows() -> None:
    update = reported(fact(wamid="wamid.META", raw=REPORT), own(reference="order-7", wamid="wamid.META"), PLACE)
    assert update is not None
    assert update.type == "message.delivered"
    assert update.data["reference"] == "order-7"
    assert update.data["pricing"]["category"] == "utility"
    assert update.graph == {
        "entry_id": "102290129340398",
        "field": "messages",
        "value": {
            "messaging_product": "whatsapp",
            "metadata": METADATA,
            "contacts": [{"profile": {"name": ""}, "wa_id": "16505551234"}],
            "statuses": [{**REPORT, "biz_opaque_callback_data": "order-7"}],
        },
    }


def test_a_message_of_the_front_door_is_told_under_its_own_wamid_with_its_own_callback_data() -> None:
    minted = mint(MESSAGE)
    known = own(graph={"opaque": "theirs", "input": "1 650 555 1234"}, wamid=minted, reference="not this")
    update = reported(fact(wamid="wamid.META", raw=REPORT), known, PLACE)
    assert update is not None
    assert update.data["provider_id"] == minted
    (status,) = value_of(update.graph)["statuses"]
    assert status["id"] == minted
    assert status["biz_opaque_callback_data"] == "theirs"


def test_a_senders_name_for_the_attempt_is_told_nobody() -> None:
    update = reported(fact(wamid="wamid.META", raw=REPORT), own(), PLACE)
    assert update is not None
    assert MESSAGE not in orjson.dumps(update.graph).decode()


def test_contacts_are_there_as_the_provider_gives_them() -> None:
    contact = {"profile": {"name": "Ana", "username": "ana"}, "wa_id": "1", "user_id": "US.1"}
    update = reported(fact(wamid="wamid.META", raw=REPORT, contact=contact), own(), PLACE)
    assert update is not None
    assert value_of(update.graph)["contacts"] == [contact]


def test_a_report_by_user_id_alone_has_it_among_the_contacts() -> None:
    raw = {"id": "wamid.META", "status": "failed", "timestamp": "1", "recipient_user_id": "US.13491208655302741918"}
    update = reported(fact(Status.FAILED, wamid="wamid.META", raw=raw), own(), PLACE)
    assert update is not None
    assert value_of(update.graph)["contacts"] == [{"profile": {"name": ""}, "user_id": "US.13491208655302741918"}]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (Status.EXPIRED, None, 131000),
        (Status.CANCELED, None, 131000),
        (Status.SUPPRESSED, "contact.opted_out", 131050),
        (Status.SUPPRESSED, None, 131050),
        (Status.FAILED, "provider.131026", 131026),
        (Status.FAILED, "window.closed", 131047),
        (Status.FAILED, "provider.timeout", 131000),
        (Status.FAILED, "provider.9999999999999999999999", 131000),
    ],
)
def test_what_ends_before_the_provider_has_it_is_told_as_failed(status: Status, code: str | None, error: int) -> None:
    update = reported(fact(status, code=code, detail="why"), own(reference="order-7"), PLACE)
    assert update is not None
    assert update.type == f"message.{status}"
    value = value_of(update.graph)
    (told_status,) = value["statuses"]
    assert told_status["id"] == MESSAGE
    assert told_status["status"] == "failed"
    assert told_status["timestamp"] == str(int(AT.timestamp()))
    assert told_status["recipient_id"] == "16505551234"
    assert told_status["biz_opaque_callback_data"] == "order-7"
    assert told_status["errors"][0]["code"] == error
    assert told_status["errors"][0]["error_data"]["details"].startswith(code or f"message.{status}")
    assert value["contacts"][0]["wa_id"] == "16505551234"


@pytest.mark.parametrize(
    ("to", "member"),
    [("US.1349", {"recipient_user_id": "US.1349"}), ("group:77", {"recipient_id": "77", "recipient_type": "group"})],
)
def test_a_failure_names_whom_it_was_for(to: str, member: dict[str, str]) -> None:
    update = reported(fact(Status.FAILED, code="x.y"), Own(MESSAGE, to), PLACE)
    assert update is not None
    assert member.items() <= value_of(update.graph)["statuses"][0].items()


@pytest.mark.parametrize("status", [Status.SENT, Status.UNKNOWN])
def test_what_the_provider_reports_itself_or_says_nothing_of_has_no_second_form(status: Status) -> None:
    update = reported(fact(status, wamid="wamid.META" if status is Status.SENT else None), own(), PLACE)
    assert update is not None
    assert update.graph is None
    assert update.data["status"] == status


def test_what_was_told_before_is_for_readers_of_the_providers_form() -> None:
    update = reported(fact(Status.SENT, wamid="wamid.META", raw=REPORT, is_new=False), own(), PLACE)
    assert update is not None
    assert update.data == {}
    assert update.type == "message.sent"
    assert update.graph is not None
    assert reported(fact(Status.SENT, wamid="wamid.META", is_new=False), own(), PLACE) is None


def test_a_received_message_is_told_with_who_wrote_it() -> None:
    update = heard(received(text(from_user_id="US.1"), user_id="US.1"), PLACE, {})
    assert update.type == "message.received"
    assert update.number_id == NUMBER
    assert update.data["from"] == "+16505551234"
    assert update.data["name"] == "Ana"
    assert update.data["at"] == "2026-11-20T10:00:00Z"
    assert "username" not in update.data
    assert value_of(update.graph) == {
        "messaging_product": "whatsapp",
        "metadata": METADATA,
        "contacts": [{"profile": {"name": "Ana"}, "wa_id": "16505551234", "user_id": "US.1"}],
        "messages": [text(from_user_id="US.1")],
    }


def test_what_it_quotes_is_called_as_the_tenant_knows_it() -> None:
    raw = text(context={"from": "15550783881", "id": "wamid.META"})
    update = heard(received(raw), PLACE, {"wamid.META": "wamid.MINTED"})
    (message,) = value_of(update.graph)["messages"]
    assert message["context"] == {"from": "15550783881", "id": "wamid.MINTED"}
    assert update.data["content"]["context"]["id"] == "wamid.MINTED"
    assert raw["context"]["id"] == "wamid.META"


def test_what_it_reacts_to_is_called_as_the_tenant_knows_it() -> None:
    raw = {"id": "wamid.R", "from": "1650", "timestamp": "1", "type": "reaction", "reaction": {"message_id": "wamid.META"}}
    update = heard(received(raw), PLACE, {"wamid.META": "wamid.MINTED"})
    assert value_of(update.graph)["messages"][0]["reaction"]["message_id"] == "wamid.MINTED"


@pytest.mark.parametrize("context", [None, [], {"id": 7}, "wamid.META"])
def test_a_quotation_that_is_none_does_no_harm(context: Any) -> None:
    update = heard(received(text(context=context)), PLACE, {"wamid.META": "wamid.MINTED"})
    assert value_of(update.graph)["messages"][0]["context"] == context


def test_history_is_not_told_as_something_to_answer() -> None:
    update = heard(received(text(), is_history=True), PLACE, {})
    assert update.graph is None
    assert update.data["is_history"] is True


def test_an_echo_is_told_in_its_own_field() -> None:
    raw = {"id": "wamid.E", "from": "15550783881", "to": "1650", "timestamp": "1", "type": "text", "text": {"body": "x"}}
    event = MessageEchoed(tenant_id=TENANT, number_id=NUMBER, wamid="wamid.E", to="+1650", content={"type": "text"}, sent_at=AT)
    update = heard(Heard(event, raw), PLACE, {})
    assert update.graph is not None
    assert update.graph["field"] == "smb_message_echoes"
    assert value_of(update.graph)["message_echoes"] == [raw]


def test_two_edits_of_one_message_are_two_updates() -> None:
    event = MessageEdited(tenant_id=TENANT, number_id=NUMBER, wamid="wamid.IN", content={"type": "text"}, edited_at=AT)
    first, again, second = (heard(Heard(event, {"id": name, "type": "edit"}), PLACE, {}) for name in ("a", "a", "b"))
    assert update_id(TENANT, first) == update_id(TENANT, again) != update_id(TENANT, second)
    assert first.data["content"] == {"type": "text"}


def test_accounts_and_templates_are_told_in_both_forms() -> None:
    value = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}
    account = account_news(AccountNews(TENANT, "1", "account_update", value, AT))
    assert account.data["value"] == value
    assert account.at == AT
    assert account.graph == {"entry_id": "1", "field": "account_update", "value": value}
    notice = TemplateNews(
        TENANT, "1", "hello", "en", "message_template_status_update", {"event": "PAUSED"}, AT, status="paused"
    )
    template = template_news(notice)
    assert template.data["status"] == "paused"
    assert "reason" not in template.data
    assert template.graph is not None
    assert template.graph["value"] == {"event": "PAUSED"}


def test_what_means_nothing_here_is_passed_on() -> None:
    update = passed_on(PassedOn(TENANT, "1", "flows", {"event": "x"}, AT))
    assert update.type == "provider.flows"
    assert update.data == {}
    assert update.graph is not None


def test_a_file_is_told_without_the_place_where_it_is_kept() -> None:
    event = MediaStored(
        tenant_id=TENANT, media_id="med_1", object_key="secret/place", mime_type="image/png", size_bytes=3, sha256="00"
    )
    assert "secret" not in str(happened(Happened(event)).data)


def test_ids_are_ids_and_say_when_it_happened() -> None:
    early, late = (passed_on(PassedOn(TENANT, "1", "flows", {"event": "x"}, at)) for at in (AT, AT.replace(hour=11)))
    first, second = update_id(TENANT, early), update_id(TENANT, late)
    assert is_id(first, "upd")
    assert first < second
    assert first != update_id(TenantId("tnt_00000000000000000000000001"), early)


def moved(before: State, *changes: Change) -> Moved:
    after, new = told(before, changes)
    return Moved(TENANT, MESSAGE, NUMBER, before, after, new)


ACCEPTED = State(Status.ACCEPTED, None, None, None, AT, "accepted 2026-11-20T10:00:00Z\n")


def test_of_what_we_tell_ourselves_waits_and_steps_are_not_told() -> None:
    steps = (
        Change(Status.QUEUED, AT),
        Change(Status.SCHEDULED, AT, code="limit.pair"),
        Change(Status.SENDING, AT),
        Change(Status.SENT, AT, "wamid.META"),
    )
    assert [one.status for one in told_by_us(moved(ACCEPTED, *steps))] == [Status.SENT]


def test_what_is_told_twice_is_told_once() -> None:
    first = moved(ACCEPTED, Change(Status.SENT, AT, "wamid.META"))
    assert list(told_by_us(moved(first.after, Change(Status.SENT, AT, "wamid.META")))) == []


def test_an_end_that_does_not_hold_is_not_told() -> None:
    delivered = moved(ACCEPTED, Change(Status.DELIVERED, AT, "wamid.META")).after
    late = (Change(Status.EXPIRED, AT), Change(Status.FAILED, AT, code="x.y"), Change(Status.UNKNOWN, AT))
    assert list(told_by_us(moved(delivered, *late))) == []


def test_nothing_is_null_among_the_contacts_and_who_writes_has_a_user_id_however_little_is_known() -> None:
    contact = {"profile": {"name": "Ana", "username": None}, "wa_id": "16505551234", "user_id": None}
    update = heard(Heard(received(text()).event, text(), contact), PLACE, {})
    assert value_of(update.graph)["contacts"] == [{"profile": {"name": "Ana"}, "wa_id": "16505551234", "user_id": ""}]
    told_status = reported(fact(wamid="wamid.META", raw=REPORT, contact=contact), own(), PLACE)
    assert told_status is not None
    assert value_of(told_status.graph)["contacts"] == [{"profile": {"name": "Ana"}, "wa_id": "16505551234"}]


def test_the_types_are_named_once() -> None:
    assert len(set(UPDATE_TYPES)) == len(UPDATE_TYPES)


@pytest.mark.parametrize(("kind", "is_shown"), [("image", False), ("document", False), ("location", True)])
def test_the_address_of_a_file_is_not_passed_on(kind: str, is_shown: bool) -> None:
    event = MessageReceived(
        tenant_id=TENANT, number_id=NUMBER, wamid="wamid.IN", sender="+15551234567", content={"type": kind}, received_at=AT
    )
    raw = {"id": "wamid.IN", "from": "15551234567", "type": kind, kind: {"id": "7", "url": "https://provider.example/7"}}
    update = heard(Heard(event, raw), PLACE, {})
    assert update.graph is not None
    assert ("url" in value_of(update.graph)["messages"][0][kind]) is is_shown
    assert raw[kind] == {"id": "7", "url": "https://provider.example/7"}
