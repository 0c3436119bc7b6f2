"""What messages say, whatever shape they have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.content import MAX_TYPE_CHARS, body_of, storable, type_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "body", "name", "\x00"]), inner)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "kind", "body"),
    [
        ({"type": "text", "text": {"body": "hello", "preview_url": True}}, "text", "hello"),
        ({"type": "image", "image": {"id": "1", "caption": "a cat", "mime_type": "image/png"}}, "image", "a cat"),
        ({"type": "image", "image": {"id": "1"}}, "image", ""),
        ({"type": "document", "document": {"link": "https://x", "filename": "bill.pdf"}}, "document", "bill.pdf"),
        ({"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": "\U0001f44d"}}, "reaction", "\U0001f44d"),
        ({"type": "location", "location": {"latitude": 0, "longitude": 0, "name": "Pier"}}, "location", "Pier"),
        ({"location": {"latitude": 0, "longitude": 0}, "context": {"id": "1"}}, "location", ""),
        (
            {"type": "interactive", "interactive": {"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}}},
            "interactive",
            "Yes",
        ),
        (
            {
                "type": "template",
                "template": {
                    "name": "order_update",
                    "language": {"code": "en"},
                    "components": [{"type": "body", "parameters": [{"type": "text", "text": "Ana"}]}],
                },
            },
            "template",
            "order_update\nAna",
        ),
        ({"type": "contacts", "contacts": [{"name": {"formatted_name": "Bo"}}]}, "contacts", "Bo"),
        (
            {"type": "poll", "poll": {"question": "Where?", "options": [{"name": "Rome", "votes": 3}, {"name": "Oslo"}]}},
            "poll",
            "Where?\nRome\nOslo",
        ),
        ({"type": "interactive"}, "interactive", ""),
        ({"type": 5}, "unknown", ""),
        ({}, "unknown", ""),
        ({"type": "text", "text": "bare"}, "text", ""),
        ({"type": "text", "text": {"body": "a\x00b"}}, "text", "ab"),
    ],
)
def test_type_and_body(content: dict[str, Any], kind: str, body: str) -> None:
    assert (type_of(content), body_of(content)) == (kind, body)


@given(st.dictionaries(st.sampled_from(["type", "text", "template", "context"]), JSON))
def test_no_shape_is_too_strange(content: dict[str, Any]) -> None:
    assert 0 < len(type_of(content)) <= MAX_TYPE_CHARS
    assert "\x00" not in body_of(content)
    assert "\\u0000" not in repr(storable(content)).replace("\\x00", "\\u0000")
