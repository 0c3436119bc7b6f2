"""Messages at the front door: queued like all others, answered at once under a minted wamid, and read receipts.

Sources: WhatsApp Cloud API, messages, marketing messages, typing indicators; recorded answers; what its clients send; read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from services.gateway.accept import Acceptance, store_in
from services.gateway.domain.contact import parse_user_id
from services.gateway.domain.message import Message
from services.gateway.domain.wamid import message_of, mint
from services.gateway.graph.nodes import Nodes
from services.gateway.lookups import Lookups
from services.gateway.payloads.messages import SendMessage
from services.gateway.routes.graph.call import Call, answer, read_fields, unpacked
from services.gateway.routes.graph.errors import JSON_UTF8, MISSING, PARAMETER, VALUE, faulty, refusal, unknown_node
from services.gateway.routes.graph.files import FileOperations
from services.gateway.routes.graph.passing import Passage
from shared import content as contents
from shared.bus.outbox import Outbox, Unit
from shared.errors import FieldError, Rejected
from shared.escaped_json import escaped_json
from shared.events.values import Content
from shared.http.requests import read_idempotency_key, validate
from shared.idempotency import once
from shared.ids import NumberId
from shared.telemetry.tracing import current_traceparent

SCHEDULE: Final = "X-Chasqui-Schedule"
PRIORITY: Final = "X-Chasqui-Priority"
PRODUCT: Final = "whatsapp"
LONGEST_OPAQUE: Final = 512
_LONGEST_INPUT: Final = 200
_GROUP_PREFIX: Final = "group:"
_DIGITS: Final = re.compile("[0-9]+")
_OURS: Final = {"/scheduled_time": SCHEDULE, "/priority": PRIORITY}


@dataclass(frozen=True, slots=True)
class _Sent:
    """What the answer tells of a message: the recipient as it was written, and under which members it stands."""

    input: str
    is_user_id: bool
    is_group: bool
    is_template: bool

    def document(self, message: Message) -> dict[str, Any]:
        recipient = message.recipient.removeprefix(_GROUP_PREFIX).removeprefix("+")
        said: dict[str, Any] = {"id": mint(message.id)}
        if self.is_group:
            said["group_id"] = recipient
        if self.is_template:
            said["message_status"] = "accepted"
        contact = {"input": self.input, "user_id" if self.is_user_id else "wa_id": recipient}
        return {"messaging_product": PRODUCT, "contacts": [contact], "messages": [said]}


@dataclass(frozen=True, slots=True)
class Sending:
    """The operations on messages, with what they need."""

    acceptance: Acceptance
    lookups: Lookups
    outbox: Outbox
    nodes: Nodes
    files: FileOperations
    passage: Passage

    async def messages(self, call: Call) -> web.StreamResponse:
        """`POST /{phone_number_id}/messages`."""
        fields, data = await read_fields(call)
        node = await self.nodes.number(call.tenant_id, call.node_id)
        if node is None:
            raise unknown_node("post", call.node_id)
        _check_product(fields)
        if fields.get("status") is not None:
            return await self._receipt(call, fields)
        return await self._send(call, node.number_id, fields, data)

    async def marketing(self, call: Call) -> web.StreamResponse:
        """`POST /{phone_number_id}/marketing_messages`: templates only, sent as the others are."""
        fields, data = await read_fields(call)
        node = await self.nodes.number(call.tenant_id, call.node_id)
        if node is None:
            raise unknown_node("post", call.node_id)
        _check_product(fields)
        if fields.get("type") != "template":
            raise refusal(131055, "Only messages of type template may be sent to this endpoint.")
        if fields.get("product_policy") == "STRICT":
            raise refusal(VALUE, "product_policy STRICT is not offered here; CLOUD_API_FALLBACK is.")
        return await self._send(call, node.number_id, fields, data)

    async def _send(self, call: Call, number_id: NumberId, fields: Mapping[str, Any], data: bytes) -> web.StreamResponse:
        to, sent = _recipient(fields)
        opaque = _opaque(fields)
        content = _plain_text(fields)
        if content is None:
            parsed = contents.parse(fields, tolerant=True)
            if isinstance(parsed, list):
                raise faulty(parsed)
            content = parsed
            await self._with_own_ids(call, content)
        document = {"to": to, "from": number_id, **content, **_extras(call.request)}
        try:
            body = validate(SendMessage, orjson.dumps(document))
        except Rejected as rejected:
            raise faulty([_as_headers(fault) for fault in rejected.errors]) from None
        known = await self.lookups.known(call.tenant_id, [body])

        def admitted() -> Message:
            message = self.acceptance.admit(call.tenant_id, body, known, current_traceparent())
            if isinstance(message, list):
                raise faulty([_as_headers(fault) for fault in message])
            message.graph = {"input": sent.input} | ({} if opaque is None else {"opaque": opaque})
            return message

        sent = _Sent(sent.input, sent.is_user_id, sent.is_group, is_template=content["type"] == "template")
        if read_idempotency_key(call.request) is None:
            message = admitted()
            await self.acceptance.accept(message)
            return answer(call, sent.document(message))

        async def effect(unit: Unit) -> tuple[int, bytes]:
            message = admitted()
            await store_in(unit, [message])
            return 200, escaped_json(sent.document(message))

        response = await once(self.outbox, call.request, data, effect)
        response.headers["Content-Type"] = JSON_UTF8
        return response

    async def _with_own_ids(self, call: Call, content: Content) -> None:
        """Put our ids in the place of those that the front door gave: of files, and of messages that are quoted or reacted to."""
        for name in ("context", "reaction", "pin"):
            part = content.get(name)
            if isinstance(part, dict) and (own := message_of(str(part.get("message_id", "")))) is not None:
                part["message_id"] = own
        places = [place.part for place in contents.media_places(content) if _DIGITS.fullmatch(str(place.part.get("id") or ""))]
        if places:
            own_ids = await self.files.own_ids(call.tenant_id, {part["id"] for part in places})
            for part in places:
                part["id"] = own_ids.get(part["id"], part["id"])

    async def _receipt(self, call: Call, fields: Mapping[str, Any]) -> web.StreamResponse:
        """A read receipt, with or without a typing indicator: the provider is asked at once."""
        wamid = fields.get("message_id")
        if fields["status"] != "read":
            raise refusal(PARAMETER, "status must be read.")
        if not isinstance(wamid, str) or not wamid:
            raise refusal(MISSING, "message_id is required.")
        if message_of(wamid) is not None:
            raise refusal(PARAMETER, "message_id is of an outgoing message; only what was received can be marked as read.")
        said: dict[str, Any] = {"messaging_product": PRODUCT, "status": "read", "message_id": wamid}
        typing = unpacked(fields.get("typing_indicator"))
        if typing not in (None, False, "false", ""):
            said["typing_indicator"] = {"type": "text"}
        return await self.passage.ask(call, call.node_id, f"{call.node_id}/messages", json=said, counted=False)


def _plain_text(fields: Mapping[str, Any]) -> Content | None:
    """The content of most messages, which needs no taking apart: its limits are checked with the message's. None for all others."""
    text = fields.get("text")
    if fields.get("type") != "text" or not isinstance(text, dict) or fields.get("context") is not None:
        return None
    body, preview = text.get("body"), text.get("preview_url")
    if not isinstance(body, str) or not (preview is None or isinstance(preview, bool)):
        return None
    return {"type": "text", "text": {"body": body} if preview is None else {"body": body, "preview_url": preview}}


