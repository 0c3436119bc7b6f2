"""Graph errors: the codes the sandbox raises, each with its HTTP status and title.

HTTP statuses follow Meta's older official table, the only one that gives them for every code; clients are asked to decide by
`code` and `error_data.details`. Source: WhatsApp Cloud API, error codes, read 2026-09.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """`title` as Meta words it, `http_status` when it is the answer to a request, `is_transient` where Meta says so."""

    http_status: int
    title: str
    is_transient: bool | None = None


KINDS: Final = MappingProxyType(
    {
        2: ErrorKind(503, "Service temporarily unavailable", is_transient=True),
        4: ErrorKind(400, "Application request limit reached"),
        10: ErrorKind(403, "Application does not have permission for this action"),
        100: ErrorKind(400, "Invalid parameter"),
        104: ErrorKind(401, "An access token is required to request this resource."),
        190: ErrorKind(401, "Invalid OAuth access token - Cannot parse access token"),
        80007: ErrorKind(400, "Rate limit issues"),
        130403: ErrorKind(403, "Recipient is blocked by the business"),
        130429: ErrorKind(400, "Rate limit hit"),
        130472: ErrorKind(400, "User's number is part of an experiment"),
        131000: ErrorKind(500, "Something went wrong"),
        131008: ErrorKind(400, "Required parameter is missing"),
        131009: ErrorKind(400, "Parameter value is not valid"),
        131016: ErrorKind(500, "Service temporarily unavailable"),
        131021: ErrorKind(400, "Recipient cannot be sender"),
        131026: ErrorKind(400, "Message undeliverable"),
        131030: ErrorKind(400, "Recipient phone number not in allowed list"),
        131031: ErrorKind(403, "Business Account locked"),
        131047: ErrorKind(400, "Re-engagement message"),
        131048: ErrorKind(400, "Spam rate limit hit"),
        131049: ErrorKind(400, "This message was not delivered to maintain healthy ecosystem engagement."),
        131050: ErrorKind(400, "User has stopped marketing messages from this business"),
        131051: ErrorKind(400, "Unsupported message type"),
        131052: ErrorKind(400, "Media download error"),
        131053: ErrorKind(400, "Media upload error"),
        131056: ErrorKind(400, "(Business Account, Consumer Account) pair rate limit hit"),
        131057: ErrorKind(500, "Account in maintenance mode"),
        131062: ErrorKind(400, "Business-scoped user id recipients are not supported for this message"),
        132000: ErrorKind(400, "Number of parameters does not match the expected number of params"),
        132001: ErrorKind(404, "Template name does not exist in the translation"),
        132005: ErrorKind(400, "Translated text too long"),
        132012: ErrorKind(400, "Parameter format does not match format in the created template"),
        132015: ErrorKind(400, "Template is paused"),
        132016: ErrorKind(400, "Template is disabled"),
        132018: ErrorKind(400, "Template parameters are inconsistent"),
        133005: ErrorKind(400, "Two-step verification PIN mismatch"),
        133006: ErrorKind(400, "Phone number re-verification needed"),
        133010: ErrorKind(400, "Phone number not registered"),
        133016: ErrorKind(400, "Account register/deregister rate limit exceeded"),
        134100: ErrorKind(400, "Only marketing messages are supported"),
        139101: ErrorKind(400, "Blocklist limit reached"),
    }
)

DETAILS: Final = MappingProxyType(
    {
        2: "The service is temporarily down or overloaded. Try again.",
        130403: "Message failed to send because this business has blocked the recipient.",
        130429: "Message failed to send because there were too many messages sent from this phone number in a short period "
        "of time.",
        130472: "Failed to send message because this user's phone number is part of an experiment.",
        131000: "Message failed to send due to an unknown error. Try again.",
        131016: "Service overloaded.",
        131021: "Sender and recipient phone number is the same.",
        131026: "Message Undeliverable.",
        131030: "Recipient phone number not in allowed list: Add recipient phone number to recipient list and try again.",
        131031: "Your account has been locked due to a violation of a policy, or data in the request could not be verified.",
        131047: "Message failed to send because more than 24 hours have passed since the customer last replied to this number.",
        131048: "Message failed to send because there are restrictions on how many messages can be sent from this phone number.",
        131049: "In order to maintain a healthy ecosystem engagement, the message failed to be delivered.",
        131050: "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages from you.",
        131052: "Unable to download the media sent by the user, or the link of the message.",
        131053: "The media could not be uploaded, or its type is not the message's.",
        131056: "Message failed to send because there were too many messages sent from this phone number to the same phone "
        "number in a short period of time.",
        131057: "Business Account is in maintenance mode.",
        131062: "Messages of this kind need a phone number, not a business-scoped user id.",
        132001: "The template does not exist in the language, or has not been approved.",
        132015: "Template is paused due to low quality, so it cannot be sent in a template message.",
        132016: "Template has been paused too many times due to low quality and is now permanently disabled.",
        133005: "The two-step verification PIN is not this number's.",
        133006: "The phone number must be verified before it is registered.",
        133010: "Phone number not registered on the WhatsApp Business Platform.",
        133016: "There were too many attempts to register or deregister this phone number in a short time.",
        134100: "Only marketing templates may be sent to this endpoint.",
    }
)

THROTTLES: Final = frozenset({4, 130429, 131048, 131056})
"""Codes that mean "too many": sources disagree on their HTTP status, so that is a switch."""

HREF: Final = "https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes"


class GraphError(Exception):
    """A request refused as the Graph API does it. `details` names the field at fault, `http_status` overrides the table's."""

    def __init__(
        self,
        code: int,
        details: str | None = None,
        *,
        message: str | None = None,
        subcode: int | None = None,
        type_: str = "OAuthException",
        http_status: int | None = None,
        retry_after_seconds: int = 0,
    ) -> None:
        super().__init__(code)
        kind = KINDS[code]
        self.code = code
        self.details = DETAILS.get(code) if details is None else details
        self.message = f"(#{code}) {kind.title}" if message is None else message
        self.subcode = subcode
        self.type = type_
        self.http_status = kind.http_status if http_status is None else http_status
        self.is_transient = kind.is_transient
        self.retry_after_seconds = retry_after_seconds

    def body(self, fbtrace_id: str) -> dict[str, Any]:
        """The envelope; members come in the order of recorded answers, absent ones are left out."""
        error: dict[str, Any] = {"message": self.message, "type": self.type, "code": self.code}
        if self.details is not None:
            error["error_data"] = {"messaging_product": "whatsapp", "details": self.details}
        if self.subcode is not None:
            error["error_subcode"] = self.subcode
        if self.is_transient is not None:
            error["is_transient"] = self.is_transient
        error["fbtrace_id"] = fbtrace_id
        return {"error": error}


