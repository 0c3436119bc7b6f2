"""`/{phone_number_id}` and its edges, but for messages and files: what a number is, and what its business sets."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from services.sandbox.answers import Answer, graph_json
from services.sandbox.domain.errors import GraphError, bad_parameter, required, unknown_field
from services.sandbox.domain.members import choice_of, list_of, maybe_string
from services.sandbox.domain.payload import normalise_phone
from services.sandbox.numbers import HIGH_THROUGHPUT, Number
from services.sandbox.request import Request
from services.sandbox.routes import shop_front
from services.sandbox.routes.bodies import members_of
from services.sandbox.routes.paging import fields_of
from services.sandbox.upkeep import REGISTRATION_SECONDS, VERIFICATION_CODE, Upkeep
from services.sandbox.webhooks import verify
from services.sandbox.world import World

_NODE: Final = "WhatsAppBusinessPhoneNumber"
DEFAULT_FIELDS: Final = (
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
    "webhook_configuration",
)
EMPTY_FIELDS: Final = frozenset(
    {
        "conversational_automation",
        "is_on_biz_app",
        "is_preverified_number",
        "eligibility_for_api_business_global_search",
        "certificate",
        "new_certificate",
        "country_code",
        "country_dial_code",
    }
)
"""Fields that the node has and that are empty here: what is empty is left out of an answer."""
_STATUSES: Final = {"banned": "BANNED", "flagged": "FLAGGED", "throttled": "RATE_LIMITED", "unregistered": "DISCONNECTED"}
_PROFILE: Final = {"about": 139, "address": 256, "description": 512, "email": 128}
_PROFILE_FIELDS: Final = frozenset({*_PROFILE, "websites", "vertical", "profile_picture_url"})
_VERTICALS: Final = (
    "UNDEFINED", "OTHER", "AUTO", "BEAUTY", "APPAREL", "EDU", "ENTERTAIN", "EVENT_PLAN", "FINANCE", "GROCERY", "GOVT", "HOTEL",
    "HEALTH", "NONPROFIT", "PROF_SERVICES", "RETAIL", "TRAVEL", "RESTAURANT", "NOT_A_BIZ",
)  # fmt: skip
_KEPT: Final = frozenset(
    {
        "settings",
        "conversational_automation",
        "whatsapp_business_encryption",
        "username",
    }
)
"""Edges that keep what is posted, and tell it again."""
MAX_BLOCKED: Final = 64_000
_SUCCESS: Final = {"success": True}


class Nodes:
    """Reads and changes of number nodes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def authorize(self, request: Request, phone_number_id: str) -> Number:
        """The number, if the request may see it. Raises `GraphError`."""
        header = request.header(b"Authorization")
        query_token = request.query.get("access_token")
        return self._world.numbers.authorize(phone_number_id, header, query_token, request.method)

    def handle(self, request: Request, phone_number_id: str) -> Answer:
        """The node itself."""
        number = self.authorize(request, phone_number_id)
        if request.method == "GET":
            values = number_fields(number, self._world.business.of(phone_number_id))
            asked = fields_of(request.query, values.keys() | EMPTY_FIELDS, _NODE)
            shown = {field: values[field] for field in asked or DEFAULT_FIELDS if field in values}
            return graph_json({**shown, "id": phone_number_id})
        if request.method != "POST":
            raise unknown_field(request.method, _NODE)
        members = members_of(request)
        if "pin" in members:
            self._world.business.of(phone_number_id).pin = _pin(members)
        if "webhook_configuration" in members:
            configuration = members["webhook_configuration"]
            if not isinstance(configuration, dict):
                raise bad_parameter("Param webhook_configuration must be an object.")
            return self._override(number, configuration)
        return graph_json(_SUCCESS)

    def edge(self, request: Request, phone_number_id: str, edge: str) -> Answer:
        """What hangs on the node. Raises `GraphError` for what does not."""
        number = self.authorize(request, phone_number_id)
        upkeep = self._world.business.of(phone_number_id)
        match request.method, edge:
            case "POST", "register":
                return self._register(number, upkeep, members_of(request))
            case "POST", "deregister":
                return self._deregister(number, upkeep)
            case "POST", "request_code":
                choice_of(members_of(request), "code_method", "", ("SMS", "VOICE"))
                upkeep.is_verified = False
                return graph_json(_SUCCESS)
            case "POST", "verify_code":
                if str(members_of(request).get("code")) != VERIFICATION_CODE:
                    raise GraphError(100, "The code is not the one that was sent.")
                upkeep.is_verified = True
                return graph_json(_SUCCESS)
            case "GET", "whatsapp_business_profile":
                fields = fields_of(request.query, _PROFILE_FIELDS | {"messaging_product"}, "WhatsAppBusinessProfile")
                profile = {"vertical": "UNDEFINED", **upkeep.profile, "messaging_product": "whatsapp"}
                wanted = {*fields, "messaging_product"} if fields else profile.keys()
                return graph_json({"data": [{name: value for name, value in profile.items() if name in wanted}]})
            case "POST", "whatsapp_business_profile":
                upkeep.profile |= _profile(members_of(request))
                return graph_json(_SUCCESS)
            case _, "block_users":
                return self._blocked(request, number)
            case _, _ if (shown := shop_front.answer(request, upkeep, phone_number_id, edge)) is not None:
                return shown
            case "GET", _ if edge in _KEPT:
                kept = upkeep.edges.get(edge, {})
                return graph_json(kept if edge in ("settings", "username") else {"data": [kept] if kept else []})
            case "POST", _ if edge in _KEPT:
                upkeep.edges.setdefault(edge, {}).update(members_of(request))
                return graph_json(_SUCCESS)
        raise unknown_field(edge, _NODE)

    def _register(self, number: Number, upkeep: Upkeep, members: Mapping[str, Any]) -> bytes:
        self._product(members)
        pin = _pin(members)
        now = self._world.clock.monotonic()
        upkeep.count_registration(now, REGISTRATION_SECONDS / self._world.behaviour.time_scale)
        if not upkeep.is_verified:
            raise GraphError(133006)
        if upkeep.pin not in (None, pin):
            raise GraphError(133005)
        upkeep.pin = pin
        if number.spec.state == "unregistered":
            self._be(number, "connected")
        return graph_json(_SUCCESS)

    def _deregister(self, number: Number, upkeep: Upkeep) -> bytes:
        upkeep.count_registration(self._world.clock.monotonic(), REGISTRATION_SECONDS / self._world.behaviour.time_scale)
        self._be(number, "unregistered")
        return graph_json(_SUCCESS)

    def _be(self, number: Number, state: str) -> None:
        spec = number.spec.model_copy(update={"state": state, "state_seconds": None})
        self._world.numbers.change(number, spec, self._world.clock.monotonic())

    async def _override(self, number: Number, configuration: Mapping[str, Any]) -> bytes:
        """A callback URL of the number's own; an empty one deletes it. Raises nothing: a refusal is an answer."""
        url = configuration.get("override_callback_uri")
        token = str(configuration.get("verify_token") or "")
        number.redirect(override=await self.handshaken(url, token) if url else None)
        return graph_json(_SUCCESS)

    async def handshaken(self, url: object, token: str) -> str:
        """The URL, once it has answered Meta's handshake. Raises `GraphError` 100."""
        challenge = str(secrets.randbelow(9 * 10**9) + 10**9)
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise bad_parameter("Param override_callback_uri must be a valid URL.")
        if not await verify(self._world.session, url, token, challenge):
            raise GraphError(100, "The callback URL did not answer the verification.", subcode=2200)
        return url

    def _blocked(self, request: Request, number: Number) -> bytes:
        if request.method == "GET":
            data = [{"messaging_product": "whatsapp", "input": user, "wa_id": user} for user in number.blocked]
            return graph_json({"data": data})
        if request.method not in ("POST", "DELETE"):
            raise unknown_field("block_users", _NODE)
        members = members_of(request)
        self._product(members)
        users: list[dict[str, str]] = []
        for entry in list_of(members, "block_users", "block_users", least=1, most=1000):
            user = entry.get("user") if isinstance(entry, dict) else None
            digits = normalise_phone(user) if isinstance(user, str) else None
            if digits is None:
                raise GraphError(131009, "Parameter 'block_users.user' is not a valid phone number.")
            users.append({"input": str(user), "wa_id": digits})
        ids = [user["wa_id"] for user in users]
        if request.method == "DELETE":
            number.blocked.difference_update(ids)
            return graph_json({"messaging_product": "whatsapp", "block_users": {"removed_users": users}})
        if len(number.blocked.union(ids)) > MAX_BLOCKED:
            raise GraphError(139101)
        number.blocked.update(ids)
        return graph_json({"messaging_product": "whatsapp", "block_users": {"added_users": users}})

    def _product(self, members: Mapping[str, Any]) -> None:
        if members.get("messaging_product") != "whatsapp":
            raise required("messaging_product")


