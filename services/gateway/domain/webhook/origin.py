"""Where in a payload a part stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.gateway.domain.webhook.values import at as at_path
from services.gateway.domain.webhook.values import phone

MESSAGES: Final = "messages"
STATUSES: Final = "statuses"
ECHOES: Final = "message_echoes"
HISTORY: Final = "history"
LISTS: Final = ("user_preferences", "user_id_update", "state_sync")
"""Members whose items are each a piece of news of its own."""
PARTS: Final = frozenset({MESSAGES, STATUSES, ECHOES, HISTORY, *LISTS})
"""Members that hold the parts."""


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Origin:
    """The change of a payload in which a part stood."""

    account_id: str
    """The entry's id: the WhatsApp Business Account. Empty where there is none."""
    field: str
    value: Mapping[str, Any]
    phone_number_id: str | None
    """None for what is about the account."""
    at: datetime | None
    """The entry's time, which messages have none of."""

    @property
    def display_phone(self) -> str | None:
        """The business's number as the metadata show it."""
        shown = at_path(self.value, "metadata", "display_phone_number")
        return phone("".join(c for c in shown if c.isdigit())) if isinstance(shown, str) else None

    def with_only(self, key: str, item: Any, *contacts: Mapping[str, Any] | None) -> dict[str, Any]:
        """The value as it would be if it said nothing but this, of these people."""
        rest = {name: part for name, part in self.value.items() if name not in PARTS and name != "contacts"}
        known = [contact for contact in contacts if contact is not None]
        return {**rest, "contacts": known, key: [item]} if known else {**rest, key: [item]}
