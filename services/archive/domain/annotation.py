"""What local models say of an entry."""

from __future__ import annotations

from typing import NamedTuple


class Entity(NamedTuple):
    """`kind` is link, email, phone, money, date, time, mention or tag. `text` as it was written; a phone number in E.164."""

    kind: str
    text: str


class Annotation(NamedTuple):
    """`language`: ISO 639, None where the text does not show it. `sentiment`: -1 to 1, None where the models do not know."""

    language: str | None
    sentiment: float | None
    entities: tuple[Entity, ...]
