"""The books of a fault test: what was asked for, what the platform says, what the provider got."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, Final

from tests.fault.conftest import Scene
from tests.support.platform import Api, until

SETTLED: Final = frozenset({"sent", "delivered", "read"})
UNKNOWABLE: Final = 3
"""For a sender killed with -9: one message at a time, if any. Without the journal of departures all those that were claimed would
end so, hundreds of them."""


async def send_batch(api: Api, scene: Scene, count: int, start: int = 0) -> list[str]:
    """Accept `count` messages to as many recipients; returns their ids."""
    batch = [
        {"to": f"+1777{start + n:07d}", "from": scene.number_id, "text": {"body": f"message {start + n}"}} for n in range(count)
    ]
    status, body = await api.call("POST", "/api/messages/batch", batch)
    assert status == 202, body
    assert body["rejected"] == 0
    return [result["id"] for result in body["results"]]


async def until_all_are(api: Api, ids: list[str], statuses: Collection[str], seconds: float = 90.0) -> list[dict[str, Any]]:
    """Wait until each of these messages has one of these statuses; returns them as the platform lists them."""
    oldest = min(ids)

    async def reached() -> list[dict[str, Any]]:
        by_id = {message["id"]: message for message in await api.all_messages(oldest)}
        mine = [by_id[one] for one in ids]
        return mine if all(message["status"] in statuses for message in mine) else []

    try:
        found: list[dict[str, Any]] = await until(reached, f"all messages to be {sorted(statuses)}", seconds)
    except AssertionError as error:
        counts = Counter(message["status"] for message in await api.all_messages(oldest))
        raise AssertionError(f"{error}; the platform says {dict(counts)}") from None
    return found


async def received_by_provider(scene: Scene, ids: list[str]) -> Counter[str]:
    """How often the sandbox took each of these messages, whatever the attempt."""
    wanted = set(ids)
    received: Counter[str] = Counter()
    for record in await scene.sandbox.ledger():
        message_id = record["id"].rpartition(".")[0]
        if message_id in wanted:
            received[message_id] += record["count"]
    return received


async def until_books_balance(
    api: Api, scene: Scene, ids: list[str], seconds: float = 60.0, *, unknowable: int = 0
) -> list[dict[str, Any]]:
    """Wait until every message has arrived as far as the sandbox takes it; then compare with the sandbox's own ledger.

    Every message is at the sandbox exactly once; none was lost, none came twice, and what was unknown is settled. Of `unknowable`
    messages at most the kill may have cut the connection before the provider had the request: they stay `unknown`, in sight and not
    sent again, and must not be in the ledger.
    """
    try:
        mine = await until_all_are(api, ids, SETTLED, seconds)
    except AssertionError as error:
        mine = await _until_few_are_unknown(api, scene, ids, unknowable, str(error))
    unknown = {message["id"] for message in mine if message["status"] == "unknown"}
    received = await received_by_provider(scene, ids)
    assert not unknown & received.keys(), "the provider has them, so its reports must have settled them"
    lost = set(ids) - received.keys() - unknown
    twice = {message_id: count for message_id, count in received.items() if count > 1}
    assert not lost, f"{len(lost)} lost"
    assert not twice, f"{len(twice)} sent twice"
    return mine


async def _until_few_are_unknown(api: Api, scene: Scene, ids: list[str], unknowable: int, before: str) -> list[dict[str, Any]]:
    """Wait on until no more of them are unknown than may be, and none that the provider has: reports come late where a machine is
    slow."""
    mine: list[dict[str, Any]] = []

    async def few() -> bool:
        nonlocal mine
        mine = await until_all_are(api, ids, {*SETTLED, "unknown"})
        unknown = {message["id"] for message in mine if message["status"] == "unknown"}
        return len(unknown) <= unknowable and not unknown & (await received_by_provider(scene, ids)).keys()

    await until(few, before)
    return mine
