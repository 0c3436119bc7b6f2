"""What of a payload was not understood, in words that quote nothing of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from services.gateway.domain.webhook.values import identifier, moment, too_deep

MOST_NAMED: Final = 5


@dataclass(slots=True)
class Missed:
    """Counts parts that were not understood, and names the first few. `change` and `part` are where the reader is."""

    count: int = 0
    change: tuple[int, int] = (0, 0)
    """The places of the entry and of its change."""
    part: tuple[str, int | None] | None = None
    """The list in it, and the place there; one of our own words, as all that is named."""
    named: list[str] = field(default_factory=list)

    def add(self, why: str, count: int = 1) -> None:
        """So many are not understood, for one reason."""
        self.count += count
        if len(self.named) < MOST_NAMED:
            place = self._place()
            self.named.append(f"{place}: {why}" if place else why)

    def add_elsewhere(self, why: str, count: int) -> None:
        """The same of parts wherever they stand."""
        self.change, self.part = (0, 0), None
        self.add(why, count)

    @property
    def reason(self) -> str:
        """A sentence for whoever looks at the payload."""
        more = "; and more" if self.count > len(self.named) == MOST_NAMED else ""
        return f"{self.count} part{'' if self.count == 1 else 's'} not understood: {'; '.join(self.named)}{more}"

    def _place(self) -> str:
        entry, change = self.change
        within = "" if self.change == (0, 0) else f"entry[{entry}].changes[{change}]"
        if self.part is None:
            return within
        key, index = self.part
        part = key if index is None else f"{key}[{index}]"
        return f"{within}.{part}" if within else part


def fault_of(item: Any) -> str | None:
    """Why an item can be no part of a payload."""
    if not isinstance(item, dict):
        return "not an object"
    return "nested too deep" if too_deep(item) else None


def fault_of_head(item: Any, otherwise: str) -> str:
    """Why an item that should have an id and a time could not be read; `otherwise` where it has both."""
    fault = fault_of(item)
    if fault is not None:
        return fault
    if identifier(item.get("id")) is None:
        return "no id"
    return "no timestamp" if moment(item.get("timestamp")) is None else otherwise
