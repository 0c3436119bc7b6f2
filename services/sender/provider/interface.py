"""The seam: what the sender needs of a provider. The Cloud API and Twilio are behind it, and one conformance suite proves both.

A provider only writes requests and reads answers; `call.send` makes the call, the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from yarl import URL

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, PauseNumber, Rejected
from shared.events.values import Provider

GROUP: Final = "group:"
"""Before the id of a WhatsApp group, it is the group's address."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a number is: of its record what a provider needs to send from it."""

    provider: Provider
    provider_url: str
    phone_number_id: str
    account_id: str | None = None
    display_number: str | None = None
    callback_url: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One POST. The head holds the token and the body a message, so it has no `repr`."""

    url: URL
    head: bytes | None
    """`head_of` the URL and its fields, the same for all requests of a route."""
    body: bytes


def head_of(url: URL, fields: Mapping[str, str]) -> bytes | None:
    """The request line and the fields that all requests of a route share, Content-Type among them. Content-Length, what else one of
    them has, and the empty line follow. None where a field holds a line break or something else that HTTP cannot carry."""
    lines = [f"POST {url.raw_path_qs} HTTP/1.1", f"Host: {url.host_port_subcomponent}", "User-Agent: chasqui"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if not all(line.isprintable() for line in lines):
        return None
    return "".join(f"{line}\r\n" for line in lines).encode()


class Route(Protocol):
    """The way from one number to its provider, with everything prepared that all of its messages share. Holds the token."""

    def request(self, attempt: AttemptId, to: str, content: dict[str, Any]) -> Request | Rejected | PauseNumber:
        """The call that sends `content`, in the Cloud API's shape, to `to`: E.164 with the plus sign, a business-scoped user id or
        a group's address; or the outcome where there is nothing to call: the provider cannot express the content or the address, or
        the number's record lacks what its provider needs.

        Reports on the message bring `attempt` back.
        """
        ...

    def judge(self, status: int, body: bytes, retry_after: str | None) -> Outcome:
        """The outcome that an HTTP answer stands for. Never raises, whatever the body."""
        ...
