"""Webhook set-up at the front door: what clients register becomes one of the tenant's callbacks. The provider itself goes on
telling Chasqui, which could not follow its messages otherwise.

Sources: Graph API, app access tokens and subscriptions; WhatsApp Cloud API, webhook overrides; read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from services.gateway.forward import Door
from services.gateway.graph.access import QUERY_TOKEN
from services.gateway.graph.nodes import Node, Nodes
from services.gateway.routes.graph.call import Call, answer, fields_in, passed_fields, read_fields, read_raw, unpacked
from services.gateway.routes.graph.errors import AWAY, PARAMETER, refusal, sentence_of, unknown_node
from services.gateway.routes.graph.passing import Passage
from services.gateway.store import graph_nodes as store
from shared.auth.seal import Sealer, SealError
from shared.db.pool import Pool
from shared.errors import FieldError
from shared.ids import TenantId

OBJECT: Final = "whatsapp_business_account"
NOT_VERIFIED: Final = 2200
_SHORTEST_SECRET: Final = 16
_WEBHOOK: Final = "webhook_configuration"
_OVERRIDE: Final = "override_callback_uri"
_PAGE: Final = 100
_DONE: Final = {"success": True}


@dataclass(frozen=True, slots=True, repr=False)
class _Wanted:
    """A callback as the call describes it; `field` is where its URL stood."""

    field: str
    url: Any
    verify_token: Any


@dataclass(frozen=True, slots=True, repr=False)
class Subscriptions:
    """The operations, with what they need: `door` leads to the callbacks, `sealer` opens the numbers' app secrets."""

    door: Door
    nodes: Nodes
    passage: Passage
    pool: Pool
    sealer: Sealer

    async def token(self, call: Call) -> web.StreamResponse:
        """`GET /oauth/access_token`: an app's token is its id, a bar and its secret, as with the provider.

        It opens the door where the secret is a key. Any other is the app's own, which only its owner knows: its token says what
        to sign a callback with, beside the key in `Authorization`.
        """
        _, data = await read_fields(call)
        fields = {**call.request.query, **fields_in(data)}
        given = {name: fields.get(name) for name in ("client_id", "client_secret")}
        if fields.get("grant_type") != "client_credentials" or not all(
            isinstance(text, str) and text for text in given.values()
        ):
            raise refusal(PARAMETER, "Only grant_type client_credentials, with client_id and client_secret, is served here.")
        return answer(call, {"access_token": f"{given['client_id']}|{given['client_secret']}", "token_type": "bearer"})

    async def app(self, call: Call) -> web.StreamResponse:
        """`/{app_id}/subscriptions`: one callback for all numbers, under the app's id."""
        name = f"app {call.node_id}"
        if call.method == "GET":
            callback = await self._named(call, name)
            data = (
                [] if callback is None else [{"object": OBJECT, "callback_url": callback["url"], "active": True, "fields": []}]
            )
            return answer(call, {"data": data})
        fields, _ = await read_fields(call)
        if call.method == "DELETE":
            await self._forget(call, name)
            return answer(call, _DONE)
        if fields.get("object", OBJECT) != OBJECT:
            raise refusal(PARAMETER, f"object must be {OBJECT}.")
        app_secret = call.request.query.get(QUERY_TOKEN, "").partition("|")[2]
        wanted = _Wanted("callback_url", fields.get("callback_url"), fields.get("verify_token"))
        await self._put(call, name, wanted, app_secret, None)
        return answer(call, _DONE)

    async def account(self, call: Call) -> web.StreamResponse:
        """`POST` and `DELETE /{account}/subscribed_apps`: a callback for the account's numbers where the call names one."""
        of_tenant = await self.nodes.all(call.tenant_id)
        numbers = [node for node in of_tenant if node.account_id == call.node_id]
        if not numbers:
            raise unknown_node(call.method, call.node_id)
        name = f"account {call.node_id}"
        fields, _ = await read_fields(call)
        override = _Wanted(_OVERRIDE, fields.get(_OVERRIDE), fields.get("verify_token"))
        if call.method == "DELETE" or not override.url:
            await self._forget(call, name)
            if call.method == "DELETE":  # ours at the provider stays: without it nothing would be known of any message
                return answer(call, _DONE)
            return await self.passage.ask(call, call.node_id, f"{call.node_id}/subscribed_apps", json=None, counted=True)
        await self._put(call, name, override, "", None if len(numbers) == len(of_tenant) else numbers)
        return answer(call, _DONE)

    async def number(self, call: Call) -> web.StreamResponse:
        """`POST /{phone_number_id}`: a callback for the number where the call sets one; anything else is the provider's."""
        node = await self.nodes.number(call.tenant_id, call.node_id)
        if node is None:
            return await self.passage.forward(call)
        data = await read_raw(call)
        given = {**call.query, **passed_fields(call, data)}
        if _WEBHOOK not in given:
            return await self.passage.forward(call, data)
        wanted = unpacked(given[_WEBHOOK])
        if not isinstance(wanted, dict):
            raise refusal(PARAMETER, f"{_WEBHOOK} must be an object, and not stand in a multipart form.")
        name = f"number {call.node_id}"
        if wanted.get(_OVERRIDE):
            override = _Wanted(f"{_WEBHOOK}.{_OVERRIDE}", wanted[_OVERRIDE], wanted.get("verify_token"))
            await self._put(call, name, override, "", [node])
        else:
            await self._forget(call, name)
        return answer(call, _DONE)

    async def _put(self, call: Call, name: str, wanted: _Wanted, secret: str, numbers: list[Node] | None) -> None:
        """Make the callback of that name, or change it. Raises `Rejected` where its URL does not answer the challenge."""
        url, verify_token = wanted.url, wanted.verify_token
        if not isinstance(url, str) or not isinstance(verify_token, str):
            raise refusal(PARAMETER, f"A callback needs its {wanted.field} and its verify_token.")
        if len(secret) < _SHORTEST_SECRET:
            secret = await self._app_secret(call.tenant_id, numbers)
        number_ids = None if numbers is None else [node.number_id for node in numbers]
        known = await self._named(call, name)
        if known is None:
            document: dict[str, Any] = {
                "url": url,
                "format": "meta",
                "name": name,
                "verify_token": verify_token,
                "secret": secret,
            }
            document |= {} if number_ids is None else {"number_ids": number_ids}
            await self._ask(call, "POST", "/api/callbacks", document, wanted.field)
            return
        changes = {"url": url, "verify_token": verify_token, "number_ids": number_ids, "enabled": True}
        await self._ask(call, "PATCH", f"/api/callbacks/{known['id']}", changes, wanted.field)
        await self._ask(call, "POST", f"/api/callbacks/{known['id']}/secret", {"secret": secret, "previous_secret_for": 0})

    async def _app_secret(self, tenant_id: TenantId, numbers: list[Node] | None) -> str:
        """The app secret that a number was connected with: what the tenant's servers check signatures by already."""
        rows = await store.secrets(self.pool, tenant_id, [node.number_id for node in numbers] if numbers else None)
        for row in rows:
            try:
                secret = self.sealer.open(tenant_id, "numbers.app_secret", row["id"], row["sealed_app_secret"])
            except SealError:
                continue
            if len(secret) >= _SHORTEST_SECRET:
                return secret
        raise refusal(PARAMETER, "No number has an app secret to sign with; connect one first.")

    async def _forget(self, call: Call, name: str) -> None:
        known = await self._named(call, name)
        if known is not None:
            await self._ask(call, "DELETE", f"/api/callbacks/{known['id']}", None)

    async def _named(self, call: Call, name: str) -> Mapping[str, Any] | None:
        page = await self._ask(call, "GET", f"/api/callbacks?limit={_PAGE}", None)
        return next((callback for callback in page.get("data", []) if callback.get("name") == name), None)

    async def _ask(self, call: Call, method: str, path: str, document: Any, field: str = "url") -> dict[str, Any]:
        """The answer of who keeps the callbacks; a fault of the address is told under the caller's name for it, `field`."""
        status, said = await self.door.ask(call.request, method, path, document)
        if status < 300:
            return said if isinstance(said, dict) else {}
        detail = said.get("detail") if isinstance(said, dict) else None
        if status >= 500:
            raise refusal(AWAY, "Callbacks cannot be reached now; try again.")
        faults = said.get("errors") if isinstance(said, dict) else None
        if faults:
            pointer = str(faults[0]["pointer"])
            fault = FieldError(f"/{field}" if pointer == "/url" else pointer, faults[0]["code"], faults[0]["detail"])
            detail = sentence_of(fault, "The callback")
            if fault.code != "callback.not_verified":
                raise refusal(PARAMETER, detail)
        raise refusal(NOT_VERIFIED, str(detail or ""), message="(#2200) Callback verification failed")
