"""`python -m bench [--quick] [scenario …]`: measure, print a table per scenario, keep one JSON file."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop

from bench import (
    campaign,
    ceiling,
    chaos,
    comparison,
    imports,
    intake,
    isolation,
    obedience,
    parse,
    pipeline,
    reading,
    release,
    search,
    stalled,
    tracing,
    users,
)
from bench.report import surroundings, table, write
from bench.rig import ROOT, Rig, running_rig
from bench.scenario import Report, Scale, Scenario

SCENARIOS: Final[Sequence[Scenario]] = (
    pipeline.SCENARIO,
    ceiling.SCENARIO,
    comparison.SCENARIO,
    stalled.SCENARIO,
    isolation.SCENARIO,
    obedience.SCENARIO,
    release.SCENARIO,
    users.SCENARIO,
    intake.SCENARIO,
    campaign.SCENARIO,
    chaos.SCENARIO,
    reading.SCENARIO,
    imports.SCENARIO,
    search.SCENARIO,
    parse.SCENARIO,
    tracing.SCENARIO,
)
USUAL: Final = ("pipeline", "ceiling", "comparison", "stalled", "isolation", "obedience", "release", "users", "intake")
"""Without names: all but campaign and chaos, some fifteen minutes. `all` is every one of them."""


async def measure(scenarios: Sequence[Scenario], scale: Scale, facts: dict[str, Any]) -> None:
    """One after the other; tables are printed and `facts` completed as they come. One that breaks does not stop the next."""
    async with AsyncExitStack() as stack:
        shared: Rig | None = None
        for scenario in scenarios:
            sys.stderr.write(f"… {scenario.name}: {scenario.what} (about {scenario.seconds} s)\n")
            load, began = os.getloadavg()[0], time.monotonic()
            try:
                if scenario.apart:
                    async with running_rig(scenario.settings) as rig:
                        report = await scenario.run(rig, scale)
                else:
                    if shared is None:
                        shared = await stack.enter_async_context(running_rig({}))
                    report = await scenario.run(shared, scale)
            except Exception:  # noqa: BLE001  # whatever it is, it is this scenario's
                traceback.print_exc()
                report = Report(notes=["it broke; see above"])
                facts["broken"].append(scenario.name)
            around = {"load_before": round(load, 2), "seconds": round(time.monotonic() - began, 1)}
            facts["scenarios"][scenario.name] = {**around, **report.as_json()}
            sys.stdout.write(table(f"{scenario.name}: {scenario.what}", report) + "\n")
            sys.stdout.flush()


async def stoppable(scenarios: Sequence[Scenario], scale: Scale, facts: dict[str, Any]) -> None:
    """Ctrl-C and SIGTERM end it in order, with what was measured by then; pressed again they change nothing."""
    measuring = asyncio.current_task()
    assert measuring is not None
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop() -> None:
        if not measuring.cancelling():
            measuring.cancel()

    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await measure(scenarios, scale, facts)
    except asyncio.CancelledError:
        facts["broken"].append("stopped")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_listed()
    )
    parser.add_argument("names", nargs="*", metavar="scenario", help=f"usually: {' '.join(USUAL)}; or: all")
    parser.add_argument("--quick", action="store_true", help="does it work? figures mean nothing then")
    arguments = parser.parse_args()
    known = {scenario.name: scenario for scenario in SCENARIOS}
    names = arguments.names or USUAL
    chosen = list(known) if "all" in names else list(dict.fromkeys(names))
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    facts = {**surroundings(), "quick": arguments.quick, "scenarios": {}, "broken": []}
    uvloop.run(stoppable([known[name] for name in chosen], Scale(arguments.quick), facts))
    if facts["scenarios"]:
        sys.stdout.write(f"\nwritten to {write(facts).relative_to(ROOT)}\n")
    return 1 if facts["broken"] else 0


def _listed() -> str:
    return "\n".join(f"  {scenario.name:11} {scenario.seconds:4} s  {scenario.what}" for scenario in SCENARIOS)


if __name__ == "__main__":
    sys.exit(main())
