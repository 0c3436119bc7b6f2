"""Whatever comes: nothing raises, and of what was signed every part is told or counted."""

from __future__ import annotations

import copy
import json
from typing import Any, Final

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.gateway.domain.number_news import said_of, shown_number
from services.gateway.domain.payload import parsed
from services.gateway.domain.webhook import Reading, account_ids, phone_number_ids, read, storable
from services.gateway.webhooks.account_news import digest_of
from services.gateway.webhooks.reported import change_of
from tests.unit.gateway.webhook.corpus import UNDERSTOOD, message, said, status

HOSTILE: Final[st.SearchStrategy[Any]] = st.sampled_from(
    [
        None, True, 0, -1, 1.5, 2**63, 2**64, 10**40, "", "x", "\0", "\ud800", "\ud83d\ude00", "a" * 5_000, [], {}, [[]], [None],
        {"": None}, {"id": {"id": "x"}}, float("inf"), float("nan"), "1750263773", "16505551234", "messages", "statuses",
    ]
)  # fmt: skip
SHAPES: Final = st.sampled_from(sorted(UNDERSTOOD))


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values of a tree."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for key, part in inner for found in places(part, (*path, key)))]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The tree with another value there."""
    if not path:
        return value
    at = tree
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return tree


@st.composite
def broken(draw: st.DrawFn) -> Any:
    """A payload of the reference with some of its values replaced."""
    tree = copy.deepcopy(UNDERSTOOD[draw(SHAPES)])
    for _ in range(draw(st.integers(1, 4))):
        tree = put(tree, draw(st.sampled_from(places(tree))), copy.deepcopy(draw(HOSTILE)))
    return tree


def all_asked(reading: Reading) -> None:
    """Ask a reading for everything that the steps behind it ask for; what is written down must be writable."""
    for report in reading.reports:
        assert report.pricing is None or report.pricing.billable in (None, True, False)
        change = change_of(report)
        told = [change.detail, report.participant, report.recipient, report.callback_data, *map(list, report.faults)]
        assert report.conversation is None or report.conversation.id
        orjson.dumps([told, change.code, storable(report.raw), storable(report.contact)])
        assert hash(report.key)
    for heard in reading.inbound:
        orjson.dumps(
            [heard.content, heard.sender, heard.sender_name, heard.username, storable(heard.raw), storable(heard.contact)]
        )
        assert heard.kind
        assert heard.media is None or heard.media.id
    for echo in reading.echoes:
        orjson.dumps([echo.content, echo.to, storable(echo.raw)])
        assert echo.media is None or echo.media.id
    for edit in reading.edits:
        orjson.dumps([edit.wamid, edit.name, edit.content, storable(edit.raw)])
    for revoke in reading.revokes:
        orjson.dumps([revoke.wamid, revoke.name, storable(revoke.raw)])
    for identity in reading.identities:
        orjson.dumps([identity.before, identity.after, storable(identity.raw)])
        digest_of(identity.origin, identity.raw)
    for told_of in reading.changes:
        value = storable(told_of.value)
        assert digest_of(told_of.origin, told_of.value)
        assert list(said_of(told_of.field, value)) is not None
        shown_number(value)
    for entry in reading.book:
        orjson.dumps([entry.phone, entry.full_name])


@settings(max_examples=1_000)
@given(broken())
@example(
    {"entry": [{"changes": [{"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{}]}}]}]}
)
def test_a_broken_payload_is_read_as_far_as_it_goes(tree: Any) -> None:
    assert isinstance(phone_number_ids(tree), set)
    assert isinstance(account_ids(tree), set)
    reading = read(tree)
    assert reading.parts > 0, "nothing is lost in silence"
    all_asked(reading)


@settings(max_examples=300)
@given(st.lists(broken(), max_size=3), st.integers(0, 3))
def test_good_parts_are_told_beside_broken_ones(others: list[Any], at: int) -> None:
    good = said(message("text", "wamid.good"))["entry"] + said(status(), key="statuses")["entry"]
    entries = [
        entry for tree in others if isinstance(tree, dict) and isinstance(tree.get("entry"), list) for entry in tree["entry"]
    ]
    reading = read({"entry": [*entries[:at], *good, *entries[at:]]})
    assert "wamid.good" in {heard.wamid for heard in reading.inbound}
    assert any(report.message_id for report in reading.reports)
    assert reading.parts >= len(entries) + 2
    all_asked(reading)


@settings(max_examples=300)
@given(SHAPES, st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), min_size=1, max_size=6))
def test_bytes_of_any_kind_are_read_or_counted(name: str, cuts: list[tuple[int, bytes]]) -> None:
    body = json.dumps(UNDERSTOOD[name]).encode()
    for anywhere, other in cuts:
        at = anywhere % (len(body) + 1)
        body = body[:at] + other + body[at + len(other) :]
    reading = read(parsed(body))
    assert reading.parts > 0
    all_asked(reading)


def test_nesting_of_any_depth_costs_itself_only() -> None:
    for name, payload in UNDERSTOOD.items():
        for path in places(payload)[1:]:
            deep: Any = "x"
            for _ in range(300):
                deep = [deep]
            tree = {"entry": [*said(message())["entry"]]}
            changed = put(copy.deepcopy(payload), path, deep)
            tree["entry"] += changed["entry"] if isinstance(changed["entry"], list) else []
            reading = read(tree)
            assert len(reading.inbound) >= 1, name
            all_asked(reading)
