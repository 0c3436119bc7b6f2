"""Escaping and signature of webhooks."""

from __future__ import annotations

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.domain.wire import escape, sign

# Surrogates cannot be written as UTF-8, and so cannot reach a webhook.
texts = st.text(st.characters(exclude_categories=["Cs"]))


def test_metas_style() -> None:
    assert escape(orjson.dumps({"body": 'é/ü@😀"\n'}).decode()) == b'{"body":"\\u00e9\\/\\u00fc\\u0040\\ud83d\\ude00\\"\\n"}'


@given(st.dictionaries(texts, texts | st.integers() | st.lists(texts)))
def test_escaping_changes_no_value(value: dict[str, object]) -> None:
    body = escape(json.dumps(value, ensure_ascii=False))
    assert body.isascii()
    assert json.loads(body) == value


def test_the_signature_of_known_bytes() -> None:
    # RFC 4231, test case 2.
    expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert sign(b"Jefe", b"what do ya want for nothing?") == expected
