"""What leads people to a number and greets them there: QR codes with a message written already, and what of a shop is shown.

Source: WhatsApp Business Management API, QR codes, commerce settings, read 2026-11.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from services.sandbox.answers import graph_json
from services.sandbox.domain.errors import GraphError, bad_parameter, required, unknown_field
from services.sandbox.domain.members import choice_of
from services.sandbox.request import Request
from services.sandbox.routes.bodies import members_of
from services.sandbox.routes.paging import fields_of, page_of
from services.sandbox.upkeep import Upkeep

QR_CODES: Final = "message_qrdls"
COMMERCE: Final = "whatsapp_commerce_settings"
MAX_QR_CODES: Final = 2_000
LONGEST_MESSAGE: Final = 140
_CODE_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CODE_LENGTH: Final = 14
_SHOWN: Final = ("code", "prefilled_message", "deep_link_url")
_IMAGE: Final = "qr_image_url"
_SUCCESS: Final = {"success": True}
_BOOLEANS: Final = {"true": True, "false": False, "1": True, "0": False}


def answer(request: Request, upkeep: Upkeep, phone_number_id: str, edge: str) -> bytes | None:
    """What these edges answer; None of any other edge. Raises `GraphError`."""
    name, _, code = edge.partition("/")
    if name == QR_CODES:
        return _qr_codes(request, upkeep, code)
    return _commerce(request, upkeep, phone_number_id) if edge == COMMERCE else None


def _qr_codes(request: Request, upkeep: Upkeep, code: str) -> bytes:
    """`/message_qrdls`, and `/message_qrdls/{code}` where there is a `code`. Raises `GraphError`."""
    match request.method:
        case "GET":
            fields = fields_of(request.query, {*_SHOWN, _IMAGE}, "WhatsAppBusinessQRCode")
            found = [_shown(name, text) for name, text in upkeep.qr_codes.items() if code in ("", name)]
            shown = [{field: one[field] for field in fields or _SHOWN} for one in found]
            return graph_json(page_of(request, shown, ()) if not code else {"data": shown})
        case "DELETE" if code:
            if upkeep.qr_codes.pop(code, None) is None:
                raise _unknown()
            return graph_json(_SUCCESS)
        case "POST" if not code:
            return graph_json(_written(upkeep, members_of(request)))
    raise unknown_field(QR_CODES, "WhatsAppBusinessPhoneNumber")


def _commerce(request: Request, upkeep: Upkeep, phone_number_id: str) -> bytes:
    """`/whatsapp_commerce_settings`: at first the cart is on and the catalog hidden. Raises `GraphError`."""
    kept = upkeep.commerce
    if request.method == "POST":
        members = members_of(request)
        kept.update({name: _boolean(members, name) for name in kept if name in members})
        return graph_json(_SUCCESS)
    if request.method != "GET":
        raise unknown_field(COMMERCE, "WhatsAppBusinessPhoneNumber")
    fields = fields_of(request.query, {*kept, "id"}, "WhatsAppCommerceSettings")
    shown = {name: value for name, value in kept.items() if not fields or name in fields}
    return graph_json({"data": [{**shown, "id": _catalog_of(phone_number_id)}]})


def _written(upkeep: Upkeep, members: Mapping[str, Any]) -> dict[str, str]:
    """A new code, or the one that is named with its new message."""
    message = members.get("prefilled_message")
    if message is None:
        raise required("prefilled_message")
    if not isinstance(message, str) or not 1 <= len(message) <= LONGEST_MESSAGE:
        raise bad_parameter(f"Param prefilled_message must be a string of 1 to {LONGEST_MESSAGE} characters.")
    code = members.get("code")
    if code is not None and code not in upkeep.qr_codes:
        raise _unknown()
    fields: tuple[str, ...] = _SHOWN
    if members.get("generate_qr_image") is not None:
        choice_of(members, "generate_qr_image", "", ("PNG", "SVG"))
        fields = (*_SHOWN, _IMAGE)
    if code is None:
        if len(upkeep.qr_codes) >= MAX_QR_CODES:
            raise GraphError(100, f"A number has {MAX_QR_CODES} QR codes at most.")
        code = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
    upkeep.qr_codes[code] = message
    shown = _shown(code, message)
    return {field: shown[field] for field in fields}


def _shown(code: str, message: str) -> dict[str, str]:
    link = f"https://wa.me/message/{code}"
    return {"code": code, "prefilled_message": message, "deep_link_url": link, _IMAGE: f"https://scontent.example/qr/{code}"}


def _boolean(members: Mapping[str, Any], name: str) -> bool:
    value = _BOOLEANS.get(str(members[name]).lower())
    if value is None:
        raise bad_parameter(f"Param {name} must be a boolean.")
    return value


def _catalog_of(phone_number_id: str) -> str:
    return str(int(hashlib.sha256(phone_number_id.encode()).hexdigest()[:12], 16))


def _unknown() -> GraphError:
    return GraphError(100, "There is no QR code of that name.")
