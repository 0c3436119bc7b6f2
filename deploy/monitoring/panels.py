"""What Grafana shows, as data: a panel is a question with a unit, a dashboard is rows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

SCHEMA: Final = 39
"""Of Grafana 10 and 11, whose later versions read it and bring it up to date themselves."""
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_WIDTH: Final = 24
"""Of the grid."""
_HEIGHT: Final = 8
_STEPS: Final = ("green", "orange", "red")

Unit = Literal["short", "s", "bytes", "Bps", "reqps", "percentunit", "percent"]


@dataclass(frozen=True, slots=True)
class Query:
    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`limits` are values from which it is orange, and red: those at which an alert fires, where there is one."""

    title: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    meaning: str = ""
    kind: Literal["timeseries", "stat", "bargauge"] = "timeseries"
    limits: tuple[float, ...] = ()
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, of the same width; more than four go on below."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`uid` is its place in Grafana's addresses and the name of its file: never changed."""

    uid: str
    title: str
    rows: tuple[Row, ...]


def panel(title: str, expr: str, legend: str = "", **rest: Any) -> Panel:
    """Of a single query."""
    return Panel(title, (Query(expr, legend),), **rest)


def quantiles(metric: str, by: str, selector: str = "") -> tuple[Query, ...]:
    """Of a histogram over five minutes the median, and what one in 20 and one in 100 exceed; `by` is a label, or empty."""
    labels, legend = (f"{by}, le", f"{{{{{by}}}}} ") if by else ("le", "")
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{selector}[5m])))",
            f"{legend}p{share * 100:.0f}",
        )
        for share in (0.5, 0.95, 0.99)
    )


def slowest(metric: str, by: str, selector: str = "") -> tuple[Query, ...]:
    """What one in 20 exceeds."""
    return (quantiles(metric, by, selector)[1],)


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    """As Grafana's provisioning reads it from a file."""
    return {
        "uid": f"chasqui-{dashboard.uid}",
        "title": f"Chasqui: {dashboard.title}",
        "tags": ["chasqui"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "tags": ["chasqui"], "title": "Chasqui", "asDropdown": True, "keepTime": True}],
        "templating": {"list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": _laid_out(dashboard.rows),
    }


def _laid_out(rows: Sequence[Row]) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": []}
            | {"gridPos": {"x": 0, "y": top, "w": _WIDTH, "h": 1}}
        )
        top += 1
        across = min(len(row.panels), 4)
        width = _WIDTH // across
        for index, one in enumerate(row.panels):
            down, right = divmod(index, across)
            place = {"x": right * width, "y": top + down * _HEIGHT, "w": width, "h": _HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place} | _panel(one))
        top += -(-len(row.panels) // across) * _HEIGHT
    return panels


def _panel(one: Panel) -> dict[str, Any]:
    steps: list[dict[str, str | float | None]] = [{"color": "green", "value": None}]
    steps += [{"color": color, "value": limit} for color, limit in zip(_STEPS[-len(one.limits) :], one.limits, strict=False)]
    defaults: dict[str, Any] = {"unit": one.unit, "min": 0}
    if one.limits:
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    options: dict[str, Any]
    if one.kind == "timeseries":
        shown = {"mode": "line"} if one.limits else {"mode": "off"}
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 20 if one.stacked else 0,
            "stacking": {"mode": "normal" if one.stacked else "none"},
            "thresholdsStyle": shown,
        }
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    else:
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "values": False}}
    return {
        "type": one.kind,
        "title": one.title,
        "description": one.meaning,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for index, query in enumerate(one.queries)
        ],
    }
