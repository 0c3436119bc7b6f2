"""Audiences: each phone once, page by page, whatever happens in between; and the answer to the scheduler that wants one."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from services.gateway import expand, tenants
from services.gateway.audience import Member, Page, find_page
from services.gateway.domain.rendering import Fault
from services.gateway.expand import answer
from services.gateway.store import audience as store
from services.gateway.store import groups
from shared.db.pool import Connection, Pool
from shared.events.catalogue import AudienceFound, AudienceWanted
from shared.events.values import Audience, NamedRecipient, Recipient, Variant
from shared.ids import TenantId, new_id
from tests.integration.gateway import people
from tests.integration.gateway.people import Person
from tests.integration.gateway.plans import keep_new, rows_read
from tests.support.database import Database
from tests.support.told import silent_outbox, told

ZONE: Final = "Europe/Lisbon"
HELLO: Final = {"type": "text", "text": {"body": "Hello {{name}}"}}


class Town:
    """A tenant with contacts."""

    def __init__(self, connection: Connection, tenant_id: TenantId) -> None:
        self.connection = connection
        self.tenant_id = tenant_id

    async def add(self, *persons: Person) -> list[str]:
        return await people.add(self.connection, self.tenant_id, persons)

    async def group(self, *contact_ids: str) -> str:
        return await people.group(self.connection, self.tenant_id, contact_ids)

    async def segment(self, filter_: Any) -> str:
        segment_id = new_id("seg")
        await self.connection.execute(
            "INSERT INTO segments (tenant_id, id, name, filter) VALUES ($1, $2, '', $3)",
            self.tenant_id,
            segment_id,
            orjson.dumps(filter_).decode(),
        )
        return segment_id

    async def page(self, audience: Audience, cursor: str | None = None, limit: int = 100) -> Page | Fault:
        return await find_page(self.connection, self.tenant_id, audience, cursor=cursor, limit=limit, default_zone=ZONE)

    async def all(self, audience: Audience, limit: int = 3) -> list[Member]:
        """Read to the end, in small pages."""
        members: list[Member] = []
        cursor = None
        while True:
            page = await self.page(audience, cursor, limit)
            assert isinstance(page, Page), page
            assert len(page.members) <= limit
            members += page.members
            if page.next_cursor is None:
                return members
            cursor = page.next_cursor


@pytest.fixture
async def town(pool: Pool) -> AsyncIterator[Town]:
    async with pool.acquire() as connection:
        yield Town(connection, await tenants.create(connection, "Acme"))


def named(to: str, **variables: str) -> NamedRecipient:
    return NamedRecipient(to=to, variables=variables)


async def test_an_audience_is_the_union_of_all_it_names_each_phone_once(town: Town) -> None:
    phones = people.phones(12)
    ids = await town.add(*(Person(phone, attributes={"n": n}) for n, phone in enumerate(phones)))
    audience = Audience(
        group_ids=[await town.group(*ids[0:4]), await town.group(*ids[2:6])],
        contact_ids=[ids[5], ids[7], ids[7]],
        segment_id=await town.segment({"field": "attribute.n", "operator": "is", "value": 8}),
        filter={"field": "attribute.n", "operator": "greater_than", "value": 9},
        recipients=[named("+1 555 000 0007"), named("+15559999999"), named("(+15550000003)"), named("+15559999999")],
    )
    for limit in (1, 2, 3, 5, 100):
        found = [member.to for member in await town.all(audience, limit)]
        assert found[:3] == ["+15550000007", "+15559999999", "+15550000003"]
        assert found[3:] == [phones[n] for n in (0, 1, 2, 4, 5, 8, 10, 11)]


async def test_a_page_is_the_same_when_it_is_asked_again(town: Town) -> None:
    ids = await town.add(*(Person(phone) for phone in people.phones(9)))
    audience = Audience(group_ids=[await town.group(*ids)], recipients=[named("+15550000001"), named("nobody")])
    first = await town.page(audience, limit=4)
    assert isinstance(first, Page)
    for cursor in (None, first.next_cursor):
        assert await town.page(audience, cursor, 4) == await town.page(audience, cursor, 4)


async def test_somebody_named_who_is_a_contact_is_both_and_their_own_variables_stay(town: Town) -> None:
    (ada,) = await town.add(Person("+4915123456789", "Ada", "de", "Asia/Tokyo", {"city": "Bonn"}, consent="opted_in"))
    audience = Audience(recipients=[named("+4915123456789", city="Berlin"), named("+4915123456780", city="Rome")])
    one, two = await town.all(audience)
    assert (one.contact_id, one.name, one.language, one.zone, one.consent) == (ada, "Ada", "de", "Asia/Tokyo", "opted_in")
    assert (one.attributes, one.variables) == ({"city": "Bonn"}, {"city": "Berlin"})
    assert (two.contact_id, two.name, two.attributes, two.variables) == (None, None, {}, {"city": "Rome"})


async def test_a_zone_is_the_contacts_own_or_their_countrys_or_the_default(town: Town) -> None:
    ids = await town.add(
        Person("+4915123456789", time_zone="Asia/Tokyo"), Person("+819012345678"), Person("+88213200000"), Person()
    )
    audience = Audience(contact_ids=ids, recipients=[named("+4915123456780"), named("nonsense")])
    zones = {member.contact_id or member.to: member.zone for member in await town.all(audience)}
    assert zones == {
        "+4915123456780": "Europe/Berlin",
        "nonsense": ZONE,
        ids[0]: "Asia/Tokyo",
        ids[1]: "Asia/Tokyo",
        ids[2]: ZONE,
        ids[3]: ZONE,
    }


async def test_who_cannot_be_written_to_is_there_with_the_reason(town: Town) -> None:
    ids = await town.add(
        Person(name="No phone"),
        Person("+15550000001", consent="opted_out"),
        Person("+15550000002", consent="opted_out", consent_scope="marketing"),
    )
    members = await town.all(Audience(contact_ids=ids, recipients=[named("12"), named("+15550000001")]))
    assert [(member.to, member.fault and member.fault.code) for member in members] == [
        ("12", "phone.invalid"),
        ("+15550000001", "contact.opted_out"),
        (ids[0], "contact.no_phone"),
        ("+15550000002", None),
    ]


@pytest.mark.parametrize(
    ("audience", "code"),
    [
        ({"group_ids": [new_id("grp")]}, "group.unknown"),
        ({"group_ids": ["\0"]}, "group.unknown"),
        ({"contact_ids": [new_id("ctc")]}, "contact.unknown"),
        ({"contact_ids": ["x"]}, "contact.unknown"),
        ({"segment_id": new_id("seg")}, "segment.unknown"),
        ({"segment_id": "\0"}, "segment.unknown"),
        ({"filter": {}}, "segment.invalid"),
        ({"filter": {"field": "name", "operator": "is", "value": "\0"}}, "segment.invalid"),
        ({"recipients": [{"to": "+15550000001"}], "group_ids": [new_id("grp")]}, "group.unknown"),
    ],
)
async def test_an_audience_that_is_not_there_says_why(town: Town, audience: dict[str, Any], code: str) -> None:
    found = await town.page(Audience.model_validate(audience))
    assert isinstance(found, Fault)
    assert found.code == code


async def test_another_tenants_groups_segments_and_contacts_are_unknown(town: Town) -> None:
    other = Town(town.connection, await tenants.create(town.connection, "Other"))
    (theirs,) = await other.add(Person("+15550000001", "Eve", attributes={"secret": 1}))
    segment = await other.segment({"field": "name", "operator": "exists"})
    for audience in (
        Audience(group_ids=[await other.group(theirs)]),
        Audience(contact_ids=[theirs]),
        Audience(segment_id=segment),
    ):
        assert isinstance(await town.page(audience), Fault)
    assert await town.all(Audience(filter={"field": "name", "operator": "exists"})) == []
    (member,) = await town.all(Audience(recipients=[named("+15550000001")]))
    assert (member.contact_id, member.name) == (None, None)


@pytest.mark.parametrize("cursor", ["", "x", "5:", ":", "-1:", "0:x", "0:\0", "99999999999999999999:", "²:"])
async def test_a_cursor_from_elsewhere_is_refused(town: Town, cursor: str) -> None:
    found = await town.page(Audience(recipients=[named("+15550000001")]), cursor)
    assert isinstance(found, Fault)
    assert found.code == "cursor.invalid"


async def test_nobody_comes_twice_and_nobody_is_left_out_while_others_come_and_go(town: Town) -> None:
    ids = await town.add(*(Person(phone) for phone in people.phones(40)))
    group = await town.group(*ids[:30])
    audience = Audience(group_ids=[group], filter={"field": "attribute.new", "operator": "is", "value": True})
    found: list[Member] = []
    cursor: str | None = None
    for number in itertools.count():
        page = await town.page(audience, cursor, 4)
        assert isinstance(page, Page)
        found += page.members
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
        if number < 5:
            # One who was told goes, so does one who was not; one comes who is before the cursor or behind it, and one at the end.
            for gone in (ids[number], ids[29 - number]):
                await town.connection.execute("DELETE FROM group_members WHERE contact_id = $1", gone)
            newcomer = (town.tenant_id, group, ids[30 + number])
            await town.connection.execute("INSERT INTO group_members SELECT $1, $2, $3", *newcomer)
            await town.add(Person(f"+1556000000{number}", attributes={"new": True}))
    told_ids = [member.contact_id for member in found]
    assert len(told_ids) == len(set(told_ids))
    assert set(ids[5:25]) <= set(told_ids)


async def test_a_contact_that_is_erased_after_the_first_page_is_one_less(town: Town) -> None:
    ids = await town.add(*(Person(phone) for phone in people.phones(6)))
    audience = Audience(contact_ids=ids)
    first = await town.page(audience, limit=3)
    assert isinstance(first, Page)
    await town.connection.execute("DELETE FROM contacts WHERE id = $1", ids[4])
    second = await town.page(audience, first.next_cursor, 3)
    assert isinstance(second, Page)
    assert [member.contact_id for member in second.members] == [ids[3], ids[5]]


# -- the answer ---------------------------------------------------------------------------------------------------------------


async def asked(pool: Pool, tenant_id: TenantId, **changes: Any) -> AudienceFound:
    wanted: dict[str, Any] = {"run_id": "run_1", "page": 0, "audience": Audience(), "variants": [Variant(content=HELLO)]}
    await answer(silent_outbox(pool, "gateway"), [AudienceWanted(tenant_id=tenant_id, **{**wanted, **changes})])
    (found,) = await told(pool)
    assert isinstance(found, AudienceFound)
    assert (found.tenant_id, found.run_id) == (tenant_id, "run_1")
    return found


async def test_each_recipient_gets_their_own_content_or_the_reason_for_none(town: Town, pool: Pool) -> None:
    ids = await town.add(
        Person("+4915123456789", "Ada"),
        Person("+4915123456780"),
        Person("+4915123456781", "Bob", consent="opted_out"),
        Person(name="No phone"),
    )
    found = await asked(pool, town.tenant_id, audience=Audience(contact_ids=ids, recipients=[named("12", name="Eve")]))
    assert (found.page, found.next_cursor, found.code) == (0, None, None)
    hello_ada, hello_bob = ({"type": "text", "text": {"body": f"Hello {name}"}} for name in ("Ada", "Bob"))
    assert [(one.contact_id, one.to, one.content, one.fault) for one in found.recipients] == [
        (None, "12", None, "phone.invalid"),
        (ids[0], "+4915123456789", hello_ada, None),
        (ids[1], "+4915123456780", None, "variable.missing"),
        (ids[2], "+4915123456781", hello_bob, "contact.opted_out"),
        (ids[3], ids[3], None, "contact.no_phone"),
    ]
    assert all(one.detail for one in found.recipients if one.fault)


async def test_the_pages_follow_each_other_and_each_is_told_twice_the_same(town: Town, pool: Pool) -> None:
    ids = await town.add(*(Person(phone, "Ada") for phone in people.phones(5)))
    audience = Audience(group_ids=[await town.group(*ids)])
    recipients: list[Recipient] = []
    cursor: str | None = None
    for page in range(3):
        changes = {"audience": audience, "page": page, "cursor": cursor, "limit": 2}
        found = await asked(pool, town.tenant_id, **changes)
        again = await asked(pool, town.tenant_id, **changes)
        assert (again.page, again.recipients, again.next_cursor) == (page, found.recipients, found.next_cursor)
        recipients += found.recipients
        cursor = found.next_cursor
    assert cursor is None
    assert [one.contact_id for one in recipients] == ids


async def test_a_page_of_long_contents_is_short_and_nobody_is_left_out(
    town: Town, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expand, "LARGEST_PAGE_BYTES", 10_000)
    ids = await town.add(*(Person(phone, "Ada") for phone in people.phones(9)))
    long = Variant(content={"type": "text", "text": {"body": "x" * 4_000}})
    changes: dict[str, Any] = {"audience": Audience(contact_ids=ids), "variants": [long], "limit": 9}
    recipients: list[Recipient] = []
    cursor: str | None = None
    for _ in ids:
        found = await asked(pool, town.tenant_id, cursor=cursor, **changes)
        assert len(found.recipients) <= 2
        recipients += found.recipients
        cursor = found.next_cursor
        if cursor is None:
            break
    assert [one.contact_id for one in recipients] == ids


async def test_variants_are_shared_out_the_same_way_each_time(town: Town, pool: Pool) -> None:
    ids = await town.add(*(Person(phone, "Ada") for phone in people.phones(60)))
    variants = [Variant(name=name, weight=weight, content=HELLO) for name, weight in (("a", 1), ("b", 1), ("c", 0))]
    audience = Audience(contact_ids=ids)
    found = [await asked(pool, town.tenant_id, audience=audience, variants=variants) for _ in range(2)]
    shares = [[one.variant for one in each.recipients] for each in found]
    assert shares[0] == shares[1]
    assert set(shares[0]) == {0, 1}


async def test_where_there_is_no_audience_or_nothing_to_say_the_answer_says_so(town: Town, pool: Pool) -> None:
    for changes, code in (
        ({"audience": Audience(group_ids=[new_id("grp")])}, "group.unknown"),
        ({"variants": [Variant(template_id=new_id("tpl"))]}, "template.unknown"),
    ):
        found = await asked(pool, town.tenant_id, **changes)
        assert (found.code, found.recipients, found.next_cursor) == (code, [], None)
        assert found.detail


async def test_the_zone_of_those_whose_zone_nobody_knows(town: Town, pool: Pool) -> None:
    (contact,) = await town.add(Person("+88213200000", "Ada"))
    audience = Audience(contact_ids=[contact])
    assert (await asked(pool, town.tenant_id, audience=audience)).recipients[0].zone == "UTC"
    await town.connection.execute(
        "INSERT INTO tenant_settings (tenant_id, revision, time_zone, stop_words, start_words)"
        " VALUES ($1, 1, 'Asia/Kathmandu', '{}', '{}')",
        town.tenant_id,
    )
    assert (await asked(pool, town.tenant_id, audience=audience)).recipients[0].zone == "Asia/Kathmandu"
    asked_for = await asked(pool, town.tenant_id, audience=audience, default_zone=ZONE)
    assert asked_for.recipients[0].zone == ZONE


# -- plans --------------------------------------------------------------------------------------------------------------------


async def test_a_page_reads_what_it_shows_and_no_more_though_the_tables_are_new(town: Town, database: Database) -> None:
    """Before the first ANALYZE the planner believes that a tenant has a row or two; it must not read all of them for each row."""
    await keep_new(database, "contacts", "contact_identifiers", "group_members")
    phones = people.phones(3_000)
    ids = await town.add(*(Person(phone) for phone in phones))
    group_id = await town.group(*ids)
    queries: list[tuple[str, tuple[object, ...]]] = [
        (store.SELECT_WANTED, (town.tenant_id, "", store.AFTER_ALL, [group_id], [], 100)),
        (store.SELECT_BY_PHONE, (town.tenant_id, phones[:100])),
        (groups.SELECT_MEMBERS, (town.tenant_id, group_id, "", 100)),
        (groups.LOCK_CONTACTS, (town.tenant_id, ids[:50], phones[50:100])),
        (groups.DELETE_MEMBERS, (town.tenant_id, group_id, ids[:50], phones[50:100])),
    ]
    for query, arguments in queries:
        read = await rows_read(town.connection, query, *arguments)
        assert read <= 20_000, (query, read)  # a hash of all three thousand is fine, three thousand for each is not