def _check_product(fields: Mapping[str, Any]) -> None:
    given = fields.get("messaging_product")
    if given is None:
        raise refusal(PARAMETER, message="(#100) The parameter messaging_product is required.")
    if given != PRODUCT:
        raise refusal(PARAMETER, message="(#100) Param messaging_product must be one of {WHATSAPP}")


def _recipient(fields: Mapping[str, Any]) -> tuple[str | dict[str, str], _Sent]:
    """Where the message goes, in this platform's words, and what the answer tells of it."""
    given, kind = fields.get("to"), fields.get("recipient_type") or "individual"
    if kind not in ("individual", "group"):
        raise refusal(PARAMETER, message="(#100) Param recipient_type must be one of {INDIVIDUAL, GROUP}")
    if isinstance(given, int) and not isinstance(given, bool):
        given = str(given)
    if not given:
        given = fields.get("recipient")
    if given is None or given == "":
        raise refusal(PARAMETER, message="(#100) The parameter to is required.")
    if not isinstance(given, str) or len(given) > _LONGEST_INPUT:
        raise refusal(PARAMETER, "to must be a phone number with country code.")
    text = given.strip()
    if kind == "group":
        return {"whatsapp_group": text}, _Sent(text, is_user_id=False, is_group=True, is_template=False)
    if parse_user_id(text) is not None:
        return text, _Sent(text, is_user_id=True, is_group=False, is_template=False)
    phone = text if text.startswith("+") else f"+{text}"
    return phone, _Sent(given, is_user_id=False, is_group=False, is_template=False)


def _opaque(fields: Mapping[str, Any]) -> str | None:
    """What every status of the message gives back to the caller."""
    if fields.get("recipient_identity_key_hash") is not None:
        raise refusal(PARAMETER, "recipient_identity_key_hash is not supported: the message would go out unchecked.")
    opaque = fields.get("biz_opaque_callback_data")
    if opaque is None:
        return None
    if not isinstance(opaque, str) or len(opaque) > LONGEST_OPAQUE:
        raise refusal(PARAMETER, f"biz_opaque_callback_data must be a string of at most {LONGEST_OPAQUE} characters.")
    return opaque


def _extras(request: web.Request) -> dict[str, str]:
    """What this platform offers besides."""
    given = {"scheduled_time": request.headers.get(SCHEDULE), "priority": request.headers.get(PRIORITY, "").lower()}
    return {name: value for name, value in given.items() if value}


def _as_headers(fault: FieldError) -> FieldError:
    """What came in a header is named by it."""
    return FieldError(_OURS.get(fault.pointer, fault.pointer), fault.code, fault.detail)
