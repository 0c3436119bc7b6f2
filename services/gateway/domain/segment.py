"""The filter language of segments: what must be true of a contact, as JSON, and as a tree of what was understood.

    {"all": [{"field": "attribute.city", "operator": "is", "value": "Berlin"},
             {"not": {"field": "in_group", "operator": "in", "value": ["grp_…"]}}]}

`all`, `any` and `not` hold further filters. A test is true or false, never unknown: of what a contact does not have, everything but
`is_not` is false. Text is compared exactly, by code points; a number is never equal to a text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.gateway.domain.contact import parse_language
from shared.errors import FieldError
from shared.events.values import Consent

MAX_DEPTH: Final = 8
MAX_TESTS: Final = 100
MAX_VALUES: Final = 1_000
"""Of one `in`."""
MAX_TEXT: Final = 1_000
MAX_NAME: Final = 100
_LARGEST_INTEGER: Final = 2**53

ATTRIBUTE: Final = "attribute"
IN_GROUP: Final = "in_group"
_ATTRIBUTE_PREFIX: Final = f"{ATTRIBUTE}."
_SHAPE: Final = "must be an object with one of all, any and not, or with field and operator"


class Operator(StrEnum):
    IS = "is"
    IS_NOT = "is_not"
    IN = "in"
    STARTS_WITH = "starts_with"
    GREATER_THAN = "greater_than"
    LESS_THAN = "less_than"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison. `name` is the attribute's, where `field` is `attribute`. `value` has the type that the field is compared as:
    times are aware datetimes; of `in` it is a tuple; of `exists` a bool."""

    field: str
    operator: Operator
    value: Any
    name: str = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Node = Comparison | AllOf | AnyOf | Not


class _Faulty(Exception):
    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(code)
        self.fault = FieldError(pointer, code, detail)


def parse(filter_: object, pointer: str = "") -> Node | FieldError:
    """The tree of a filter, or its first fault; `pointer` is where the filter stands in the caller's document."""
    try:
        _check_size(filter_, pointer)
        return _node(filter_, pointer)
    except _Faulty as faulty:
        return faulty.fault


def _check_size(filter_: object, pointer: str) -> None:
    tests = 0
    waiting: list[tuple[object, str, int]] = [(filter_, pointer, 1)]
    while waiting:
        node, where, depth = waiting.pop()
        tests += not any(True for _ in _inner(node, where))
        if depth > MAX_DEPTH:
            raise _Faulty(where, "filter.too_deep", f"is nested deeper than {MAX_DEPTH} levels")
        if tests > MAX_TESTS:
            raise _Faulty(pointer, "filter.too_large", f"has more than {MAX_TESTS} tests")
        waiting.extend((inner, place, depth + 1) for inner, place in _inner(node, where))


def _inner(node: object, pointer: str) -> Iterator[tuple[object, str]]:
    if not isinstance(node, dict):
        return
    for name in ("all", "any"):
        parts = node.get(name)
        if isinstance(parts, list):
            yield from ((part, f"{pointer}/{name}/{index}") for index, part in enumerate(parts))
    if "not" in node:
        yield node["not"], f"{pointer}/not"


def _node(node: object, pointer: str) -> Node:
    if not isinstance(node, dict):
        raise _Faulty(pointer, "field.type", _SHAPE)
    if "field" in node:
        return _test(node, pointer)
    if len(node) != 1:
        raise _Faulty(pointer, "filter.shape", _SHAPE)
    match node:
        case {"all": parts}:
            return AllOf(_parts(parts, f"{pointer}/all"))
        case {"any": parts}:
            return AnyOf(_parts(parts, f"{pointer}/any"))
        case {"not": part}:
            return Not(_node(part, f"{pointer}/not"))
    raise _Faulty(pointer, "filter.shape", _SHAPE)


def _parts(parts: object, pointer: str) -> tuple[Node, ...]:
    if not isinstance(parts, list):
        raise _Faulty(pointer, "field.type", "must be an array")
    if not parts:
        raise _Faulty(pointer, "field.too_short", "must have at least 1 item")
    return tuple(_node(part, f"{pointer}/{index}") for index, part in enumerate(parts))


def _test(node: Mapping[str, object], pointer: str) -> Comparison:
    for name in node:
        if name not in {"field", "operator", "value"}:
            raise _Faulty(pointer, "field.unknown", "a test has field, operator and value, and nothing else")
    field, name = _field(node["field"], f"{pointer}/field")
    kind = _KINDS[field]
    if "operator" not in node:
        raise _Faulty(f"{pointer}/operator", "field.missing", "is required")
    operator = node["operator"]
    if not isinstance(operator, str) or operator not in kind.operators:
        raise _Faulty(f"{pointer}/operator", "field.choice", f"must be {_choice(kind.operators)} for this field")
    where = f"{pointer}/value"
    if operator == Operator.EXISTS:
        value = node.get("value", True)
        if not isinstance(value, bool):
            raise _Faulty(where, "field.type", "must be true or false")
        return Comparison(field, Operator.EXISTS, value, name)
    if "value" not in node:
        raise _Faulty(where, "field.missing", "is required")
    return Comparison(field, Operator(operator), _value(node["value"], Operator(operator), kind.read, where), name)


