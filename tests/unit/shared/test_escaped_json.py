"""JSON as the provider writes it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.escaped_json import escaped_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_it_says_the_same_in_ascii_without_slash_or_at(value: object) -> None:
    written = escaped_json(value)
    assert json.loads(written) == value
    assert written.isascii()
    assert b"@" not in written
    assert b"/" not in written.replace(b"\\/", b"")


def test_it_is_written_as_the_provider_does() -> None:
    assert escaped_json({"a": "é/@😀", "b": [1]}) == b'{"a":"\\u00e9\\/\\u0040\\ud83d\\ude00","b":[1]}'
