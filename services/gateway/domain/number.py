"""What each provider needs to know of a business number.

Sources: WhatsApp Cloud API, phone numbers and webhooks references; Twilio, Programmable Messaging API and its request validation
(the account's SID names the caller, its auth token opens the API and signs the callbacks), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.gateway.domain.admission import normalized_phone
from shared.errors import FieldError
from shared.events.values import Provider

USUAL_PLACE: Final = {Provider.CLOUD_API: "https://graph.facebook.com", Provider.TWILIO: "https://api.twilio.com"}

PLAIN_FIELDS: Final = frozenset(
    {
        "display_number",
        "messages_per_second",
        "profile",
        "calls_per_hour",
        "portfolio_id",
        "unique_users_per_day",
        "window_policy",
    }
)
"""Fields of a change that are kept as they come."""
NEVER_NULL: Final = frozenset({"display_number", "messages_per_second", "profile", "window_policy"})
"""Those of them for which null means: as it is."""

_NEEDED: Final = {
    Provider.CLOUD_API: ("phone_number_id", "waba_id", "app_secret", "verify_token"),
    Provider.TWILIO: ("account_id",),
}
_SURPLUS: Final = {
    Provider.CLOUD_API: ("account_id",),
    Provider.TWILIO: ("waba_id", "app_secret", "verify_token", "previous_secret_for"),
}
_NAMES: Final = {Provider.CLOUD_API: "the Cloud API", Provider.TWILIO: "Twilio"}


class Wish(Protocol):
    """The fields of a number to be connected that name it."""

    @property
    def phone_number_id(self) -> str | None: ...
    @property
    def waba_id(self) -> str | None: ...
    @property
    def account_id(self) -> str | None: ...
    @property
    def display_number(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """How the provider names a number and its account."""

    phone_number_id: str
    account_id: str
    display_number: str


def identity(provider: Provider, wish: Wish) -> Identity | list[FieldError]:
    """How the provider names the number, or all that is missing or too much for it."""
    faults = [
        FieldError(f"/{name}", "field.missing", f"is needed with {_NAMES[provider]}")
        for name in _NEEDED[provider]
        if getattr(wish, name) is None
    ]
    faults += surplus(provider, wish)
    shown, phone_number_id = wish.display_number, wish.phone_number_id
    faults += _display_faults(provider, shown)
    if provider is Provider.TWILIO and (phone := normalized_phone(shown)) is not None:
        shown, phone_number_id = phone, phone_number_id or phone.removeprefix("+")
    account_id = wish.account_id if provider is Provider.TWILIO else wish.waba_id
    if faults or phone_number_id is None or account_id is None:
        return faults
    return Identity(phone_number_id, account_id, shown)


def surplus(provider: Provider, body: Any) -> Iterator[FieldError]:
    """Fields that mean nothing to the provider."""
    for name in _SURPLUS[provider]:
        if getattr(body, name, None) is not None:
            yield FieldError(f"/{name}", "field.surplus", f"means nothing to {_NAMES[provider]}")


def change_faults(provider: Provider, body: Any) -> list[FieldError]:
    """What is wrong with a change of a number of that provider."""
    faults = list(surplus(provider, body))
    if body.provider_url is not None and body.access_token is None:
        faults.append(
            FieldError("/access_token", "field.missing", "must come with provider_url: a stored token is sent to no new place")
        )
    if body.display_number is not None:
        faults += _display_faults(provider, body.display_number)
    return faults


def _display_faults(provider: Provider, shown: str) -> Iterator[FieldError]:
    """Meta shows numbers without the plus sign too; Twilio's `From` has it."""
    if provider is Provider.TWILIO:
        if normalized_phone(shown) is None:
            detail = "must be the number with + and country code: Twilio's `From`"
            yield FieldError("/display_number", "phone.invalid", detail)
    elif normalized_phone(f"+{shown.strip().removeprefix('+')}") is None:
        yield FieldError(
            "/display_number", "phone.invalid", "must be the phone number with its country code, as in +15550783881"
        )
