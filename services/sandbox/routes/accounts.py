"""`/{waba_id}`, `/{app_id}` and what hangs on them: numbers, subscriptions, uploads in pieces, tokens of apps."""

from __future__ import annotations

import secrets
from typing import Any, Final

from services.sandbox.answers import Answer, graph_json
from services.sandbox.domain.errors import GraphError, bad_token, no_token, required, unknown_field, unknown_object
from services.sandbox.numbers import Number
from services.sandbox.request import Request
from services.sandbox.routes.bodies import members_of
from services.sandbox.routes.nodes import DEFAULT_FIELDS, EMPTY_FIELDS, Nodes, number_fields
from services.sandbox.routes.paging import fields_of, page_of
from services.sandbox.upkeep import Upload
from services.sandbox.world import World

_NODE: Final = "WhatsAppBusinessAccount"
_SUCCESS: Final = {"success": True}
_APP: Final = {"id": "670843887433847", "name": "Sandbox", "link": "https://www.facebook.com/games/?app_id=670843887433847"}
_DEFAULT_FIELDS: Final = ("name", "timezone_id", "message_template_namespace")
_EMPTY_FIELDS: Final = frozenset(
    {
        "is_enabled_for_insights",
        "marketing_messages_lite_api_status",
        "marketing_messages_onboarding_status",
        "on_behalf_of_business_info",
        "ownership_type",
        "country",
        "subscribed_apps",
        "owner_business_info",
        "disable_marketing_messages_on_cloud_api",
    }
)
MAX_UPLOAD_BYTES: Final = 100 * 1024 * 1024

ACCOUNT_EDGES: Final = frozenset({"phone_numbers", "subscribed_apps"})
APP_EDGES: Final = frozenset({"uploads", "subscriptions"})


