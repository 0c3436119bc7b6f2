"""What an alert is tried with."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.alerting import Fired, Series


@dataclass(frozen=True, slots=True)
class Case:
    """`fires` are series on which the alert fires `at` so long after their beginning, and is told as `told`; on `quiet`, which lie
    just beside its limits, it does not fire. Values are a `step` apart."""

    alert: str
    fires: Series
    quiet: Series
    told: Fired | tuple[Fired, ...]
    at: str = "15m"
    step: str = "1m"

    @property
    def expected(self) -> tuple[Fired, ...]:
        return self.told if isinstance(self.told, tuple) else (self.told,)


def durations(metric: str, labels: str, bounds: tuple[str, str], share: float) -> dict[str, str]:
    """Of a hundred observations a minute, over 40 minutes, `share` lie between the bounds, and all others below them."""
    below = round(100 * (1 - share))
    joined = f"{labels}, " if labels else ""
    return {
        f'{metric}_bucket{{{joined}le="{bounds[0]}"}}': f"0+{below}x40",
        f'{metric}_bucket{{{joined}le="{bounds[1]}"}}': "0+100x40",
        f'{metric}_bucket{{{joined}le="+Inf"}}': "0+100x40",
    }


def requests(failed: str, good: str) -> dict[str, str]:
    """At the gateway; how many were answered with 5xx and otherwise, in promtool's notation."""
    common = 'service="gateway", method="POST", route="/api/messages"'
    return {
        f'chasqui_http_requests_total{{{common}, status="503"}}': failed,
        f'chasqui_http_requests_total{{{common}, status="202"}}': good,
    }
