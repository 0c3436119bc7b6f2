"""The callbacks' door: tenants are authenticated here, then the sender answers through us."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import BaseModel

from services.gateway.forward import Door
from services.sender.payloads.callbacks import (
    CallbackMade,
    CallbackPage,
    CallbackQuery,
    CallbackView,
    ChangeCallback,
    CreateCallback,
    DeliveryDetail,
    DeliveryPage,
    DeliveryQuery,
    DeliveryView,
    Replay,
    Replayed,
    RotateSecret,
    TestResult,
)
from shared.http.problem import Problem
from shared.http.routes import Route

TAG: Final = "Callbacks"
_ALL: Final = "/api/callbacks"
_ONE: Final = "/api/callbacks/{callback_id:cbk_[0-9a-v]{26}}"
_DELIVERY: Final = f"{_ONE}/deliveries/{{delivery_id:dlv_[0-9a-v]{{26}}}}"
_EXAMPLES: Final[dict[str, Any]] = {
    "in this API's shapes": {"url": "https://example.com/events", "events": ["message.received", "message.failed"]},
    "as the Cloud API's own webhooks": {
        "url": "https://example.com/webhook",
        "format": "meta",
        "secret": "the app secret that your server knows",
        "verify_token": "the token that it knows",
    },
}


def routes(door: Door) -> Sequence[Route]:
    return [
        _act(
            door,
            "POST",
            _ALL,
            "Be told at a URL of yours what happens",
            CallbackMade,
            CreateCallback,
            201,
            "What has no success (2xx) within 15 seconds is tried again after 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h. "
            "Redirects are not followed; 410 disables the callback. While everything fails for a server that is away or ill (three "
            "time-outs, broken connections or 5xx within 45 seconds, at least half of the posts), its circuit breaker stretches "
            "that schedule: one post a minute goes, of all that is due, and the rest waits (`rests_until`), losing no attempt. "
            "Once that one and five more have succeeded, all that is due goes at once. The secret is shown in this answer only.",
            examples=_EXAMPLES,
        ),
        _look(door, _ALL, "List callbacks, newest first", CallbackPage, CallbackQuery),
        _look(door, _ONE, "One callback", CallbackView),
        _act(door, "PATCH", _ONE, "Change a callback, turn it on or off", CallbackView, ChangeCallback),
        _act(door, "DELETE", _ONE, "Delete a callback with its log", None, status=204),
        replace(
            _act(door, "POST", f"{_ONE}/secret", "A new secret, beside the former one for a while", CallbackMade, RotateSecret),
            is_body_optional=True,
        ),
        _act(
            door,
            "POST",
            f"{_ONE}/test",
            "Post a made-up update now",
            TestResult,
            description="Once, and answered when the receiver has answered. In Meta's format it is an inbound text from a user "
            "who does not exist, to the phone number id `0`. A callback that rests does so no longer when a test succeeds.",
        ),
        _act(
            door,
            "POST",
            f"{_ONE}/replay",
            "Deliver again what was told in a time",
            Replayed,
            Replay,
            examples={"what failed": {"since": "2027-01-01T00:00:00Z", "until": "2027-01-02T00:00:00Z"}},
        ),
        _look(door, f"{_ONE}/deliveries", "What was told, and what became of it, newest first", DeliveryPage, DeliveryQuery),
        _look(door, _DELIVERY, "One delivery, with its attempts and its body", DeliveryDetail),
        _act(
            door,
            "POST",
            f"{_DELIVERY}/retry",
            "Deliver it again now",
            DeliveryView,
            description="Before all else that is due, and though its callback rests, which it does no longer when this succeeds.",
        ),
    ]


def _look(door: Door, path: str, summary: str, answer: type[BaseModel], query: type[BaseModel] | None = None) -> Route:
    responses: dict[int, type[BaseModel] | None] = {200: answer, 404 if path.startswith(_ONE) else 400: Problem}
    return Route("GET", path, door.forward, summary, TAG, query=query, responses=responses)


def _act(
    door: Door,
    method: str,
    path: str,
    summary: str,
    answer: type[BaseModel] | None,
    body: type[BaseModel] | None = None,
    status: int = 200,
    description: str = "",
    examples: dict[str, Any] | None = None,
) -> Route:
    return Route(
        method,
        path,
        door.forward,
        summary,
        TAG,
        request=body,
        responses={status: answer, 404: Problem, 409: Problem, 422: Problem},
        idempotent=method != "DELETE",
        description=description,
        request_examples=examples or {},
    )
