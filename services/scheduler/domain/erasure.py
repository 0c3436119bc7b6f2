"""Definitions and askings without a person who is erased. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.erasure.person import Person

_AUDIENCE: Final = ("group_id", "group_ids", "contact_ids", "segment_id", "filter", "recipients", "to")
_WORDS: Final = ("content", "variants", "variables")
_NOT_DIGITS: Final = re.compile(r"\D")


@dataclass(frozen=True, slots=True)
class Cut:
    """`document` is without the person; `is_nobodys`: there is nobody else in its audience."""

    document: dict[str, Any]
    is_nobodys: bool


def without(document: Mapping[str, Any], person: Person) -> Cut | None:
    """A campaign, schedule, asking or spec, whose audience stands in `audience` or in the document itself; None where the person is
    not in it. What was to be said to them alone goes too."""
    outer = dict(document)
    inner = outer.get("audience")
    audience = dict(inner) if isinstance(inner, dict) else outer
    if not _cut(audience, person):
        return None
    if audience is not outer:
        outer["audience"] = audience
    is_nobodys = not any(audience.get(name) for name in _AUDIENCE)
    if is_nobodys:
        for name in _WORDS:
            if name in outer:
                outer[name] = [] if name == "variants" else {}
    return Cut(outer, is_nobodys)


def _cut(audience: dict[str, Any], person: Person) -> bool:
    numbers, ids = frozenset(person.digits), frozenset(person.contact_ids)
    changed = False
    if _is_of(audience.get("to"), numbers, person.addresses):
        del audience["to"]
        changed = True
    named = audience.get("recipients") or []
    left = [one for one in named if not _is_of(one.get("to"), numbers, person.addresses)]
    if len(left) < len(named):
        audience["recipients"] = left
        changed = True
    contacts = audience.get("contact_ids") or []
    others = [contact_id for contact_id in contacts if contact_id not in ids]
    if len(others) < len(contacts):
        audience["contact_ids"] = others
        changed = True
    return changed


def _is_of(address: object, numbers: Collection[str], addresses: Collection[str]) -> bool:
    """As a tenant has written it, which may be with blanks and brackets."""
    if not isinstance(address, str):
        return False
    return address in addresses or _NOT_DIGITS.sub("", address).removeprefix("00") in numbers
