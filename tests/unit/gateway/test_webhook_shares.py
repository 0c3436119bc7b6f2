"""A payload divided: every part of it goes to one owner, whole and in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.webhook_shares import names_only, shares

NOBODY = "nobody"
OF_NUMBER = {"1": "one", "2": "two"}
OF_ACCOUNT = {"a": "one", "b": "three"}

anything = st.one_of(st.none(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
number = st.one_of(st.sampled_from(["1", "2", "9"]), anything)
value = st.one_of(anything, st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"phone_number_id": number}) | anything}))
change = st.one_of(anything, st.fixed_dictionaries({"value": value, "serial": st.integers()}))
entry = st.one_of(
    anything, st.fixed_dictionaries({"id": st.sampled_from(["a", "b", "c"]) | anything, "changes": st.lists(change) | anything})
)


def pieces(payload: Any) -> list[Any]:
    """What a payload consists of."""
    found: list[Any] = []
    for one in payload["entry"]:
        if isinstance(one, dict) and isinstance(one.get("changes"), list):
            found += [(one["id"], inner) for inner in one["changes"]]
        else:
            found.append(one)
    return found


@given(st.lists(entry))
def test_nothing_is_left_out_or_told_twice_and_the_order_stays(entries: list[Any]) -> None:
    payload = {"object": "o", "entry": entries}
    parts = shares(payload, OF_NUMBER, OF_ACCOUNT, NOBODY)
    whole = pieces(payload)
    divided = [piece for part in parts.values() for piece in pieces(part)]
    assert sorted(map(repr, divided)) == sorted(map(repr, whole))
    for part in parts.values():
        assert part["object"] == "o"
        rest = iter(map(repr, whole))
        assert all(piece in rest for piece in map(repr, pieces(part)))


def test_a_change_goes_to_its_number_then_to_its_account_then_to_nobody() -> None:
    def news(phone_number_id: Any) -> dict[str, Any]:
        return {"field": "messages", "value": {"metadata": {"phone_number_id": phone_number_id}}}

    account = {"field": "account_update", "value": {"event": "x"}}
    payload = {
        "entry": [
            {"id": "a", "time": 5, "changes": [news("1"), news("2"), account]},
            {"id": "b", "changes": [news("9")]},
            {"id": "c", "changes": [account]},
            7,
        ]
    }
    assert not names_only(payload, OF_NUMBER)
    assert names_only({"entry": payload["entry"][:1]}, OF_NUMBER) is False, "the account itself"
    assert names_only({"entry": [{"id": "z", "changes": [news("1"), news(2)]}]}, OF_NUMBER)
    assert shares(payload, OF_NUMBER, OF_ACCOUNT, NOBODY) == {
        "one": {"entry": [{"id": "a", "time": 5, "changes": [news("1"), account]}]},
        "two": {"entry": [{"id": "a", "time": 5, "changes": [news("2")]}]},
        "three": {"entry": [{"id": "b", "changes": [news("9")]}]},
        NOBODY: {"entry": [{"id": "c", "changes": [account]}, 7]},
    }


def test_ids_may_be_numbers() -> None:
    change = {"value": {"metadata": {"phone_number_id": 1}}}
    account = {"field": "account_update", "value": {}}
    payload = {"entry": [{"id": 5, "changes": [change, account]}]}
    assert shares(payload, OF_NUMBER, {"5": "three"}, NOBODY) == {
        "one": {"entry": [{"id": 5, "changes": [change]}]},
        "three": {"entry": [{"id": 5, "changes": [account]}]},
    }
