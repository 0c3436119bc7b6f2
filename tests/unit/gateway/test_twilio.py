"""Twilio's forms: who signed them, and what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain import webhook
from services.gateway.domain.twilio import payload, sign, verify
from services.gateway.domain.webhook import Reading
from shared.events.values import DeliveryStatus
from shared.ids import MessageId

AT: Final = datetime(2026, 11, 22, 10, 30, 15, 999, tzinfo=UTC)
URL: Final = "https://chasqui.example/api/webhooks/twilio/num_1?attempt=msg_1.2"
SID: Final = "SMe287d7109a5a925f182f0e07fe5b223b"
MESSAGE: Final = MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4")
REPORT: Final = {
    "MessageSid": SID,
    "SmsSid": SID,
    "MessageStatus": "delivered",
    "SmsStatus": "delivered",
    "AccountSid": "AC1",
    "From": "whatsapp:+15550783881",
    "To": "whatsapp:+15551234567",
    "ChannelPrefix": "whatsapp",
    "ApiVersion": "2010-04-01",
}
WRITTEN: Final = {
    "MessageSid": SID,
    "SmsStatus": "received",
    "AccountSid": "AC1",
    "From": "whatsapp:+14133881111",
    "To": "whatsapp:+15550783881",
    "WaId": "14133881111",
    "ProfileName": "Ana",
    "NumMedia": "0",
    "Body": "Hola",
}


def reading(form: dict[str, str], attempt: str | None = f"{MESSAGE}.2") -> Reading:
    """What the Cloud API's reader makes of the form."""
    made = payload(list(form.items()), "1064", attempt, AT)
    return webhook.read(orjson.loads(orjson.dumps(made)))


def content(**fields: str) -> dict[str, Any]:
    """What was written, where the form differs in these fields."""
    (message,) = reading({**WRITTEN, **fields}).inbound
    return message.content


def test_the_signature_of_twilios_own_example() -> None:
    # Twilio, "Secure webhooks", the worked example.
    url = "https://example.com/myapp.php?foo=1&bar=2"
    fields = [
        ("CallSid", "CA1234567890ABCDE"),
        ("Caller", "+14158675310"),
        ("Digits", "1234"),
        ("From", "+14158675310"),
        ("To", "+18005551212"),
    ]
    assert sign("12345", url, fields) == "L/OH5YylLD5NRKLltdqwSvS0BnU="
    assert verify("12345", "L/OH5YylLD5NRKLltdqwSvS0BnU=", url, fields[::-1])


@pytest.mark.parametrize(
    ("signed", "received"),
    [
        ("https://x.example:443/a?b=c", "https://x.example/a?b=c"),
        ("https://x.example/a?b=c", "https://x.example:443/a?b=c"),
        ("http://x.example:80/a", "http://x.example/a"),
        ("https://x.example:8443/a", "https://x.example:8443/a"),
    ],
)
def test_a_default_port_may_be_named_or_not(signed: str, received: str) -> None:
    assert verify("token", sign("token", signed, [("A", "1")]), received, [("A", "1")])


@pytest.mark.parametrize(
    ("secret", "url", "fields"),
    [
        ("other", URL, [("A", "1"), ("B", "2")]),
        ("token", URL.replace("msg_1.2", "msg_1.3"), [("A", "1"), ("B", "2")]),
        ("token", URL.replace("https", "http"), [("A", "1"), ("B", "2")]),
        ("token", URL, [("A", "1")]),
        ("token", URL, [("A", "1"), ("B", "3")]),
        ("token", URL, [("A", "1"), ("B", "2"), ("C", "")]),
    ],
)
def test_a_signature_fits_one_secret_one_url_and_one_form(secret: str, url: str, fields: list[tuple[str, str]]) -> None:
    assert not verify(secret, sign("token", URL, [("A", "1"), ("B", "2")]), url, fields)


@pytest.mark.parametrize("header", [None, "", "x", "\udcff", "é"])
def test_a_broken_header_signs_nothing(header: str | None) -> None:
    assert not verify("token", header, URL, [("A", "1")])


