"""Who a message is from or to. Since April 2026 a phone number may be missing, and a user id stands in its place.

Source: WhatsApp Cloud API, business-scoped user ids, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from services.gateway.domain.webhook.values import dicts, name, phone, user_id, username

_NAMING: Final[Mapping[str, tuple[str, ...]]] = {
    "messages": ("from", "from_user_id"),
    "message_echoes": ("to", "to_user_id"),
    "statuses": (
        "recipient_id", "recipient_user_id",
        "recipient_participant_id", "participant_recipient_id", "recipient_participant_user_id",
    ),
    "user_preferences": ("wa_id", "user_id"),
    "user_id_update": ("wa_id",),
}  # fmt: skip
"""By what the parts of a change say whom they are about."""


class Person(NamedTuple):
    """Somebody as one message names them, with the entry of `contacts` that is theirs."""

    phone: str | None
    user_id: str | None
    parent_user_id: str | None
    name: str | None
    username: str | None
    contact: Mapping[str, Any] | None

    @property
    def address(self) -> str | None:
        """E.164 with the plus sign, else the business-scoped user id."""
        return self.phone or self.user_id


class _Found(NamedTuple):
    by_user_id: dict[str, dict[str, Any]]
    by_phone: dict[str, dict[str, Any]]
    only: dict[str, Any] | None
    """The entry, where there is one only."""


class People:
    """The `contacts` of a change. `messages[].from` and `contacts[].wa_id` may spell one number in two ways, so they are joined by
    the user id first, then by the number, then by being the only ones."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value
        self._found: _Found | None = None
        self._about_one: bool | None = None

    def _known(self) -> _Found:
        """Read when somebody first asks: of most reports nobody does."""
        if self._found is None:
            entries = list(dicts(self._value.get("contacts")))
            by_user_id: dict[str, dict[str, Any]] = {}
            by_phone: dict[str, dict[str, Any]] = {}
            for contact in entries:
                if isinstance(user := contact.get("user_id"), str):
                    by_user_id.setdefault(user, contact)
                if isinstance(number := contact.get("wa_id"), str | int):
                    by_phone.setdefault(str(number).removeprefix("+"), contact)
            self._found = _Found(by_user_id, by_phone, entries[0] if len(entries) == 1 else None)
        return self._found

    def _is_about_one(self) -> bool:
        """True where all parts of the change name the same one."""
        if self._about_one is None:
            named = {
                tuple(name if isinstance(name := item.get(member), str | int) else None for member in members)
                for key, members in _NAMING.items()
                for item in dicts(self._value.get(key))
            }
            self._about_one = len(named) <= 1 and "history" not in self._value
        return self._about_one

    def contact(self, number: str | None, user: str | None) -> Mapping[str, Any] | None:
        """The entry of whoever is known by these."""
        by_user_id, by_phone, only = self._known()
        found = None if user is None else by_user_id.get(user)
        if found is None and number is not None:
            found = by_phone.get(number[1:])
        if found is None and only is not None and self._is_about_one() and not self._is_another(only, user):
            found = only
        return found

    @staticmethod
    def _is_another(contact: Mapping[str, Any], user: str | None) -> bool:
        named = user_id(contact.get("user_id"))
        return user is not None and named is not None and named != user

    def person(self, number: Any, user: Any, parent: Any = None) -> Person:
        """Whoever a message names so; what it does not say their entry says."""
        known_phone, known_user = phone(number), user_id(user)
        contact = self.contact(known_phone, known_user)
        if contact is None:
            return Person(known_phone, known_user, user_id(parent), None, None, None)
        if known_phone is None and known_user is None:
            known_phone = phone(contact.get("wa_id"))
        profile = contact.get("profile")
        shown = profile if isinstance(profile, dict) else {}
        return Person(
            known_phone,
            known_user or user_id(contact.get("user_id")),
            user_id(parent) or user_id(contact.get("parent_user_id")),
            name(shown.get("name")),
            username(shown.get("username") or contact.get("username")),
            contact,
        )
