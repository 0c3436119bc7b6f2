"""A client of the Cloud API as the tests see it: told what to send, and listened to for what its callbacks brought."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.platform import until


@dataclass(frozen=True)
class Place:
    """Where the client is pointed to, and what it is told to be."""

    base_url: str
    token: str
    phone_number_id: str
    waba_id: str
    app_secret: str = "a-secret-of-the-callback"
    verify_token: str = "a-token-of-the-callback"


@dataclass
class Heard:
    """What the callbacks brought, as the client understood it: `{"kind": "message" | "status", …}`."""

    all: list[dict[str, Any]] = field(default_factory=list)

    def statuses(self, wamid: str) -> list[str]:
        return [one["status"] for one in self.all if one["kind"] == "status" and one["id"] == wamid]

    def messages(self, sender: str) -> list[dict[str, Any]]:
        return [one for one in self.all if one["kind"] == "message" and one["from"] == sender]

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
        return await until(condition, what, seconds)


class Client(Protocol):
    """One of them, running. `hook` is where it takes callbacks."""

    heard: Heard
    hook: str
    call: Callable[..., Awaitable[Any]]
    """`call("send", kind=…, to=…)` and so on; raises `Failed` where the client does."""


class Failed(Exception):
    """What the client raised; `code` is Meta's."""

    def __init__(self, message: str, code: Any = None) -> None:
        super().__init__(message)
        self.code = code
