"""The providers under test: how each is addressed, and what it says on the wire. Answers are those of its documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, Retry, Unknown
from services.sender.provider.interface import Address
from shared.events.values import Provider
from shared.ids import MessageId

ATTEMPT: Final = AttemptId(MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4"), 2)
TO: Final = "+15551234567"
TEXT: Final = {"type": "text", "text": {"body": "Grüße & Küsse"}}


@dataclass(frozen=True)
class Subject:
    """`id_of` takes the answer's id; `told` reads the text, the recipient and the attempt's name from a request's body."""

    provider: Provider
    path: bytes
    authorization: bytes
    content_type: bytes
    sent: tuple[int, bytes]
    message_id: str
    refused: tuple[int, bytes]
    refusal: str
    throttled: tuple[int, bytes]
    throttle: str
    dead: tuple[int, bytes]
    death: str
    broken: tuple[int, bytes]
    breakage: Outcome
    told: Callable[[bytes], tuple[str, str, str]]

    def address(self, url: str) -> Address:
        return Address(
            provider=self.provider,
            provider_url=url,
            phone_number_id="1064",
            account_id="AC" + "0a" * 16,
            display_number="+1 555-078-3881",
            callback_url="https://chasqui.example/api/webhooks/twilio/num_1",
        )


def _graph_error(status: int, code: int) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"message": f"(#{code}) no", "type": "OAuthException", "code": code}}).encode()


def _twilio_error(status: int, code: int) -> tuple[int, bytes]:
    body: dict[str, Any] = {
        "code": code,
        "message": "no",
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return status, json.dumps(body).encode()


def _told_cloud_api(body: bytes) -> tuple[str, str, str]:
    payload = json.loads(body)
    return payload["text"]["body"], payload["to"], payload["biz_opaque_callback_data"]


def _told_twilio(body: bytes) -> tuple[str, str, str]:
    form = dict(parse_qsl(body.decode(), strict_parsing=True))
    assert form["From"] == "whatsapp:+15550783881"
    return form["Body"], form["To"].removeprefix("whatsapp:"), parse_qs(urlsplit(form["StatusCallback"]).query)["attempt"][0]


CLOUD_API: Final = Subject(
    provider=Provider.CLOUD_API,
    path=b"/v23.0/1064/messages",
    authorization=b"Bearer token",
    content_type=b"application/json",
    sent=(200, b'{"messaging_product":"whatsapp","contacts":[{"wa_id":"1"}],"messages":[{"id":"wamid.x"}]}'),
    message_id="wamid.x",
    refused=_graph_error(400, 131026),
    refusal="provider.131026",
    throttled=_graph_error(400, 130429),
    throttle="provider.130429",
    dead=_graph_error(401, 190),
    death="provider.190",
    broken=_graph_error(503, 2),
    breakage=Retry("provider.2", counted=False, sick=True),
    told=_told_cloud_api,
)

TWILIO: Final = Subject(
    provider=Provider.TWILIO,
    path=b"/2010-04-01/Accounts/AC" + b"0a" * 16 + b"/Messages.json",
    authorization=b"Basic QUMwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTp0b2tlbg==",
    content_type=b"application/x-www-form-urlencoded",
    sent=(201, b'{"sid":"SM' + b"1b" * 16 + b'","status":"queued","error_code":null,"to":"whatsapp:+15551234567"}'),
    message_id="SM" + "1b" * 16,
    refused=_twilio_error(400, 21211),
    refusal="provider.21211",
    throttled=_twilio_error(429, 20429),
    throttle="provider.20429",
    dead=_twilio_error(401, 20003),
    death="provider.20003",
    broken=_twilio_error(500, 20500),
    breakage=Unknown("provider.http_500"),  # Twilio says that the message may have been created all the same
    told=_told_twilio,
)
