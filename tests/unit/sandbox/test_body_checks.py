"""Whatever stands in a body, it is a message, a receipt or a Graph error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.interactive import KINDS
from services.sandbox.domain.payload import parse
from services.sandbox.domain.template_match import check_use
from services.sandbox.domain.template_rules import check_components
from services.sandbox.domain.updates import Line, MessageUpdate, payload, size_bound
from services.sandbox.domain.wire import written

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20)
keys = st.sampled_from(
    [
        "type",
        "text",
        "body",
        "action",
        "buttons",
        "reply",
        "sections",
        "rows",
        "cards",
        "parameters",
        "components",
        "name",
        "id",
    ]
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(keys, values, max_size=5)
TYPES = ["text", "image", "audio", "location", "contacts", "reaction", "interactive", "template", "pin", "document"]


def refusal(check: Callable[[], object]) -> GraphError | None:
    """What it raises, if it is a Graph error; nothing else may be raised."""
    try:
        check()
    except GraphError as error:
        return error
    return None


@given(st.sampled_from(TYPES), values, st.sampled_from([None, "individual", "group"]))
def test_any_object_of_any_type(type_: str, content: Any, recipient_type: str | None) -> None:
    body = {
        "messaging_product": "whatsapp",
        "to": "15551234567",
        "type": type_,
        type_: content,
        "recipient_type": recipient_type,
    }
    refused = refusal(lambda: parse(body))
    assert refused is None or (refused.code in (100, 131008, 131009, 131051) and refused.details)


@given(st.sampled_from(sorted(KINDS)), objects, objects)
def test_any_action_of_any_kind(kind: str, action: dict[str, Any], parameters: dict[str, Any]) -> None:
    interactive = {"type": kind, "body": {"text": "x"}, "action": {"parameters": parameters, **action}}
    body = {"messaging_product": "whatsapp", "to": "15551234567", "type": "interactive", "interactive": interactive}
    refused = refusal(lambda: parse(body))
    assert refused is None or (refused.code in (131008, 131009) and refused.details)


@given(st.lists(objects, max_size=3), values)
def test_any_components_of_templates(defined: list[dict[str, Any]], given_: Any) -> None:
    made = refusal(lambda: check_components(defined, refuses_edges=True))
    used = refusal(lambda: check_use(defined, given_, is_named=False))
    assert all(refused is None or refused.details for refused in (made, used))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_the_size_bound_of_other_messages_holds(text: str) -> None:
    line = Line("1" * 20, "2" * 20, "1" * 20)
    update = MessageUpdate(line, "1", written({"wa_id": text}), written({"type": "order", "order": {"text": text}}))
    body = payload([update])
    assert len(body) <= size_bound(update)
    assert body.isascii()
    assert orjson.loads(body)["entry"][0]["changes"][0]["value"]["messages"][0]["order"] == {"text": text}
