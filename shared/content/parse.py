"""A document from outside as a content, strictly or as the Cloud API itself takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pydantic import ValidationError

from shared.content.document import TYPES, Document, content_of, unfilled_places
from shared.content.part import AS_IT_STANDS
from shared.errors import FieldError
from shared.events.values import Content
from shared.http.faults import faults_of, is_suspect, unstorable

_PARTS: Final = frozenset({*TYPES, "context"})


def parse(document: Mapping[str, Any], *, tolerant: bool = False, with_variables: bool = False) -> Content | list[FieldError]:
    """The content that `document` (`{"type", <type>: {…}, "context"?}`) says, normalized, or what is wrong with it, by pointers
    into the document.

    Strict, it refuses members it does not know. `tolerant` is as the Cloud API is: what stands beside the content is left alone,
    nulls, unknown members and other types' parts fall away, `contacts` (or any part) may be JSON in a string, a missing `type` is
    that of the one part there is, numbers and texts stand for each other. `with_variables`: links and coordinates may be
    `{{name}}`, to be filled in later, and texts that hold one are not measured before.
    """
    given = _as_meant(document) if tolerant else dict(document)
    try:
        parsed = Document.model_validate(
            given,
            strict=not tolerant,
            extra="ignore" if tolerant else "forbid",
            context=None if with_variables else AS_IT_STANDS,
        )
    except ValidationError as error:
        return faults_of(error, given)
    content = content_of(parsed.type, parsed)
    if isinstance(content, list):
        return content
    return _storage_faults(content) or ([] if with_variables else unfilled_places(content)) or content


def _as_meant(document: Mapping[str, Any]) -> dict[str, Any]:
    """The members of a content among those of a message, as they would stand in a careful client's."""
    given = {name: _unpacked(value) for name, value in document.items() if name in _PARTS and value is not None}
    kind = document.get("type")
    if kind is None:
        named = [name for name in TYPES if name in given]
        kind = named[0] if len(named) == 1 else "text"
    meant: dict[str, Any] = {"type": kind}
    if isinstance(kind, str) and kind in given:
        meant[kind] = given[kind]
    context = given.get("context")
    if kind not in ("reaction", "pin") and isinstance(context, dict) and context.get("message_id"):
        meant["context"] = context
    return meant


def _unpacked(value: Any) -> Any:
    """What a form or a careless client has put into a string."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _storage_faults(content: Content) -> list[FieldError]:
    try:
        data = orjson.dumps(content)
    except TypeError:  # half a surrogate pair, or a number of more than 64 bits
        return [FieldError("", "field.bad_text", "holds something that cannot be stored")]
    return unstorable(data) if is_suspect(data) else []
