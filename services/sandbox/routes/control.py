"""`/control`: what a test or an operator turns. Outside the Graph paths, and open to whoever reaches the port."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.sandbox.answers import Answer, plain_json
from services.sandbox.domain.errors import GraphError, unknown_object
from services.sandbox.numbers import GraphId, Number, NumberSpec
from services.sandbox.request import Request
from services.sandbox.webhooks import verify
from services.sandbox.world import World

M = TypeVar("M", bound=BaseModel)

MAX_PAGE: Final = 10_000
MAX_RATE_SECONDS: Final = 3600

Part = Callable[[Request, Sequence[str]], Answer | None]
"""What serves a part of the paths; None where it knows no such path."""

_GRAPH_ID: Final = TypeAdapter(GraphId)
_SUCCESS: Final = plain_json({"success": True})


class Control:
    """The control API; answers are plain JSON, errors are Graph errors like all others."""

    def __init__(self, world: World, parts: Mapping[str, Part]) -> None:
        self._world = world
        self._parts = parts

    def handle(self, request: Request, segments: Sequence[str]) -> Answer:
        match segments:
            case ["ledger", *rest]:
                answer = self._ledger(request, rest)
            case ["numbers", *rest]:
                answer = self._numbers(request, rest)
            case [name, *rest] if name in self._parts:
                answer = self._parts[name](request, rest)
            case ["behaviour"]:
                answer = self._behaviour(request)
            case ["limits"]:
                answer = self._limits(request)
            case ["requests"]:
                answer = self._requests(request)
            case _:
                answer = None
        if answer is None:
            raise unknown_object("control/" + "/".join(segments)[:64], request.method)
        return answer

    def _ledger(self, request: Request, segments: Sequence[str]) -> Answer | None:
        ledger = self._world.ledger
        match request.method, segments:
            case "GET", []:
                return self._ledger_page(request)
            case "GET", ["summary"]:
                return plain_json(self._summary())
            case "GET", ["rates"]:
                query = _query(request, "phone_number_id", "seconds")
                seconds = _whole(query, "seconds", default=600, least=1, most=MAX_RATE_SECONDS)
                asked = query.get("phone_number_id")
                tallies = [tally for tally in ledger.tallies() if asked in (None, tally.number)]
                return plain_json({"data": [tally.rates(seconds) for tally in tallies]})
            case "DELETE", []:
                ledger.clear()
                return _SUCCESS
        return None

    def _ledger_page(self, request: Request) -> Answer:
        """`?limit=&cursor=&min_count=`, or `?id=` for one record."""
        ledger = self._world.ledger
        query = _query(request, "id", "limit", "cursor", "min_count")
        if (callback_data := query.get("id")) is not None:
            record = ledger.find(callback_data)
            return plain_json({"data": [] if record is None else [record], "next_cursor": None})
        limit = _whole(query, "limit", default=1000, least=1, most=MAX_PAGE)
        start = _whole(query, "cursor", default=0, least=0, most=2**40)
        records, following = ledger.page(start, limit, _whole(query, "min_count", default=1, least=1, most=2**31))
        cursor = None if following is None else str(following)
        return plain_json({"data": records, "next_cursor": cursor, "totals": ledger.totals()})

    def _summary(self) -> dict[str, Any]:
        world = self._world
        return {
            **world.ledger.totals(),
            "inbound": sum(tally.inbound.total for tally in world.ledger.tallies()),
            "numbers": {tally.number: tally.totals() for tally in world.ledger.tallies()},
            "webhooks": {
                "scheduled": len(world.timers),
                "pending": world.webhooks.pending,
                **asdict(world.webhooks.counts),
            },
        }

    def _behaviour(self, request: Request) -> Answer | None:
        """`PUT` begins with what the settings say, `PATCH` with what is."""
        world = self._world
        match request.method:
            case "GET":
                pass
            case "PUT":
                world.behave(changed(world.initial_behaviour, world.initial_behaviour.model_dump(), json_object(request)))
            case "PATCH":
                world.behave(changed(world.behaviour, world.behaviour.model_dump(), json_object(request)))
            case _:
                return None
        return plain_json(world.behaviour.model_dump())

    def _limits(self, request: Request) -> Answer | None:
        world = self._world
        now = world.clock.monotonic()
        match request.method:
            case "GET":
                users = {portfolio: recent.count(now) for portfolio, recent in world.portfolios.items()}
                return plain_json({"open_windows": world.windows.count(now), "portfolio_users": users})
            case "DELETE":
                world.forget_use()
                return _SUCCESS
        return None

    def _requests(self, request: Request) -> Answer | None:
        """The last ones: `?limit=&cursor=&method=&path=`, a path that holds the text."""
        journal = self._world.journal
        match request.method:
            case "GET":
                query = _query(request, "limit", "cursor", "method", "path")
                after = _whole(query, "cursor", default=0, least=0, most=2**53)
                limit = _whole(query, "limit", default=1000, least=1, most=MAX_PAGE)
                records, following = journal.page(after, limit, query.get("method"), query.get("path"))
                return plain_json({"data": records, "next_cursor": None if following is None else str(following)})
            case "DELETE":
                journal.clear()
                return _SUCCESS
        return None

    def _numbers(self, request: Request, segments: Sequence[str]) -> Answer | None:
        world = self._world
        now = world.clock.monotonic()
        for number in world.numbers.all():
            number.refusal(now)  # ends the states whose time is over
        match request.method, segments:
            case "GET", []:
                return plain_json({"data": [number.public() for number in world.numbers.all()]})
            case "GET", [phone_number_id]:
                return plain_json(self._number(phone_number_id).public())
            case "PUT", [phone_number_id]:
                try:
                    _GRAPH_ID.validate_python(phone_number_id)
                except ValidationError:
                    raise GraphError(100, "phone_number_id: must be 1 to 20 digits.") from None
                return plain_json(world.numbers.put(phone_number_id, valid(NumberSpec, request.body), now).public())
            case "PATCH", [phone_number_id]:
                return self._change_number(self._number(phone_number_id), json_object(request), now)
            case "DELETE", [phone_number_id]:
                world.numbers.remove(self._number(phone_number_id).line.phone_number_id)
                return _SUCCESS
            case "POST", [phone_number_id, "verify"]:
                return self._verify(self._number(phone_number_id))
        return None

    def _change_number(self, number: Number, changes: dict[str, Any], now: float) -> Answer:
        """Members left out stay; a new state without `state_seconds` does not end by itself."""
        ends_at = number.state_ends_at
        if "state" in changes:
            changes.setdefault("state_seconds", None)
        spec = changed(number.spec, number.spec.told(), changes)
        self._world.numbers.change(number, spec, now)
        if "state_seconds" not in changes:
            number.state_ends_at = ends_at
        return plain_json(number.public())

    async def _verify(self, number: Number) -> bytes:
        challenge = str(secrets.randbelow(9 * 10**9) + 10**9)
        url, token = number.callback_url or number.spec.webhook_url, number.spec.verify_token.get_secret_value()
        return plain_json({"verified": await verify(self._world.session, url, token, challenge)})

    def _number(self, phone_number_id: str) -> Number:
        number = self._world.numbers.find(phone_number_id)
        if number is None:
            raise unknown_object(phone_number_id[:64], "post")
        return number


def json_object(request: Request) -> dict[str, Any]:
    """The body's members. Raises `GraphError` where it is no JSON object."""
    try:
        members = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        raise GraphError(100, "The body is not valid JSON in UTF-8.") from None
    if not isinstance(members, dict):
        raise GraphError(100, "The body must be a JSON object.")
    return members


def changed(before: M, members: dict[str, Any], changes: dict[str, Any]) -> M:
    """A value like `before`, whose members are `members`, with some changed. Raises as `valid`."""
    return valid(type(before), orjson.dumps({**members, **changes}))


def valid(model: type[M], raw: bytes) -> M:
    """Raises `GraphError` with a sentence per fault, none of which quotes a value."""
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise GraphError(100, "; ".join(faults)) from None


def _query(request: Request, *known: str) -> dict[str, str]:
    """The query's members. Raises `GraphError` for one that is not known here."""
    query = request.query
    for name in query:
        if name not in known:
            raise GraphError(100, f"{name[:64]}: there is no such parameter; there are {', '.join(known)}.")
    return query


def _whole(query: dict[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and least <= int(text) <= most):
        raise GraphError(100, f"{name}: must be a whole number from {least} to {most}.")
    return int(text)
