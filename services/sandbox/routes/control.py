"""`/control`: what a test or an operator turns. Outside the Graph paths, and open to whoever reaches the port."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import Annotated, Any, Final, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from services.sandbox.domain.behaviour import Behaviour, Digits
from services.sandbox.domain.errors import GraphError, unknown_object
from services.sandbox.domain.payload import MAX_TEXT
from services.sandbox.happen import write
from services.sandbox.numbers import GraphId, Number, NumberSpec
from services.sandbox.webhooks import verify
from services.sandbox.world import World

M = TypeVar("M", bound=BaseModel)

MAX_PAGE: Final = 10_000

_GRAPH_ID: Final = TypeAdapter(GraphId)


class Inbound(BaseModel):
    """A virtual user writes first; to the first number, where none is named."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    from_: Annotated[Digits, Field(alias="from")]
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    phone_number_id: GraphId | None = None


class Control:
    """The control API; answers are plain JSON, errors are Graph errors like all others."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle(self, request: web.BaseRequest, segments: list[str]) -> web.StreamResponse:  # a table
        match request.method, segments:
            case "GET", ["ledger"]:
                return self._ledger_page(request)
            case "GET", ["ledger", "summary"]:
                return _json(self._summary())
            case "DELETE", ["ledger"]:
                self._world.ledger.clear()
                return _json({"success": True})
            case "GET", ["behaviour"]:
                return _json(self._world.behaviour.model_dump())
            case "PUT", ["behaviour"]:
                return await self._change_behaviour(request, self._world.initial_behaviour)
            case "PATCH", ["behaviour"]:
                return await self._change_behaviour(request, self._world.behaviour)
            case "POST", ["inbound"]:
                return await self._inbound(request)
            case "GET", ["numbers"]:
                return _json({"data": [number.public() for number in self._world.numbers.all()]})
            case "PUT", ["numbers", phone_number_id]:
                return await self._put_number(request, phone_number_id)
            case "POST", ["numbers", phone_number_id, "verify"]:
                return await self._verify(phone_number_id)
        raise unknown_object("control/" + "/".join(segments)[:64], request.method)

    def _ledger_page(self, request: web.BaseRequest) -> web.Response:
        """`?limit=&cursor=&min_count=`, or `?id=` for one record."""
        ledger = self._world.ledger
        if (callback_data := request.query.get("id")) is not None:
            record = ledger.find(callback_data)
            return _json({"data": [] if record is None else [record], "next_cursor": None})
        limit = _whole(request, "limit", default=1000, least=1, most=MAX_PAGE)
        start = _whole(request, "cursor", default=0, least=0, most=2**40)
        records, following = ledger.page(start, limit, _whole(request, "min_count", default=1, least=1, most=2**31))
        cursor = None if following is None else str(following)
        return _json({"data": records, "next_cursor": cursor, "totals": ledger.totals()})

    def _summary(self) -> dict[str, Any]:
        webhooks = self._world.webhooks
        return {
            **self._world.ledger.totals(),
            "webhooks": {"scheduled": len(self._world.timers), "pending": webhooks.pending, **asdict(webhooks.counts)},
        }

    async def _change_behaviour(self, request: web.BaseRequest, base: Behaviour) -> web.Response:
        """Members left out keep the value of `base`."""
        try:
            changes = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            raise GraphError(100, "The body is not valid JSON in UTF-8.") from None
        if not isinstance(changes, dict):
            raise GraphError(100, "The body must be a JSON object.")
        self._world.behave(_valid(Behaviour, orjson.dumps({**base.model_dump(), **changes})))
        return _json(self._world.behaviour.model_dump())

    async def _inbound(self, request: web.BaseRequest) -> web.Response:
        inbound = _valid(Inbound, await request.read())
        numbers = self._world.numbers.all()
        number = self._number(inbound.phone_number_id or numbers[0].line.phone_number_id)
        return _json({"id": write(self._world, number, inbound.from_, None, inbound.text, name=inbound.name)})

    async def _put_number(self, request: web.BaseRequest, phone_number_id: str) -> web.Response:
        try:
            _GRAPH_ID.validate_python(phone_number_id)
        except ValidationError:
            raise GraphError(100, "phone_number_id: must be 1 to 20 digits.") from None
        spec = _valid(NumberSpec, await request.read())
        return _json(self._world.numbers.put(phone_number_id, spec).public())

    async def _verify(self, phone_number_id: str) -> web.Response:
        challenge = str(secrets.randbelow(9 * 10**9) + 10**9)
        is_verified = await verify(self._world.session, self._number(phone_number_id), challenge)
        return _json({"verified": is_verified})

    def _number(self, phone_number_id: str) -> Number:
        number = self._world.numbers.find(phone_number_id)
        if number is None:
            raise unknown_object(phone_number_id[:64], "post")
        return number


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _valid(model: type[M], raw: bytes) -> M:
    """Raises `GraphError` with a sentence per fault, none of which quotes a value."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise GraphError(100, "; ".join(faults)) from None


def _whole(request: web.BaseRequest, name: str, *, default: int, least: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and least <= int(text) <= most):
        raise GraphError(100, f"{name}: must be a whole number from {least} to {most}.")
    return int(text)
