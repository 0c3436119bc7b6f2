"""JSON Schema for human eyes: one row per field, its type in words, an example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson

Schema = dict[str, Any]
Api = dict[str, Any]

_MAX_DEPTH: Final = 5
_FORMATS: Final = {"date-time": "RFC 3339 time", "uri": "URL", "uuid": "UUID", "binary": "bytes"}
_EXAMPLES: Final = {"string": "…", "integer": 1, "number": 1.0, "boolean": True, "null": None}


class Row(NamedTuple):
    """A field: `name` is its path (`text.body`, `items[].id`). Of several shapes that stand in one place each begins with a row of
    its own, whose `type` says what tells it from the others."""

    name: str
    type: str
    required: bool
    description: str
    is_alternative: bool = False


def rows_of(schema: Schema, api: Api, path: str = "", depth: int = 0) -> Iterator[Row]:
    """The fields of an object, those of nested objects after each; recursion ends at five levels."""
    schema = _resolved(schema, api)
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = f"{path}{name}"
        yield Row(here, type_of(field, api), name in required, _described(field, api))
        if depth < _MAX_DEPTH:
            yield from _nested(field, api, here, depth)
    if "properties" not in schema and depth < _MAX_DEPTH:
        yield from _nested(schema, api, path, depth)


def type_of(schema: Schema, api: Api) -> str:
    """The type in words, with its limits."""
    if "anyOf" in schema or "oneOf" in schema:
        kinds = (type_of(option, api) for option in schema.get("anyOf") or schema["oneOf"])
        words = " or ".join(kind for kind in dict.fromkeys(kinds) if kind != "null")
        return words + _limits(schema)
    schema = _resolved(schema, api)
    if "const" in schema:
        return f"“{schema['const']}”{_limits(schema)}"
    if "enum" in schema:
        return " | ".join(map(_shown, schema["enum"])) + _limits({k: v for k, v in schema.items() if k == "default"})
    if schema.get("type") == "array":
        return f"array of {type_of(schema.get('items', {}), api)}{_limits(schema)}"
    kind = str(schema.get("type", "any"))
    return _FORMATS.get(schema.get("format", ""), kind) + _limits(schema)


def example_of(schema: Schema, api: Api, depth: int = 0) -> Any:
    """A value of that shape: required fields, defaults and first choices. Only a shape: patterns are not obeyed."""
    schema = _resolved(schema, api)
    given = [schema[key] for key in ("const", "default") if key in schema] + schema.get("examples", []) + schema.get("enum", [])
    if given:
        return given[0]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return example_of(options[0], api, depth)
    if "properties" in schema and depth < _MAX_DEPTH:
        required = schema.get("required", ())
        return {name: example_of(field, api, depth + 1) for name, field in schema["properties"].items() if name in required}
    if schema.get("type") == "array":
        return [example_of(schema.get("items", {}), api, depth + 1)] if depth < _MAX_DEPTH else []
    return _EXAMPLES.get(schema.get("type", ""), {})


def _nested(schema: Schema, api: Api, path: str, depth: int) -> Iterator[Row]:
    options = [one for one in schema.get("anyOf") or schema.get("oneOf") or (schema,) if one.get("type") != "null"]
    for option in options:
        resolved = _resolved(option, api)
        rows: list[Row] = []
        if resolved.get("type") == "array":
            rows = list(rows_of(resolved.get("items", {}), api, f"{path}[].", depth + 1))
        elif depth == 0 and ("anyOf" in resolved or "oneOf" in resolved):  # deeper they would fill most of the page
            rows = list(_nested(resolved, api, path, depth))
        elif "properties" in resolved:
            rows = list(rows_of(resolved, api, f"{path}." if path and not path.endswith(".") else path, depth + 1))
        if rows and len(options) > 1:
            yield Row(path.rstrip("."), _told_apart(resolved, api), False, "", is_alternative=True)
        yield from rows


def _told_apart(option: Schema, api: Api) -> str:
    """What makes this one of several: the fields that have one value, or a few; else those that it needs."""
    fields = {name: _resolved(field, api) for name, field in option.get("properties", {}).items()}
    required = option.get("required", ())
    fixed = [
        f"`{name}` {type_of(field, api)}"
        for name, field in fields.items()
        if "const" in field or ("enum" in field and name in required and name.endswith("type"))
    ]
    if fixed:
        return f"with {', '.join(fixed)}"
    return f"with {', '.join(f'`{name}`' for name in required)}" if required else type_of(option, api)


def _resolved(schema: Schema, api: Api) -> Schema:
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    found: Schema = api["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _described(schema: Schema, api: Api) -> str:
    return str(schema.get("description") or _resolved(schema, api).get("description") or "")


def _limits(schema: Schema) -> str:
    words = []
    for low, high, unit in (
        ("minLength", "maxLength", "characters"),
        ("minItems", "maxItems", "items"),
        ("minimum", "maximum", ""),
    ):
        least, most = schema.get(low), schema.get(high)
        if least is not None and most is not None:
            words.append(f"{least}-{most} {unit}")
        elif most is not None:
            words.append(f"≤ {most} {unit}")
        elif least is not None:
            words.append(f"≥ {least} {unit}")
    if "exclusiveMinimum" in schema:
        words.append(f"> {schema['exclusiveMinimum']}")
    if schema.get("default") is not None and schema["default"] not in ([], {}):
        words.append(f"default {orjson.dumps(schema['default']).decode()}")
    return "".join(f", {word.strip()}" for word in words)
