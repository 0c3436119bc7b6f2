"""What a scenario is: a name, a sentence, and a function from a running stack to a report."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.rig import Rig

T = TypeVar("T")

Row = dict[str, Any]
"""One line of a table; its keys are the columns."""


@dataclass(slots=True)
class Report:
    """`rows` become the table, one line each under its name; `notes` are said below it."""

    rows: dict[str, Row] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"rows": self.rows, "notes": self.notes}


@dataclass(frozen=True, slots=True)
class Scale:
    """`quick` proves that a scenario works; its figures mean nothing."""

    quick: bool

    def of(self, usual: T, quick: T) -> T:
        return quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Scenario:
    """`seconds` is about how long it takes. One that stands `apart` has a stack of its own, started with `settings`."""

    name: str
    what: str
    seconds: int
    run: Callable[[Rig, Scale], Awaitable[Report]]
    apart: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