@pytest.mark.parametrize(
    ("status", "ours"),
    [
        ("queued", DeliveryStatus.SENT),
        ("sending", DeliveryStatus.SENT),
        ("sent", DeliveryStatus.SENT),
        ("delivered", DeliveryStatus.DELIVERED),
        ("read", DeliveryStatus.READ),
        ("failed", DeliveryStatus.FAILED),
        ("undelivered", DeliveryStatus.FAILED),
    ],
)
def test_a_status_callback_reports_on_the_attempt_of_its_url(status: str, ours: DeliveryStatus) -> None:
    (report,) = reading({**REPORT, "MessageStatus": status}).reports
    assert (report.status, report.wamid, report.phone_number_id) == (ours, SID, "1064")
    assert (report.message_id, report.attempt) == (MESSAGE, 2)
    assert report.at == AT.replace(microsecond=0)
    assert report.error_code is None


def test_a_failure_brings_its_code() -> None:
    (report,) = reading({**REPORT, "MessageStatus": "undelivered", "ErrorCode": "63016"}).reports
    assert report.error_code == "provider.63016"


@pytest.mark.parametrize("attempt", [None, "", "somebody's", "msg_1.2"])
def test_an_attempt_that_is_not_ours_is_left_out(attempt: str | None) -> None:
    (report,) = reading(REPORT, attempt).reports
    assert report.message_id is None


def test_what_somebody_wrote_is_an_inbound_message() -> None:
    (message,) = reading({**WRITTEN, "OriginalRepliedMessageSid": "SM0"}, None).inbound
    assert (message.sender, message.sender_name, message.wamid) == ("+14133881111", "Ana", SID)
    assert message.content == {"type": "text", "text": {"body": "Hola"}, "context": {"id": "SM0"}}
    assert message.at == AT.replace(microsecond=0)


@pytest.mark.parametrize(
    ("mime_type", "kind"),
    [("image/jpeg", "image"), ("video/mp4", "video"), ("audio/ogg", "audio"), ("application/pdf", "document")],
)
def test_a_file_is_a_message_of_its_kind(mime_type: str, kind: str) -> None:
    url = "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1"
    assert content(NumMedia="1", MediaUrl0=url, MediaContentType0=mime_type) == {
        "type": kind,
        kind: {"url": url, "mime_type": mime_type, "caption": "Hola"},
    }


def test_a_place_and_a_button_are_understood() -> None:
    assert content(Latitude="37.78", Longitude="-122.4", Label="Office") == {
        "type": "location",
        "location": {"latitude": 37.78, "longitude": -122.4, "name": "Office"},
    }
    assert content(ButtonText="Yes", ButtonPayload="yes-1") == {"type": "button", "button": {"text": "Yes", "payload": "yes-1"}}


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"MessageStatus": "sent"},
        {**REPORT, "MessageStatus": "vanished"},
        {**WRITTEN, "From": "whatsapp:US.1234"},
        {**WRITTEN, "From": ""},
        {**WRITTEN, "MessageSid": ""},
        {**WRITTEN, "Body": ""},
        {**WRITTEN, "NumMedia": "2", "MediaUrl0": "https://x.example/1", "MediaUrl1": "https://x.example/2"},
    ],
)
def test_what_is_not_understood_is_counted_and_kept_whole(form: dict[str, str]) -> None:
    found = reading(form)
    assert (found.reports, found.inbound, found.not_understood) == ([], [], 1)
    for name, value in form.items():
        assert [name, value] in payload(list(form.items()), "1064", None, AT)["entry"][0]["changes"][0]["value"]["form"]


names = st.sampled_from(
    [*REPORT, *WRITTEN, "ErrorCode", "Latitude", "Longitude", "ButtonText", "MediaUrl0", "MediaContentType0"]
)


@given(
    st.lists(
        st.tuples(names, st.text(max_size=12) | st.sampled_from(["1", "0", "sent", "failed", SID, "whatsapp:+15551234567"]))
    )
)
def test_no_form_is_lost_or_makes_the_reader_fail(fields: list[tuple[str, str]]) -> None:
    made = payload(fields, "1064", None, AT)
    found = webhook.read(made)
    assert len(found.reports) + len(found.inbound) + found.not_understood == 1
