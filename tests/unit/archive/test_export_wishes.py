"""What is wrong with a wish for an export is said in a whole sentence."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.archive.payloads.exports import NewExport
from shared.errors import Rejected
from shared.http.requests import validate


@pytest.mark.parametrize(
    ("wish", "detail"),
    [
        ({"format": "csv"}, "The body must have exactly one of `conversation_id`, `search` and `everything`."),
        (
            {"format": "csv", "everything": True, "from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"},
            "The body has a `to` that is not after its `from`.",
        ),
        (
            {"format": "whatsapp", "search": {"q": "x"}},
            "The body has the format `whatsapp`, which is for a conversation or everything, not for a search.",
        ),
        ({"format": "csv", "everything": False}, "/everything must be true."),
    ],
)
def test_a_fault_is_a_sentence(wish: dict[str, Any], detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        validate(NewExport, orjson.dumps(wish))
    assert caught.value.detail == detail
