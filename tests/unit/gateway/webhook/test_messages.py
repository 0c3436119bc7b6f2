"""Messages of every type, whoever wrote them and whatever became of them."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.domain.webhook import IdentityKind, Kind, read
from services.gateway.domain.webhook.report import Conversation, Pricing
from tests.unit.gateway.webhook.corpus import (
    ACCOUNT,
    BUSINESS,
    CONTACT,
    CONTENTS,
    ECHO,
    ERROR,
    INTERACTIVE,
    MEDIA,
    REFERRAL,
    STAMP,
    UNDERSTOOD,
    USER,
    USER_ID,
    message,
    said,
    status,
)


@pytest.mark.parametrize("payload", UNDERSTOOD.values(), ids=UNDERSTOOD.keys())
def test_every_shape_of_the_reference_is_understood_whole(payload: dict[str, Any]) -> None:
    reading = read(payload)
    assert reading.not_understood == 0
    assert reading.parts > 0


@pytest.mark.parametrize("kind", CONTENTS)
def test_each_type_is_kept_as_it_was_written(kind: str) -> None:
    (heard,) = read(said(message(kind))).inbound
    assert heard.kind == kind
    assert heard.content == {"type": kind, kind: CONTENTS[kind]}
    assert heard.origin.account_id == ACCOUNT
    assert heard.raw["id"] == heard.wamid
    assert heard.contact == CONTACT


@pytest.mark.parametrize("shape", INTERACTIVE)
def test_every_kind_of_interactive_reply_is_kept(shape: dict[str, Any]) -> None:
    (heard,) = read(said(message("interactive", interactive=shape))).inbound
    assert heard.content["interactive"] == shape


def test_what_a_message_refers_to_stands_beside_it() -> None:
    context = {"from": BUSINESS, "id": "wamid.q", "forwarded": True, "referred_product": {"catalog_id": "1"}}
    (heard,) = read(said(message(context=context, referral=REFERRAL))).inbound
    assert (heard.content["context"], heard.content["referral"]) == (context, REFERRAL)
    (bare,) = read(said(message(context=None))).inbound
    assert "context" not in bare.content


def test_a_file_can_be_asked_for() -> None:
    (heard,) = read(said(message("document"))).inbound
    assert heard.media is not None
    assert (heard.media.id, heard.media.kind, heard.media.file_name) == (MEDIA["id"], Kind.DOCUMENT, "bill.pdf")
    (plain,) = read(said(message())).inbound
    assert plain.media is None
    (broken,) = read(said(message("image", image={"caption": "no id"}))).inbound
    assert broken.media is None


def test_voice_of_old_is_audio() -> None:
    (heard,) = read(UNDERSTOOD["voice of old"]).inbound
    assert (heard.kind, heard.content["audio"]) == (Kind.AUDIO, {**MEDIA, "voice": True})


def test_a_type_that_nobody_knows_is_unsupported_and_kept() -> None:
    (heard,) = read(said(message("poll_vote", poll_vote={"choice": 1}))).inbound
    assert heard.content == {"type": "unsupported", "unsupported": {"type": "poll_vote"}, "poll_vote": {"choice": 1}}


def test_a_message_without_its_object_has_the_reason_beside_it() -> None:
    (heard,) = read(UNDERSTOOD["interactive without its object"]).inbound
    assert heard.content == {"type": "interactive", "errors": [ERROR]}


@pytest.mark.parametrize(
    ("head", "contacts", "address", "name"),
    [
        ({"from": USER}, [CONTACT], f"+{USER}", "Ana"),
        ({"from": f"+{USER}"}, [CONTACT], f"+{USER}", "Ana"),
        ({"from": int(USER)}, [CONTACT], f"+{USER}", "Ana"),
        ({"from": "", "from_user_id": USER_ID}, [{"user_id": USER_ID, "profile": {"name": "Ana"}}], USER_ID, "Ana"),
        ({"from_user_id": USER_ID}, [], USER_ID, None),
        ({"from_user_id": USER_ID}, [{"user_id": "US.9", "profile": {"name": "Bo"}}], USER_ID, None),
        ({}, [CONTACT], f"+{USER}", "Ana"),
        ({"from": "5215512345678"}, [{"wa_id": "525512345678", "profile": {"name": "Ana"}}], "+5215512345678", "Ana"),
        ({"from": USER}, [{"wa_id": "1999999", "profile": {"name": "Bo"}}, {"wa_id": "1888888"}], f"+{USER}", None),
        ({"from": USER}, "no list", f"+{USER}", None),
    ],
)
def test_a_sender_is_named_by_what_is_there(head: dict[str, Any], contacts: Any, address: str, name: str | None) -> None:
    bare = {key: part for key, part in message().items() if not key.startswith("from")}
    (heard,) = read(said(bare | head, contacts=contacts)).inbound
    assert (heard.sender, heard.sender_name) == (address, name)


def test_a_message_of_nobody_is_not_understood() -> None:
    bare = {key: part for key, part in message().items() if not key.startswith("from")}
    reading = read(said(bare, contacts=[]))
    assert (reading.inbound, reading.not_understood) == ([], 1)


def test_who_writes_has_all_the_names_that_are_told() -> None:
    (heard,) = read(said(message(group_id="120363"))).inbound
    assert (heard.user_id, heard.username, heard.group_id) == (USER_ID, "ana.p", "120363")
    assert heard.parent_user_id == "US.ENT.11815799212886844830"


def test_an_edit_and_a_revocation_name_the_message_that_they_change() -> None:
    (edit,) = read(UNDERSTOOD["edit"]).edits
    assert (edit.wamid, edit.content) == ("wamid.in", {"type": "text", "text": {"body": "b"}})
    (revoke,) = read(UNDERSTOOD["revoke"]).revokes
    assert (revoke.wamid, revoke.name) == ("wamid.in", "wamid.in")


@pytest.mark.parametrize(
    "told", [None, {}, {"original_message_id": "w"}, {"original_message_id": 5, "message": {"type": "text"}}]
)
def test_an_edit_that_says_nothing_is_not_understood(told: Any) -> None:
    reading = read(said(message("edit", edit=told), message()))
    assert (len(reading.inbound), reading.edits, reading.not_understood) == (1, [], 1)


@pytest.mark.parametrize(
    ("name", "kind", "before", "after"),
    [
        ("changed number", IdentityKind.PHONE, f"+{USER}", "+16505550000"),
        ("changed number of old", IdentityKind.PHONE, f"+{USER}", "+16505550000"),
        ("changed user id", IdentityKind.USER_ID, USER_ID, "US.2"),
        ("changed identity", IdentityKind.IDENTITY, None, "h"),
        ("user id update", IdentityKind.USER_ID, USER_ID, "US.2"),
    ],
)
def test_who_somebody_is_may_change(name: str, kind: IdentityKind, before: str | None, after: str) -> None:
    reading = read(UNDERSTOOD[name])
    (changed,) = reading.identities
    assert (changed.kind, changed.before, changed.after, changed.phone) == (kind, before, after, f"+{USER}")
    assert len(reading.changes) == 1, "it is kept as it is too"
    assert reading.inbound == []


def test_what_the_business_writes_from_its_phone_is_an_echo() -> None:
    reading = read(UNDERSTOOD["echo"])
    (echo,) = reading.echoes
    assert (echo.wamid, echo.to, echo.is_history) == ("wamid.echo", f"+{USER}", False)
    assert echo.content == {"type": "text", "text": {"body": "from the phone"}}
    edit = {
        **ECHO,
        "id": "wamid.e2",
        "type": "edit",
        "edit": {"original_message_id": "wamid.echo", "message": {"text": {"body": "x"}}},
    }
    revoke = {**ECHO, "id": "wamid.e3", "type": "revoke", "revoke": {"original_message_id": "wamid.echo"}}
    reading = read(said(edit, revoke, field="smb_message_echoes", key="message_echoes"))
    assert ([one.wamid for one in reading.edits], [one.wamid for one in reading.revokes]) == (["wamid.echo"], ["wamid.echo"])


def test_history_is_of_both_sides() -> None:
    reading = read(UNDERSTOOD["history"])
    (heard,) = reading.inbound
    assert (heard.wamid, heard.sender, heard.is_history) == ("wamid.h1", f"+{USER}", True)
    assert [(echo.wamid, echo.to, echo.is_history) for echo in reading.echoes] == [
        ("wamid.h2", f"+{USER}", True),
        ("wamid.h3", f"+{USER}", True),
    ]
    (echo,) = read(UNDERSTOOD["history media"]).echoes
    assert echo.media is not None


def test_a_report_has_what_its_message_is_charged_as_and_why_it_failed() -> None:
    (report,) = read(said(status("failed", errors=[ERROR]), key="statuses")).reports
    assert report.pricing == Pricing(True, "PMP", "regular", "marketing")
    assert isinstance(report.conversation, Conversation)
    assert (report.conversation.id, report.conversation.origin) == ("c1", "marketing")
    assert report.callback_data == "msg_06b9q1k8g5t0v2c4d6e8f0g2h4.1"
    assert (report.error_code, report.error_detail) == ("provider.131051", "d")
    assert report.recipient == f"+{USER}"
    assert report.contact == CONTACT


@pytest.mark.parametrize(
    ("more", "participant"),
    [
        ({"recipient_participant_id": USER}, USER),
        ({"participant_recipient_id": USER}, USER),
        ({"recipient_participant_user_id": USER_ID, "recipient_participant_id": USER}, USER_ID),
    ],
)
def test_a_report_of_a_group_names_its_participant(more: dict[str, Any], participant: str) -> None:
    (report,) = read(said(status(recipient_type="group", recipient_id="120363", **more), key="statuses")).reports
    assert (report.recipient, report.participant) == ("group:120363", participant)
    assert report.key == ("wamid.out", "delivered", report.at, participant)


@pytest.mark.parametrize("name", ["status of tomorrow", "status of a payment"])
def test_a_status_that_is_none_of_ours_is_kept_as_it_is(name: str) -> None:
    reading = read(UNDERSTOOD[name])
    assert reading.reports == []
    (change,) = reading.changes
    assert len(change.value["statuses"]) == 1


def test_the_only_entry_is_nobodys_where_several_write() -> None:
    other = {"id": "wamid.2", "from": "16505550000", "timestamp": STAMP, "type": "text", "text": {"body": "hi"}}
    ana, bo = read(said(message(), other)).inbound
    assert (ana.sender_name, ana.user_id) == ("Ana", USER_ID)
    assert (bo.sender_name, bo.user_id, bo.contact) == (None, None, None)


def test_who_wrote_in_a_history_is_told_whichever_way_the_number_is_spelt() -> None:
    mine = {"from": "5215512345678", "id": "wamid.h", "timestamp": STAMP, "type": "text", "text": {"body": "b"}}
    metadata = {"display_phone_number": "+52 55 1234 5678", "phone_number_id": "1001"}
    reading = read(said({"threads": [{"id": USER, "messages": [mine]}]}, field="history", key="history", metadata=metadata))
    assert [echo.to for echo in reading.echoes] == [f"+{USER}"]
    assert reading.inbound == []


def test_the_contact_of_a_groups_report_is_the_participants() -> None:
    group: dict[str, Any] = {"recipient_type": "group", "recipient_id": "120363", "recipient_user_id": None}
    other = {"wa_id": "16505550000", "profile": {"name": "Bo"}}
    (report,) = read(said(status(**group, recipient_participant_id=USER), key="statuses", contacts=[other, CONTACT])).reports
    assert report.contact == CONTACT


def test_a_code_that_is_no_number_is_none() -> None:
    (report,) = read(said(status("failed", errors=[{"code": True}, {"code": 131026}]), key="statuses")).reports
    assert report.error_code == "provider.131026"


def test_neither_reports_nor_messages_show_who_they_are_of() -> None:
    shown = repr(read(said(message())).inbound) + repr(read(said(status(), key="statuses")).reports)
    assert USER not in shown
    assert "Gr" not in shown
