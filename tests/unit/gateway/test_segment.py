"""The filter language: what is understood, and what is refused, where."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.gateway.domain.segment import (
    MAX_DEPTH,
    MAX_NAME,
    MAX_TESTS,
    MAX_TEXT,
    MAX_VALUES,
    AllOf,
    AnyOf,
    Comparison,
    Not,
    Operator,
    parse,
)
from shared.errors import FieldError

CITY: dict[str, Any] = {"field": "attribute.city", "operator": "is", "value": "Berlin"}


def test_a_filter_becomes_a_tree() -> None:
    filter_ = {"all": [CITY, {"any": [{"field": "consent", "operator": "is_not", "value": "opted_out"}]}, {"not": CITY}]}
    city = Comparison("attribute", Operator.IS, "Berlin", "city")
    assert parse(filter_) == AllOf((city, AnyOf((Comparison("consent", Operator.IS_NOT, "opted_out"),)), Not(city)))


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"field": "attribute.a.b", "operator": "exists"}, Comparison("attribute", Operator.EXISTS, value=True, name="a.b")),
        ({"field": "name", "operator": "exists", "value": False}, Comparison("name", Operator.EXISTS, value=False)),
        ({"field": "language", "operator": "in", "value": ["de", "en"]}, Comparison("language", Operator.IN, ("de", "en"))),
        ({"field": "language", "operator": "is", "value": "PT_br"}, Comparison("language", Operator.IS, "pt-BR")),
        ({"field": "in_group", "operator": "is", "value": "grp_1"}, Comparison("in_group", Operator.IS, "grp_1")),
        (
            {"field": "created_at", "operator": "less_than", "value": "2026-01-01T01:00:00+01:00"},
            Comparison("created_at", Operator.LESS_THAN, datetime(2026, 1, 1, tzinfo=UTC)),
        ),
        (
            {"field": "attribute.n", "operator": "greater_than", "value": 1.5},
            Comparison("attribute", Operator.GREATER_THAN, 1.5, "n"),
        ),
    ],
)
def test_a_test_has_the_value_that_its_field_is_compared_as(test: dict[str, Any], expected: Comparison) -> None:
    assert parse(test) == expected


def nested(depth: int) -> Any:
    node: Any = CITY
    for _ in range(depth - 1):
        node = {"not": node}
    return node


@pytest.mark.parametrize(
    ("filter_", "pointer", "code"),
    [
        ([], "/f", "field.type"),
        ("x", "/f", "field.type"),
        ({}, "/f", "filter.shape"),
        ({"none": []}, "/f", "filter.shape"),
        ({"all": [CITY], "any": [CITY]}, "/f", "filter.shape"),
        ({"all": CITY}, "/f/all", "field.type"),
        ({"any": []}, "/f/any", "field.too_short"),
        ({"all": [CITY, {"not": None}]}, "/f/all/1/not", "field.type"),
        ({**CITY, "or": []}, "/f", "field.unknown"),
        ({**CITY, "field": 5}, "/f/field", "field.choice"),
        ({**CITY, "field": "attribute"}, "/f/field", "field.choice"),
        ({**CITY, "field": "tenant_id"}, "/f/field", "field.choice"),
        ({**CITY, "field": "attribute."}, "/f/field", "field.format"),
        ({**CITY, "field": "attribute.a\0"}, "/f/field", "field.format"),
        ({**CITY, "field": "attribute." + "x" * (MAX_NAME + 1)}, "/f/field", "field.format"),
        ({"field": "attribute.city", "value": 1}, "/f/operator", "field.missing"),
        ({**CITY, "operator": "="}, "/f/operator", "field.choice"),
        ({**CITY, "operator": ["is"]}, "/f/operator", "field.choice"),
        ({"field": "created_at", "operator": "is", "value": "2026-01-01T00:00:00Z"}, "/f/operator", "field.choice"),
        ({"field": "in_group", "operator": "exists"}, "/f/operator", "field.choice"),
        ({"field": "attribute.city", "operator": "is"}, "/f/value", "field.missing"),
        ({**CITY, "value": None}, "/f/value", "field.type"),
        ({**CITY, "value": ["Berlin"]}, "/f/value", "field.type"),
        ({**CITY, "value": "x" * (MAX_TEXT + 1)}, "/f/value", "field.too_long"),
        ({**CITY, "value": "a\0"}, "/f/value", "field.bad_text"),
        ({**CITY, "value": "\ud800"}, "/f/value", "field.bad_text"),
        ({**CITY, "value": 2**53 + 1}, "/f/value", "number.out_of_range"),
        ({**CITY, "value": float("inf")}, "/f/value", "number.out_of_range"),
        ({**CITY, "operator": "greater_than", "value": True}, "/f/value", "field.type"),
        ({**CITY, "operator": "exists", "value": 1}, "/f/value", "field.type"),
        ({**CITY, "operator": "in", "value": "Berlin"}, "/f/value", "field.type"),
        ({**CITY, "operator": "in", "value": []}, "/f/value", "field.too_long"),
        ({**CITY, "operator": "in", "value": ["a"] * (MAX_VALUES + 1)}, "/f/value", "field.too_long"),
        ({**CITY, "operator": "in", "value": ["a", None]}, "/f/value/1", "field.type"),
        ({**CITY, "operator": "starts_with", "value": 5}, "/f/value", "field.type"),
        ({"field": "name", "operator": "is", "value": 5}, "/f/value", "field.type"),
        ({"field": "language", "operator": "is", "value": "German, please"}, "/f/value", "field.format"),
        ({"field": "consent", "operator": "is", "value": "maybe"}, "/f/value", "field.choice"),
        ({"field": "consent", "operator": "is", "value": []}, "/f/value", "field.choice"),
        ({"field": "updated_at", "operator": "less_than", "value": "2026-01-01T00:00:00"}, "/f/value", "field.format"),
        ({"field": "updated_at", "operator": "less_than", "value": "0001-01-01T00:00:00+01:00"}, "/f/value", "field.format"),
        ({"field": "updated_at", "operator": "less_than", "value": "soon"}, "/f/value", "field.format"),
        ({"all": [CITY] * (MAX_TESTS + 1)}, "/f", "filter.too_large"),
        (nested(MAX_DEPTH + 1), "/f" + "/not" * MAX_DEPTH, "filter.too_deep"),
        (nested(100_000), "/f" + "/not" * MAX_DEPTH, "filter.too_deep"),
    ],
)  # fmt: skip
def test_a_fault_has_its_place_and_its_code(filter_: object, pointer: str, code: str) -> None:
    fault = parse(filter_, "/f")
    assert isinstance(fault, FieldError)
    assert (fault.pointer, fault.code) == (pointer, code)


def test_the_largest_filter_is_taken() -> None:
    assert not isinstance(parse({"any": [CITY] * MAX_TESTS}), FieldError)
    assert not isinstance(parse(nested(MAX_DEPTH)), FieldError)
    assert not isinstance(parse({**CITY, "operator": "in", "value": ["a"] * MAX_VALUES}), FieldError)