def number_fields(number: Number, upkeep: Upkeep) -> dict[str, Any]:
    """All fields of a number's node."""
    spec = number.spec
    webhooks = {"application": spec.webhook_url, "whatsapp_business_account": number.account_override}
    return {
        "id": number.line.phone_number_id,
        "verified_name": spec.verified_name,
        "code_verification_status": "VERIFIED" if upkeep.is_verified else "NOT_VERIFIED",
        "display_phone_number": number.line.display_phone_number,
        "quality_rating": spec.quality_rating,
        "quality_score": {"score": spec.quality_rating},
        "platform_type": "CLOUD_API",
        "throughput": {"level": "HIGH" if number.rate.messages_per_second >= HIGH_THROUGHPUT else "STANDARD"},
        "webhook_configuration": {
            **{name: url for name, url in webhooks.items() if url},
            **({"phone_number": number.override} if number.override else {}),
        },
        "name_status": "APPROVED",
        "new_name_status": "NONE",
        "status": _STATUSES.get(spec.state, "CONNECTED"),
        "messaging_limit_tier": spec.messaging_limit_tier,
        "whatsapp_business_manager_messaging_limit": spec.messaging_limit_tier,
        "account_mode": "SANDBOX",
        "is_official_business_account": False,
        "is_pin_enabled": upkeep.pin is not None,
        "host_platform": "CLOUD_API",
        "search_visibility": "NON_VISIBLE",
        "health_status": {"can_send_message": "BLOCKED" if spec.state in ("banned", "unregistered") else "AVAILABLE"},
        "last_onboarded_time": "2026-01-01T00:00:00+0000",
    }


def _pin(members: Mapping[str, Any]) -> str:
    pin = str(members.get("pin") or "")
    if not (pin.isascii() and pin.isdigit() and len(pin) == 6):
        raise bad_parameter("Param pin must be a string of 6 digits.")
    return pin


def _profile(members: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `GraphError` for a field that is too long."""
    if members.get("messaging_product") != "whatsapp":
        raise required("messaging_product")
    told: dict[str, Any] = {}
    for name, most in _PROFILE.items():
        value = maybe_string(members, name, "profile", most=most)
        if value is not None:
            told[name] = value
    if members.get("vertical") is not None:
        told["vertical"] = choice_of(members, "vertical", "profile", _VERTICALS)
    if members.get("websites") is not None:
        websites = list_of(members, "websites", "profile.websites", least=0, most=2)
        if not all(isinstance(site, str) and len(site) <= 256 for site in websites):
            raise GraphError(131009, "Parameter 'profile.websites' must be addresses of at most 256 characters.")
        told["websites"] = list(websites)
    if members.get("profile_picture_handle") is not None:
        told["profile_picture_url"] = "https://pps.whatsapp.net/sandbox.jpg"
    return told
