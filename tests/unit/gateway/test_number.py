"""Each provider asks for what it needs of a number, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.domain.number import Identity, change_faults, identity
from services.gateway.payloads.numbers import ChangeNumber, ConnectNumber
from shared.events.values import Provider

CLOUD: dict[str, Any] = {
    "phone_number_id": "1001",
    "waba_id": "1",
    "display_number": "+1 (555) 078-3881",
    "access_token": "EAA",
    "app_secret": "secret",
    "verify_token": "verify",
}
SID = "AC" + "0" * 32
TWILIO: dict[str, Any] = {
    "provider": "twilio",
    "account_id": SID,
    "display_number": "+1 (555) 078-3881",
    "access_token": "auth-token",
}


def named(body: dict[str, Any]) -> Identity | dict[str, str]:
    wish = ConnectNumber.model_validate(body)
    found = identity(wish.provider, wish)
    return found if isinstance(found, Identity) else {fault.pointer: fault.code for fault in found}


def test_a_cloud_api_number_is_named_by_meta() -> None:
    assert named(CLOUD) == Identity("1001", "1", "+1 (555) 078-3881")


def test_a_twilio_number_is_named_by_its_digits_unless_it_says_otherwise() -> None:
    assert named(TWILIO) == Identity("15550783881", SID, "+15550783881")
    assert named({**TWILIO, "phone_number_id": "77"}) == Identity("77", SID, "+15550783881")


@pytest.mark.parametrize("field", ["phone_number_id", "waba_id", "app_secret", "verify_token"])
def test_the_cloud_api_needs_each_of_its_fields(field: str) -> None:
    assert named({name: value for name, value in CLOUD.items() if name != field}) == {f"/{field}": "field.missing"}


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert named({**TWILIO, "account_id": None, "waba_id": "1", "app_secret": "x", "display_number": "Support"}) == {
        "/account_id": "field.missing",
        "/waba_id": "field.surplus",
        "/app_secret": "field.surplus",
        "/display_number": "phone.invalid",
    }
    assert named({**CLOUD, "account_id": SID}) == {"/account_id": "field.surplus"}
    assert named({**CLOUD, "display_number": "x"}) == {"/display_number": "phone.invalid"}


@pytest.mark.parametrize(
    ("provider", "body", "faults"),
    [
        (Provider.CLOUD_API, {"app_secret": "x", "verify_token": "y"}, {}),
        (Provider.TWILIO, {"app_secret": "x", "verify_token": "y"}, {"/app_secret", "/verify_token"}),
        (Provider.TWILIO, {"display_number": "Support"}, {"/display_number"}),
        (Provider.CLOUD_API, {"display_number": "Support"}, {"/display_number"}),
        (Provider.CLOUD_API, {"display_number": "1 555-078-3881"}, {}),
        (Provider.TWILIO, {"provider_url": "https://api.twilio.com"}, {"/access_token"}),
        (Provider.TWILIO, {"provider_url": "https://api.twilio.com", "access_token": "new"}, {}),
    ],
)
def test_a_change_is_held_to_the_same(provider: Provider, body: dict[str, Any], faults: set[str]) -> None:
    assert {fault.pointer for fault in change_faults(provider, ChangeNumber.model_validate(body))} == set(faults)