class Accounts:
    """Accounts and apps."""

    def __init__(self, world: World, nodes: Nodes) -> None:
        self._world = world
        self._nodes = nodes

    def numbers_of(self, waba_id: str) -> list[Number]:
        return [number for number in self._world.numbers.all() if number.line.waba_id == waba_id]

    def handle(self, request: Request, waba_id: str) -> bytes:
        """`GET /{waba_id}`."""
        self._authorize(request, waba_id)
        values: dict[str, Any] = {
            "id": waba_id,
            "name": "Sandbox",
            "currency": "USD",
            "timezone_id": "1",
            "message_template_namespace": "sandbox_namespace",
            "account_review_status": "APPROVED",
            "business_verification_status": "verified",
            "health_status": {"can_send_message": "AVAILABLE"},
            "country": "US",
            "ownership_type": "SELF",
            "status": "ACTIVE",
        }
        fields = fields_of(request.query, values.keys() | _EMPTY_FIELDS, _NODE)
        return graph_json({**{field: values[field] for field in fields or _DEFAULT_FIELDS if field in values}, "id": waba_id})

    def edge(self, request: Request, waba_id: str, edge: str) -> Answer:
        """Raises `GraphError`."""
        self._authorize(request, waba_id)
        match request.method, edge:
            case "GET", "phone_numbers":
                found = [
                    number_fields(number, self._world.business.of(number.line.phone_number_id))
                    for number in self.numbers_of(waba_id)
                ]
                fields = fields_of(request.query, EMPTY_FIELDS.union(*found[:1]), "WhatsAppBusinessPhoneNumber")
                return graph_json(page_of(request, found, fields or DEFAULT_FIELDS))
            case "GET", "subscribed_apps":
                return graph_json({"data": self._subscriptions(waba_id)})
            case "POST", "subscribed_apps":
                return self._subscribe(waba_id, members_of(request))
            case "DELETE", "subscribed_apps":
                for number in self.numbers_of(waba_id):
                    number.redirect(is_subscribed=False, account_override=None)
                return graph_json(_SUCCESS)
        raise unknown_field(edge, _NODE)

    def app_edge(self, request: Request, app_id: str, edge: str) -> Answer:
        """`/{app_id}/uploads` and `/{app_id}/subscriptions`, with the token of a number or of the app."""
        app_secret = self._app(request)
        members = members_of(request)
        match request.method, edge:
            case "POST", "uploads":
                length = str(members.get("file_length", ""))
                if not (length.isascii() and length.isdigit() and len(length) < 12 and int(length) <= MAX_UPLOAD_BYTES):
                    raise required("file_length")
                upload = Upload(f"upload:{secrets.token_urlsafe(24)}", int(length), str(members.get("file_type", "")))
                self._world.business.keep(upload)
                return graph_json({"id": upload.id})
            case "POST", "subscriptions":
                return self._callback(app_secret, members)
            case "GET", "subscriptions":
                urls = {number.spec.webhook_url for number in self._world.numbers.all() if number.app_secret == app_secret}
                fields = [{"name": "messages", "version": "v25.0"}]
                data = [
                    {"object": "whatsapp_business_account", "callback_url": url, "active": True, "fields": fields}
                    for url in sorted(urls)
                ]
                return graph_json({"data": data})
        raise unknown_field(edge, f"Application {app_id}")

    def upload(self, request: Request, upload_id: str) -> bytes:
        """A piece of a file, which begins where the former ended, or how far it has come."""
        self._app(request)
        upload = self._world.business.uploads.get(upload_id)
        if upload is None:
            raise unknown_object(upload_id, request.method)
        if request.method == "GET":
            return graph_json({"id": upload.id, "file_offset": len(upload.content)})
        if request.method != "POST":
            raise unknown_field(request.method, "Upload")
        if (request.header(b"file_offset") or "0").strip() != str(len(upload.content)):
            raise GraphError(100, f"The file_offset must be {len(upload.content)}.")
        if len(upload.content) + len(request.body) > upload.length:
            raise GraphError(100, "The file is longer than its file_length.")
        upload.content += request.body
        if len(upload.content) < upload.length:
            return graph_json({"id": upload.id, "file_offset": len(upload.content)})
        return graph_json({"h": upload.handle})

    def token(self, request: Request) -> bytes:
        """`GET /oauth/access_token`: the app's own token for its secret."""
        query = request.query
        secret = query.get("client_secret", "").encode()
        if not secret or not any(number.app_secret == secret for number in self._world.numbers.all()):
            raise GraphError(100, "Error validating client secret.")
        token = f"{query.get('client_id', '')[:32]}|{secrets.token_urlsafe(24)}"
        tokens = self._world.business.app_tokens
        if len(tokens) >= 1000:
            tokens.clear()
        tokens[token] = secret
        return graph_json({"access_token": token, "token_type": "bearer"})

    def _authorize(self, request: Request, waba_id: str) -> None:
        header, token = request.header(b"Authorization"), request.query.get("access_token")
        self._world.numbers.authorize_account(waba_id, header, token, request.method)

    def _app(self, request: Request) -> bytes:
        """The secret of the app that calls. Raises `GraphError`."""
        offered = [value for value in (request.header(b"Authorization"), request.query.get("access_token")) if value]
        if not offered:
            raise no_token()
        for text in offered:
            token = text.removeprefix("Bearer ").removeprefix("OAuth ")
            if token in self._world.business.app_tokens:
                return self._world.business.app_tokens[token]
            for number in self._world.numbers.all():
                if f"Bearer {token}".encode() in number.authorizations:
                    return number.app_secret
        raise bad_token()

    def _subscriptions(self, waba_id: str) -> list[dict[str, Any]]:
        numbers = [number for number in self.numbers_of(waba_id) if number.is_subscribed]
        if not numbers:
            return []
        override = numbers[0].account_override
        return [{"whatsapp_business_api_data": _APP, **({"override_callback_uri": override} if override else {})}]

    async def _subscribe(self, waba_id: str, members: dict[str, Any]) -> bytes:
        url = members.get("override_callback_uri")
        override = await self._nodes.handshaken(url, str(members.get("verify_token") or "")) if url else None
        for number in self.numbers_of(waba_id):
            number.redirect(is_subscribed=True, account_override=override)
        return graph_json(_SUCCESS)

    async def _callback(self, app_secret: bytes, members: dict[str, Any]) -> bytes:
        """The callback URL of the app, which is that of all its numbers. Raises `GraphError`."""
        if members.get("object") != "whatsapp_business_account":
            raise required("object")
        token = str(members.get("verify_token") or "")
        url = await self._nodes.handshaken(members.get("callback_url"), token)
        now = self._world.clock.monotonic()
        for number in self._world.numbers.all():
            if number.app_secret == app_secret:
                spec = number.spec.told() | {"webhook_url": url, "verify_token": token}
                self._world.numbers.change(number, type(number.spec).model_validate(spec), now)
        return graph_json(_SUCCESS)
