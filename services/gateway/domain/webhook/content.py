"""What a message says, in the shape in which it is kept: its type, the object of that name, and what it refers to.

Source: WhatsApp Cloud API, messages webhook reference, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.gateway.domain.webhook.parts import Kind
from services.gateway.domain.webhook.values import storable, word

_KINDS: Final = {kind.value: kind for kind in Kind}
_KEPT: Final = frozenset({*_KINDS, "context", "referral", "errors"})
_VOICE: Final = "voice"
"""What old shapes call audio that was recorded in the app."""


def content_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a message that is not `too_deep`.

    A message without a type is of the type of the object that it has. One of a type that nobody knows is `unsupported`, as the
    provider itself says of what it cannot show; its object is kept beside.
    """
    told = word(message.get("type"))
    content = {key: part for key, part in message.items() if key in _KEPT and part is not None}
    if told == _VOICE or (told is None and isinstance(message.get(_VOICE), dict)):
        told, sound = Kind.AUDIO.value, message.get(_VOICE)
        if isinstance(sound, dict):
            content.setdefault(told, {**sound, "voice": True})
    kind = _KINDS.get(told or next((key for key in content if key in _KINDS), ""), Kind.UNSUPPORTED)
    if kind is Kind.UNSUPPORTED and told is not None and told != kind:
        content.setdefault(kind.value, {"type": told})
        if message.get(told) is not None:
            content[told] = message[told]
    kept: dict[str, Any] = storable(content)
    kept["type"] = kind.value
    return kept
