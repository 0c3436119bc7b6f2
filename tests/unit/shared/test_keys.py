"""API keys: what we make parses, what is mistyped does not."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.keys import matches, new_admin_key, new_key, parse_admin_key, parse_key


@pytest.mark.parametrize("live", [True, False])
def test_a_new_key_parses_and_knows_its_kind(live: bool) -> None:
    text = new_key(live=live)
    key = parse_key(text)
    assert key is not None
    assert key.live is live
    assert text.split("_")[2] == key.key_id
    assert key.digest == hashlib.sha256(text.encode()).digest()
    assert matches(key, key.digest)
    assert not matches(key, bytes(32))


def test_one_changed_character_anywhere_never_parses() -> None:
    text = new_key(live=True)
    for at, before in enumerate(text):
        for after in set(string.printable + "é٣") - {before}:
            assert parse_key(text[:at] + after + text[at + 1 :]) is None, (at, after)


@given(st.data())
def test_two_neighbours_swapped_never_parse(data: st.DataObject) -> None:
    text = new_key(live=False)
    at = data.draw(st.integers(0, len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert swapped == text or parse_key(swapped) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    assert parse_key(text) is None
    assert parse_key(new_key(live=False) + text) is None or not text


def test_a_key_does_not_show_itself() -> None:
    text = new_key(live=True)
    key = parse_key(text)
    assert key is not None
    assert key.digest.hex() not in repr(key)
    assert repr(key.digest) not in repr(key)


def test_keys_are_all_different() -> None:
    assert len({new_key(live=False) for _ in range(500)}) == 500


def test_an_operators_key_is_no_tenants_and_the_other_way_round() -> None:
    admin, tenants = new_admin_key(), new_key(live=True)
    key = parse_admin_key(admin)
    assert key is not None
    assert (key.key_id, matches(key, hashlib.sha256(admin.encode()).digest())) == (admin.split("_")[2], True)
    assert parse_key(admin) is None
    assert parse_admin_key(tenants) is None
    renamed = tenants.replace("chq_live_", "chq_admin_")
    assert parse_admin_key(renamed) is None, "the checksum covers the kind"
    assert key.digest.hex() not in repr(key)
