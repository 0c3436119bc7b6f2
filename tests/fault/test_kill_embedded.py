"""kill -9 of the one-process run: nothing lost, nothing sent twice."""

from __future__ import annotations

import pytest

from tests.fault.account import UNKNOWABLE, send_batch, until_books_balance
from tests.fault.conftest import Scene
from tests.support.platform import until

pytestmark = pytest.mark.timeout(480)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
async def test_killed_in_the_middle_of_a_thousand_sends(embedded: Scene, share: float) -> None:
    """`share`: the part of the messages that the sandbox has taken when the kill falls."""
    async with embedded.platform.api() as api:
        ids = await send_batch(api, embedded, 1000)

    async def taken() -> bool:
        summary = await embedded.sandbox.get("/control/ledger/summary")
        return bool(summary["accepted"] >= share * 1000)

    await until(taken, f"{share:.0%} of the messages to be taken")
    embedded.platform.kill()
    await embedded.platform.start()
    async with embedded.platform.api() as api:
        await until_books_balance(api, embedded, ids, unknowable=UNKNOWABLE)


async def test_killed_right_after_the_answer(embedded: Scene) -> None:
    """A 202 is a promise, whatever happens in the next instant."""
    async with embedded.platform.api() as api:
        ids = await send_batch(api, embedded, 1000)
    embedded.platform.kill()
    await embedded.platform.start()
    async with embedded.platform.api() as api:
        await until_books_balance(api, embedded, ids, unknowable=UNKNOWABLE)


async def test_killed_three_times_over_while_messages_keep_coming(embedded: Scene) -> None:
    ids: list[str] = []
    for round_number in range(3):
        async with embedded.platform.api() as api:
            ids += await send_batch(api, embedded, 300, start=round_number * 300)
            await until(lambda api=api, known=set(ids): _some_left(api, known), "some of them to leave")
        embedded.platform.kill()
        await embedded.platform.start()
    async with embedded.platform.api() as api:
        await until_books_balance(api, embedded, ids, unknowable=UNKNOWABLE)


async def _some_left(api: object, ids: set[str]) -> bool:
    messages = await api.all_messages()  # type: ignore[attr-defined]
    return any(message["id"] in ids and message["status"] in {"queued", "sent"} for message in messages)
