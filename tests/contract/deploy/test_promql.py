"""What an expression reads."""

from __future__ import annotations

import pytest

from deploy.checks.metrics import Known
from deploy.checks.monitoring import anchors
from deploy.checks.promql import Unreadable, read


@pytest.mark.parametrize(
    ("expression", "selectors", "grouped"),
    [
        ("up", [("up", ())], []),
        ('up{job="chasqui"} == 0', [("up", ("job",))], []),
        ("sum by (service) (rate(a_total[5m]))", [("a_total", ())], ["service"]),
        ("sum(rate(a_total[5m])) by (service, le)", [("a_total", ())], ["service", "le"]),
        ("a / on (queue) group_left (x) b", [("a", ()), ("b", ())], ["queue", "x"]),
        ("a / ignoring (queue) group_left b", [("a", ()), ("b", ())], ["queue"]),
        ("histogram_quantile(0.95, sum by (le) (rate(a_bucket[$__rate_interval])))", [("a_bucket", ())], ["le"]),
        ('a{x=~"b{c}", y!="d"} and b offset 5m or vector(0)', [("a", ("x", "y")), ("b", ())], []),
        ('a{service=~"$service"} > 1e3 # b', [("a", ("service",))], []),
        ('label_replace(a, "to", "$1", "from", "(.*)")', [("a", ())], []),
        ("max_over_time(a:b:c[1h:5m]) > bool 0.5", [("a:b:c", ())], []),
        ('{__name__="a"}', [("", ("__name__",))], []),
        ("time() - a_seconds > 15 * 60 unless on() b", [("a_seconds", ()), ("b", ())], []),
        ("topk(5, ${metric:raw})", [], []),
    ],
)
def test_selectors_and_groups(expression: str, selectors: list[tuple[str, tuple[str, ...]]], grouped: list[str]) -> None:
    reading = read(expression)
    assert [(one.name, one.labels) for one in reading.selectors] == selectors
    assert list(reading.grouped) == grouped


def test_what_breaks_off_cannot_be_read() -> None:
    with pytest.raises(Unreadable):
        read('a{job="chasqui"')


KNOWN = Known({"a_total": frozenset({"code"}), "anything": None})


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ('a_total{code="1", service="x"}', []),
        ("sum by (code, service) (a_total)", []),
        ("sum by (whatever) (anything)", []),
        ("b_total", ["no service exports b_total"]),
        ('{code="1"}', ["no service exports a metric without a name"]),
        ('a_total{tier="x"}', ["a_total has no label tier"]),
        ("sum by (tier) (a_total)", ["no metric in it has the label tier"]),
        ("a_total{", ["cannot be read: no } after the opening one"]),
    ],
)
def test_what_is_not_there(expression: str, told: list[str]) -> None:
    assert list(KNOWN.faults(expression)) == told


def test_anchors_of_headings() -> None:
    text = "# Alerts\n\n## ChasquiOutboxLags\n\n### What to do: `make`, then (wait)\n\nno # heading\n"
    assert anchors(text) == {"alerts", "chasquioutboxlags", "what-to-do-make-then-wait"}
