"""Which provider is meant by which name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from services.sender.provider.cloud_api import CloudApiRoute
from services.sender.provider.interface import Address, Route
from services.sender.provider.twilio import TwilioRoute
from shared.events.values import Provider

_ROUTES: Final[Mapping[Provider, Callable[[Address, str], Route]]] = {
    Provider.CLOUD_API: CloudApiRoute.of,
    Provider.TWILIO: TwilioRoute.of,
}


def open_route(address: Address, token: str) -> Route:
    """The route of a number. Build it once per record and token: it prepares what every message of the number shares."""
    return _ROUTES[address.provider](address, token)
