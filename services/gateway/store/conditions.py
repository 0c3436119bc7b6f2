"""A filter as a condition on `contacts`. What a filter holds goes into the arguments, never into the text, which is put together
from the pieces below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from services.gateway.domain.segment import ATTRIBUTE, IN_GROUP, AllOf, AnyOf, Comparison, Node, Not, Operator

_MARK: Final = "true /* condition */"
_COLUMNS: Final[Mapping[str, str]] = {
    "name": "contacts.name",
    "language": "contacts.language",
    "time_zone": "contacts.time_zone",
    "consent": "contacts.consent",
    "created_at": "contacts.created_at",
    "updated_at": "contacts.updated_at",
}
_SIGNS: Final = {Operator.GREATER_THAN: ">", Operator.LESS_THAN: "<"}


def with_condition(query: str, node: Node, *arguments: object) -> tuple[str, list[object]]:
    """The query with the filter in the place of `true /* condition */`, and its arguments followed by the filter's."""
    given = list(arguments)
    return query.replace(_MARK, _condition(node, given)), given


def _condition(node: Node, given: list[object]) -> str:
    match node:
        case AllOf(parts):
            return f"({' AND '.join(_condition(part, given) for part in parts)})"
        case AnyOf(parts):
            return f"({' OR '.join(_condition(part, given) for part in parts)})"
        case Not(part):
            return f"(NOT {_condition(part, given)})"
        case Comparison(operator=Operator.IS_NOT):
            return f"(NOT {_condition(Comparison(node.field, Operator.IS, node.value, node.name), given)})"
        case Comparison(operator=Operator.EXISTS, value=False):
            return f"(NOT {_condition(Comparison(node.field, Operator.EXISTS, value=True, name=node.name), given)})"
    if node.field == ATTRIBUTE:
        return f"coalesce({_of_attribute(node, given)}, false)"
    if node.field == IN_GROUP:
        return _in_group(node, given)
    return f"coalesce({_of_column(node, _COLUMNS[node.field], given)}, false)"


def _of_column(test: Comparison, column: str, given: list[object]) -> str:
    match test.operator:
        case Operator.IS:
            return f"{column} = {_argument(test.value, given)}::text"
        case Operator.IN:
            return f"{column} IN {_hashed(list(test.value), 'text', given)}"
        case Operator.STARTS_WITH:
            return f"starts_with({column}, {_argument(test.value, given)}::text)"
        case Operator.EXISTS:
            return f"{column} IS NOT NULL"
    return f"{column} {_SIGNS[test.operator]} {_argument(test.value, given)}::timestamptz"


def _of_attribute(test: Comparison, given: list[object]) -> str:
    name = f"{_argument(test.name, given)}::text"
    value, text = f"contacts.attributes -> {name}", f"(contacts.attributes ->> {name})"
    match test.operator:
        case Operator.IS:
            return f"{value} = {_argument(_json(test.value), given)}::jsonb"
        case Operator.IN:
            return f"{value} IN {_hashed([_json(one) for one in test.value], 'jsonb', given)}"
        case Operator.STARTS_WITH:
            return f"jsonb_typeof({value}) = 'string' AND starts_with({text}, {_argument(test.value, given)}::text)"
        case Operator.EXISTS:
            return f"jsonb_typeof({value}) <> 'null'"
    sign = _SIGNS[test.operator]
    if isinstance(test.value, str):  # of text PostgreSQL would order jsonb by the database's language
        return f"""jsonb_typeof({value}) = 'string' AND {text} COLLATE "C" {sign} {_argument(test.value, given)}::text"""
    return f"jsonb_typeof({value}) = 'number' AND {value} {sign} {_argument(_json(test.value), given)}::jsonb"


def _in_group(test: Comparison, given: list[object]) -> str:
    groups = _hashed(list(test.value) if test.operator is Operator.IN else [test.value], "text", given)
    return (
        "EXISTS (SELECT FROM group_members WHERE group_members.tenant_id = contacts.tenant_id "
        f"AND group_members.contact_id = contacts.id AND coalesce(group_members.group_id IN {groups}, false))"
    )


def _hashed(values: list[str], kind: str, given: list[object]) -> str:
    """To be looked up in constant time, within `coalesce`, which keeps it from becoming a join. `= ANY(...)` takes no longer until
    the server reuses a plan; then each of a thousand values is compared with each contact's."""
    return f"(SELECT unnest({_argument(values, given)}::{kind}[]))"


def _argument(value: object, given: list[object]) -> str:
    given.append(value)
    return f"${len(given)}"


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
