"""A payload divided among those it speaks of: an app's secret may sign for several tenants, and a payload may hold news of all."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any, TypeVar

from services.gateway.domain.webhook.values import at, node

Owner = TypeVar("Owner")


def shares(
    payload: Mapping[str, Any], of_number: Mapping[str, Owner], of_account: Mapping[str, Owner], nobody: Owner
) -> dict[Owner, dict[str, Any]]:
    """For each owner a payload with their changes alone, in order, nothing left out and nothing told twice.

    A change belongs to the owner of the number that it names, else to that of its account, else, as whatever is no change at all,
    to `nobody`.
    """
    found: dict[Owner, dict[str, Any]] = {}
    head = {key: value for key, value in payload.items() if key != "entry"}

    def part(owner: Owner) -> list[Any]:
        entries: list[Any] = found.setdefault(owner, {**head, "entry": []})["entry"]
        return entries

    entries = payload.get("entry")
    for entry in entries if isinstance(entries, list) else [entries]:
        if not isinstance(entry, dict) or not isinstance(changes := entry.get("changes"), list):
            part(nobody).append(entry)
            continue
        fallback = of_account.get(node(entry.get("id")) or "", nobody)
        divided: dict[Owner, list[Any]] = {}
        for change in changes:
            divided.setdefault(_owner(change, of_number, fallback), []).append(change)
        for owner, own in divided.items():
            part(owner).append({**entry, "changes": own})
    return found


def names_only(payload: Any, numbers: Container[str]) -> bool:
    """True where every change is about one of these numbers, so that nothing in it is anybody else's."""
    entries = payload.get("entry") if isinstance(payload, dict) else None
    return not isinstance(entries, list) or all(_number(change) in numbers for entry in entries for change in _changes(entry))


def _changes(entry: Any) -> Iterator[Any]:
    changes = entry.get("changes") if isinstance(entry, dict) else None
    yield from changes if isinstance(changes, list) else [entry]


def _owner(change: Any, of_number: Mapping[str, Owner], fallback: Owner) -> Owner:
    return of_number.get(_number(change), fallback)


def _number(change: Any) -> str:
    """The number it names; empty where it names none."""
    return node(at(change, "value", "metadata", "phone_number_id")) or ""