def no_token() -> GraphError:
    return GraphError(104, message=KINDS[104].title)


def bad_token() -> GraphError:
    return GraphError(190, message=KINDS[190].title)


def unknown_object(object_id: str, method: str) -> GraphError:
    """The object does not exist. Recorded wording; the answer is a 400, not a 404."""
    return GraphError(
        100,
        message=(
            f"Unsupported {method.lower()} request. Object with ID '{object_id}' does not exist, cannot be loaded due to "
            "missing permissions, or does not support this operation. Please read the Graph API documentation at "
            "https://developers.facebook.com/docs/graph-api"
        ),
        subcode=33,
        type_="GraphMethodException",
    )


def unknown_field(name: str, node: str) -> GraphError:
    """A field or edge that the node does not have."""
    return GraphError(100, message=f"(#100) Tried accessing nonexisting field ({name}) on node type ({node})")


def required(name: str) -> GraphError:
    """A top-level parameter is missing, in Meta's wording."""
    return GraphError(100, f"The parameter {name} is required.", message=f"(#100) The parameter {name} is required.")


def bad_parameter(text: str) -> GraphError:
    """A parameter breaks its type or length; `text` names it as Meta does: "Param text['body'] must be a string."."""
    return GraphError(100, text, message=f"(#100) {text}")


def webhook_error(code: int) -> dict[str, Any]:
    """The same fault as it stands in a status webhook."""
    kind = KINDS[code]
    return {
        "code": code,
        "title": kind.title,
        "message": kind.title,
        "error_data": {"details": DETAILS.get(code, kind.title)},
        "href": HREF,
    }
