"""How often something may happen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` departures on average, `burst` (1 or more) of them at once after a rest.

    A half-open window of `w` seconds holds fewer than `burst + per_second * w` moments, wherever it begins.
    """

    per_second: float
    burst: float = 1
    step_us: int = field(init=False, repr=False, compare=False)
    """Microseconds between departures at the even pace."""
    ahead_us: int = field(init=False, repr=False, compare=False)
    """How far departures may run ahead of the even pace: the first of a burst is on time."""

    def __post_init__(self) -> None:
        step = max(1, math.ceil(1_000_000 / self.per_second))
        object.__setattr__(self, "step_us", step)  # frozen, but counted once: these are read for every message
        object.__setattr__(self, "ahead_us", math.floor(step * (self.burst - 1)))

    @classmethod
    def within(cls, limit: int, seconds: float, burst: float = 1, *, late_seconds: float = 0.0) -> Rate:
        """The fastest rate that never puts more than `limit` departures into any half-open window of `seconds`, bursts included,
        though each departure may be up to `late_seconds` after the moment it was allowed.

        A larger burst costs average rate (`burst - 1` of `limit`) and buys patience: who comes late by `burst - 1` steps has
        lost nothing.
        """
        if not 1 <= burst <= limit:
            raise ValueError(f"A burst of {burst} does not fit a limit of {limit}.")
        return cls((limit - burst + 1) / (seconds + late_seconds), burst)