def _value(value: object, operator: Operator, read: Callable[[object, str], object], pointer: str) -> object:
    if operator is Operator.IN:
        if not isinstance(value, list):
            raise _Faulty(pointer, "field.type", "must be an array")
        if not 1 <= len(value) <= MAX_VALUES:
            raise _Faulty(pointer, "field.too_long", f"must have 1 to {MAX_VALUES} items")
        return tuple(read(item, f"{pointer}/{index}") for index, item in enumerate(value))
    if operator is Operator.STARTS_WITH:
        return _text(value, pointer)
    read_value = read(value, pointer)
    if operator in {Operator.GREATER_THAN, Operator.LESS_THAN} and isinstance(read_value, bool):
        raise _Faulty(pointer, "field.type", "must be a number or a string")
    return read_value


def _field(value: object, pointer: str) -> tuple[str, str]:
    if isinstance(value, str):
        if value.startswith(_ATTRIBUTE_PREFIX):
            name = value.removeprefix(_ATTRIBUTE_PREFIX)
            if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
                raise _Faulty(pointer, "field.format", f"an attribute's name has 1 to {MAX_NAME} printable characters")
            return ATTRIBUTE, name
        if value in _KINDS and value != ATTRIBUTE:
            return value, ""
    fields = [f"{ATTRIBUTE}.<name>", *(field for field in _KINDS if field != ATTRIBUTE)]
    raise _Faulty(pointer, "field.choice", f"must be {_choice(fields)}")


def _choice(names: list[str] | tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _scalar(value: object, pointer: str) -> object:
    match value:
        case str():
            return _text(value, pointer)
        case bool():
            return value
        case int() if abs(value) <= _LARGEST_INTEGER:
            return value
        case float() if math.isfinite(value):
            return value
        case int() | float():
            raise _Faulty(pointer, "number.out_of_range", "must be a finite number; whole ones lie within ±2^53")
    raise _Faulty(pointer, "field.type", "must be a string, a number, true or false")


def _text(value: object, pointer: str) -> str:
    if not isinstance(value, str):
        raise _Faulty(pointer, "field.type", "must be a string")
    if len(value) > MAX_TEXT:
        raise _Faulty(pointer, "field.too_long", f"must have at most {MAX_TEXT} characters")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise _Faulty(pointer, "field.bad_text", "holds U+0000 or half a surrogate pair")
    return value


def _language(value: object, pointer: str) -> str:
    language = parse_language(_text(value, pointer))
    if language is None:
        raise _Faulty(pointer, "field.format", "must be a language, as in pt-BR")
    return language


def _consent(value: object, pointer: str) -> str:
    if value not in tuple(Consent):
        raise _Faulty(pointer, "field.choice", f"must be {_choice([consent.value for consent in Consent])}")
    return _text(value, pointer)


def _moment(value: object, pointer: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value, pointer))
    except ValueError:
        moment = datetime.min  # noqa: DTZ901  # refused below, as every time without an offset
    if moment.tzinfo is None or not 1970 < moment.year < 9000:
        raise _Faulty(pointer, "field.format", "must be an RFC 3339 time with an offset, as in 2026-12-01T10:00:00+01:00")
    return moment


@dataclass(frozen=True, slots=True)
class _Kind:
    operators: tuple[str, ...]
    read: Callable[[object, str], object]


_EQUAL: Final = (Operator.IS.value, Operator.IS_NOT.value, Operator.IN.value)
_AGAINST: Final = (Operator.GREATER_THAN.value, Operator.LESS_THAN.value)
_TEXT: Final = _Kind((*_EQUAL, Operator.STARTS_WITH.value, Operator.EXISTS.value), _text)
_TIME: Final = _Kind(_AGAINST, _moment)
_KINDS: Final[Mapping[str, _Kind]] = {
    ATTRIBUTE: _Kind(tuple(Operator), _scalar),
    "name": _TEXT,
    "language": _Kind(_TEXT.operators, _language),
    "time_zone": _TEXT,
    "consent": _Kind(_EQUAL, _consent),
    "created_at": _TIME,
    "updated_at": _TIME,
    IN_GROUP: _Kind(_EQUAL, _text),
}
