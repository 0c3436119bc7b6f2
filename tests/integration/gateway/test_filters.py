"""A filter finds whom a slow and obvious reading of it finds, and nothing in it is ever taken for SQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.domain.segment import parse
from services.gateway.store import segments
from shared.db.pool import Connection, service_url
from shared.errors import FieldError
from shared.ids import TenantId
from tests.integration.gateway import people
from tests.integration.gateway.people import Person
from tests.support.database import Database

TENANT: Final = TenantId("tnt_1")
WORDS: Final = ["", "a", "B", "ab", "é", "ä'; DROP TABLE contacts; --", "%", "_", "$1", "\\", "1", "true", "null", "😀", "Z"]
NUMBERS: Final = [-1, 0, 1, 1.5, 0.1, 1e300, 2**53, 5e-324]
VALUES: Final = [*WORDS, *NUMBERS, True, False]
NAMES: Final = ["city", "a.b", "it's", '"', "$2"]
LANGUAGES: Final = ["de", "pt-BR", "pt"]
CONSENTS: Final = ["unknown", "opted_in", "opted_out"]
MOMENTS: Final = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=days) for days in range(3)]

names = st.sampled_from(NAMES)
scalars = st.one_of(st.sampled_from(VALUES), st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3))
texts = st.sampled_from(WORDS)
moments = st.sampled_from([moment.isoformat() for moment in MOMENTS])


def test_of(field: st.SearchStrategy[str], operators: list[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    one = st.fixed_dictionaries({"field": field, "operator": st.sampled_from(operators), "value": values})
    some = st.fixed_dictionaries({"field": field, "operator": st.just("in"), "value": st.lists(values, min_size=1, max_size=3)})
    return st.one_of(one, some) if "is" in operators else one


def exists(field: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"field": field, "operator": st.just("exists"), "value": st.booleans()})


test_of.__test__ = False  # type: ignore[attr-defined]  # a function, not a test
attributes = names.map("attribute.".__add__)
tests = st.one_of(
    test_of(attributes, ["is", "is_not"], scalars),
    test_of(attributes, ["starts_with"], texts),
    test_of(attributes, ["greater_than", "less_than"], scalars.filter(lambda value: not isinstance(value, bool))),
    exists(attributes),
    test_of(st.sampled_from(["name", "time_zone"]), ["is", "is_not", "starts_with"], texts),
    test_of(st.just("language"), ["is", "is_not"], st.sampled_from(LANGUAGES)),
    exists(st.sampled_from(["name", "time_zone", "language"])),
    test_of(st.just("consent"), ["is", "is_not"], st.sampled_from(CONSENTS)),
    test_of(st.sampled_from(["created_at", "updated_at"]), ["greater_than", "less_than"], moments),
    test_of(st.just("in_group"), ["is", "is_not"], st.sampled_from(["grp_even", "grp_third", "grp_none"])),
)
filters = st.recursive(
    tests,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=8,
)


def crowd() -> list[Person]:
    turn = itertools.cycle
    values, languages = turn([*VALUES, None]), turn([None, *LANGUAGES])
    consents, words = turn(CONSENTS), turn([None, *WORDS])
    everybody = []
    for number in range(90):
        attributes = {name: value for name, value in zip(NAMES, values, strict=False) if (number + len(name)) % 3}
        everybody.append(
            Person(
                id=f"ctc_{number:03d}",
                name=next(words),
                time_zone=next(words),
                language=next(languages),
                consent=next(consents),
                attributes=attributes,
                created_at=MOMENTS[number % 3],
                updated_at=MOMENTS[number % 2],
            )
        )
    return everybody


CROWD: Final = crowd()
GROUPS: Final = {
    "grp_even": {person.id for person in CROWD[::2]},
    "grp_third": {person.id for person in CROWD[::3]},
    "grp_none": set[str](),
}


def holds(filter_: Any, person: Person) -> bool:
    if "all" in filter_:
        return all(holds(part, person) for part in filter_["all"])
    if "any" in filter_:
        return any(holds(part, person) for part in filter_["any"])
    if "not" in filter_:
        return not holds(filter_["not"], person)
    field, operator, wanted = filter_["field"], filter_["operator"], filter_["value"]
    if field == "in_group":
        groups = wanted if operator == "in" else [wanted]
        return any(person.id in GROUPS[group] for group in groups) == (operator != "is_not")
    is_attribute = field.startswith("attribute.")
    value = person.attributes.get(field.removeprefix("attribute.")) if is_attribute else getattr(person, field)
    if isinstance(value, datetime):
        wanted = datetime.fromisoformat(wanted)
    match operator:
        case "exists":
            return (value is not None) == wanted
        case "is":
            return same(value, wanted)
        case "is_not":
            return not same(value, wanted)
        case "in":
            return any(same(value, one) for one in wanted)
        case "starts_with":
            return isinstance(value, str) and value.startswith(wanted)
    if kind(value) != kind(wanted):
        return False
    return bool(value > wanted if operator == "greater_than" else value < wanted)


def kind(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def same(value: object, wanted: object) -> bool:
    return kind(value) == kind(wanted) and value == wanted


class Asked:
    """The database, asked from outside a loop."""

    def __init__(self, runner: asyncio.Runner, connection: Connection) -> None:
        self._runner = runner
        self._connection = connection

    def found(self, filter_: Any, scanned: int = 1_000) -> tuple[list[str], int]:
        node = parse(filter_)
        assert not isinstance(node, FieldError), node
        count = self._runner.run(segments.count(self._connection, TENANT, node, scanned=scanned))
        ids: list[str] = []
        after: str | None = ""
        while after is not None:
            some, horizon = self._runner.run(
                segments.matching(self._connection, TENANT, node, after=after, limit=20, scanned=scanned)
            )
            ids += some
            after = some[-1] if len(some) == 20 else horizon
        return ids, count


@pytest.fixture
def asked(database: Database) -> Iterator[Asked]:
    async def opened() -> asyncpg.Connection[asyncpg.Record]:
        connection = await asyncpg.connect(service_url(database.settings_for("gateway"), "gateway"))
        await people.add(connection, TENANT, CROWD)
        await people.add(connection, "tnt_2", [Person(id="ctc_000z", name="a", attributes={"city": "a"})])
        for group, members in GROUPS.items():
            await connection.execute("INSERT INTO groups (tenant_id, id, name) VALUES ($1, $2, '')", TENANT, group)
            rows = [(TENANT, group, contact_id) for contact_id in members]
            await connection.copy_records_to_table(
                "group_members", columns=("tenant_id", "group_id", "contact_id"), records=rows
            )
        return connection

    with asyncio.Runner() as runner:
        connection = runner.run(opened())
        yield Asked(runner, connection)
        runner.run(connection.close())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filter_=filters, scanned=st.sampled_from([1_000, 7]))
def test_a_filter_finds_whom_it_says(asked: Asked, filter_: Any, scanned: int) -> None:
    expected = [person.id for person in CROWD if holds(filter_, person)]
    assert asked.found(filter_, scanned) == (expected, len(expected))
