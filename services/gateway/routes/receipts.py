"""Read receipts and typing indicators: passed on to the provider at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from services.gateway.graph.client import GraphClient, GraphFailed
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads.receipts import ReceiptView, SendReceipt
from services.gateway.store import numbers as store
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.values import Provider
from shared.http.problem import Problem
from shared.http.requests import read_body, validate
from shared.http.responses import json_bytes
from shared.http.routes import TENANT_ID, Route
from shared.idempotency import is_answered, once
from shared.ids import NumberId, TenantId

TAG: Final = "Messages"
LONGEST_DETAIL: Final = 500
RETRY_SECONDS: Final = 5


class ReceiptRoutes:
    """The handlers, with what they need."""

    def __init__(self, outbox: Outbox, pool: Pool, numbers: NumberDirectory, client: GraphClient) -> None:
        self._outbox = outbox
        self._pool = pool
        self._numbers = numbers
        self._client = client

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "POST",
                "/api/receipts",
                self.send,
                "Show that a message was read, or that you are typing",
                TAG,
                request=SendReceipt,
                responses={200: ReceiptView, 409: Problem, 503: Problem},
                idempotent=True,
                description="The provider is asked at once; its refusal is a 422 with its code, as in `provider.100`.",
                request_examples={"read": {"provider_id": "wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBQzQUE=", "typing": True}},
            )
        ]

    async def send(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(SendReceipt, data)
        tenant_id = TenantId(request[TENANT_ID])
        number_id = (await self._numbers.choose(tenant_id, [body.from_]))[body.from_]
        if isinstance(number_id, FieldError):
            raise _invalid(number_id)
        if not await is_answered(self._pool, request):
            await self._pass_on(tenant_id, number_id, body)
        view = ReceiptView(from_=number_id, provider_id=body.provider_id, typing=body.typing)

        async def effect(_unit: Unit) -> tuple[int, bytes]:
            return 200, json_bytes(view)

        return await once(self._outbox, request, data, effect)

    async def _pass_on(self, tenant_id: TenantId, number_id: NumberId, body: SendReceipt) -> None:
        """Raises `Rejected` where the provider does not take it."""
        row = await store.find(self._pool, tenant_id, number_id)
        if row is None or row["provider"] != Provider.CLOUD_API:
            raise _invalid(FieldError("/from", "number.unsupported", "is no number that the provider takes receipts for"))
        said: dict[str, Any] = {"messaging_product": "whatsapp", "status": "read", "message_id": body.provider_id}
        if body.typing:
            said["typing_indicator"] = {"type": "text"}
        node_id = row["phone_number_id"]
        try:
            answer = await self._client.call(tenant_id, node_id, "POST", f"{node_id}/messages", json=said, counted=False)
        except GraphFailed as failure:
            if failure.is_away:
                detail = "The provider does not answer; try again."
                raise Rejected(failure.code, detail, 503, retry_after_seconds=RETRY_SECONDS) from None
            raise Rejected(failure.code, "The number's record does not let the provider be asked; repair it.") from None
        if answer.error is not None:
            raise Rejected(f"provider.{answer.error.get('code', 'unknown')}", _sentence(answer.error))


def _sentence(error: Mapping[str, Any]) -> str:
    """What the provider says, in its own words."""
    data = error.get("error_data")
    details = data.get("details") if isinstance(data, Mapping) else None
    return str(details or error.get("message") or "The provider refused it.")[:LONGEST_DETAIL]


def _invalid(fault: FieldError) -> Rejected:
    return Rejected("request.invalid", f"{fault.pointer} {fault.detail}.", errors=[fault])
