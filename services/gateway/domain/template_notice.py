"""What the provider's webhooks say of templates.

Source: WhatsApp Cloud API, webhooks reference, fields message_template_status_update, message_template_quality_update and
template_category_update, read 2026-11. They are told apart by their members: a published example carries the wrong field name.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from services.gateway.domain.template import status_of

_LONGEST_NAME: Final = 512
_LONGEST_WORD: Final = 64
_LONGEST_ID: Final = 32
_LARGEST_ID: Final = 2**63


class Notice(NamedTuple):
    """What changed of one template; None is as it was. `at` is the provider's time, whole seconds."""

    account_id: str
    name: str
    language: str
    provider_id: str | None
    status: str | None
    category: str | None
    quality: str | None
    reason: str | None
    at: datetime | None


def is_notice(value: Mapping[str, Any]) -> bool:
    """True where a change is about a template's status, quality or category, so that `notice` reads it."""
    if _word(value, "message_template_name", _LONGEST_NAME) is None or _word(value, "message_template_language") is None:
        return False
    return any(_word(value, name) is not None for name in ("event", "new_quality_score", "new_category"))


def notice(account_id: str, value: Mapping[str, Any], at: datetime | None) -> Notice | None:
    """What a change tells of an account's template at that moment, where it `is_notice`; None where there is no account."""
    name, language = _word(value, "message_template_name", _LONGEST_NAME), _word(value, "message_template_language")
    if not account_id or name is None or language is None:
        return None
    event, reason = _word(value, "event"), _word(value, "reason")
    return Notice(
        account_id,
        name,
        language,
        _identifier(value.get("message_template_id")),
        None if event is None else status_of(event),
        _lower(_word(value, "new_category") or _word(value, "message_template_category")),
        _lower(_word(value, "new_quality_score")),
        None if reason in (None, "NONE") else reason,
        at,
    )


def _word(value: Mapping[str, Any], name: str, longest: int = _LONGEST_WORD) -> str | None:
    text = value.get(name)
    return text if isinstance(text, str) and 0 < len(text) <= longest and text.isprintable() else None


def _lower(text: str | None) -> str | None:
    return None if text is None else text.lower()


def _identifier(value: Any) -> str | None:
    """A template's id, which comes as a number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_ID:
        return str(value)
    return value if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID else None
