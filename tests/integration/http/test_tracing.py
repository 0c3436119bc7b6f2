"""Which requests are recorded."""

from __future__ import annotations

import aiohttp
import pytest

from tests.integration.http.serving import KEY, serving

BEARER = {"Authorization": f"Bearer {KEY}"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


async def names_after(*paths: str, **headers: str) -> list[str]:
    """The spans that remain of these requests where no trace is recorded without a reason."""
    async with serving(sample_ratio=0) as served:
        async with aiohttp.ClientSession(headers={**BEARER, **headers}) as client:
            for path in paths:
                async with client.get(f"{served.url}{path}") as answer:
                    await answer.read()
        return [span.name for span in served.spans.get_finished_spans()]


async def test_a_request_is_recorded_when_its_header_asks_for_it() -> None:
    assert await names_after("/api/notes", **{"X-Chasqui-Trace": "record"}) == ["GET /api/notes"]


@pytest.mark.parametrize("value", ["", "no", "Record", "1"])
async def test_no_other_value_does(value: str) -> None:
    assert await names_after("/api/notes", **{"X-Chasqui-Trace": value}) == []


async def test_the_header_wins_over_a_caller_who_does_not_record() -> None:
    async with serving(sample_ratio=0) as served:
        headers = {**BEARER, "traceparent": UNSAMPLED, "X-Chasqui-Trace": "record"}
        async with aiohttp.ClientSession(headers=headers) as client, client.get(f"{served.url}/api/notes"):
            pass
        (span,) = served.spans.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert span.parent.is_remote


@pytest.mark.parametrize("traceparent", [UNSAMPLED, "", "rubbish"])
async def test_a_request_that_fails_is_recorded_although_nobody_asked(traceparent: str) -> None:
    async with serving(sample_ratio=0) as served:
        async with aiohttp.ClientSession(headers={**BEARER, "traceparent": traceparent}) as client:
            async with client.get(f"{served.url}/api/notes"), client.get(f"{served.url}/nowhere"):
                pass
            async with client.get(f"{served.url}/crash") as answer:
                problem = await answer.json()
        (span,) = served.spans.get_finished_spans()
    assert (span.name, span.status.is_ok) == ("GET /crash", False)
    assert f"{span.context.trace_id:032x}" == problem["trace_id"], "the one that the caller is told"
    assert (span.attributes or {})["error.type"] == problem["code"]
