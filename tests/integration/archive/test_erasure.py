"""A person goes out of the archive: their conversations, what they said among others, and what was made of it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

import orjson
import pytest

from services.archive.cache import Changes
from services.archive.erase import parts
from services.archive.record import Recorder
from services.archive.store.erasing import unknown_participants
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.erasure.person import Person
from shared.erasure.steps import Asking, Step
from shared.errors import Rejected
from shared.events.values import DeliveryStatus
from shared.ids import TenantId
from tests.support.archive_events import (
    NOON,
    OTHER_TENANT,
    PHONE,
    TENANT,
    message_id,
    reaction,
    received,
    released,
    reported,
    text,
)
from tests.support.database import Database
from tests.support.leftovers import leftovers
from tests.support.told import silent_outbox

WHO = "+15558642097"
PERSON = Person(addresses=[WHO])


class Told(Changes):
    """Remembers what readers were told."""

    def __init__(self) -> None:
        super().__init__()
        self.conversations: set[str] = set()

    async def changed(self, conversation_ids: Iterable[str] = (), *_: object) -> None:  # type: ignore[override]
        self.conversations.update(conversation_ids)


async def erase(
    pool: Pool, person: Person = PERSON, *, tenant: TenantId = TENANT, only_count: bool = False, told: Changes | None = None
) -> tuple[dict[str, int], list[str]]:
    """A whole pass: what was found of each kind, and the wamids that were announced."""
    outbox, own = silent_outbox(pool, "archive"), parts(told or Changes())
    found: dict[str, int] = {}
    wamids: list[str] = []
    place: str | None = ""
    announced: list[str] = []
    while place is not None:
        step: Step = await own.step(
            outbox, tenant, Asking(person=person, place=place, erase=not only_count, announced=announced)
        )
        announced = step.wamids
        wamids += step.wamids
        if step.found:
            found[step.part] = found.get(step.part, 0) + step.found
        place = step.place
    return found, wamids


async def drain(pool: Pool) -> None:
    """As the jobs do that follow the entries, once they have counted everything."""
    await pool.execute("DELETE FROM stale_days")


async def test_their_conversation_goes_as_a_whole_and_the_others_stay(
    pool: Pool, recorder: Recorder, database: Database
) -> None:
    await recorder.record(
        [
            received("wamid.a", "Zephyrquill", sender=WHO, name="Wilhelmina"),
            released(message_id(), "to Zephyrquill", seconds=1, to=WHO),
            received("wamid.b", "stays", seconds=2),
            received("wamid.c", "stays too", seconds=2, sender=WHO, tenant=OTHER_TENANT, number="num_other"),
        ]
    )
    told = Told()
    found, wamids = await erase(pool, told=told)
    assert found == {"entries": 2}
    assert wamids == ["wamid.a"], "files that came in it have to be seen to before it is gone"
    assert len(told.conversations) == 1
    assert await pool.fetchval("SELECT count(*) FROM conversations WHERE tenant_id = $1", TENANT) == 2, (
        "its days are not counted yet"
    )
    assert (await erase(pool, only_count=True))[0] == {"conversations": 1}
    await drain(pool)
    assert (await erase(pool))[0] == {"conversations": 1}, "counted once, when it goes"
    assert (await erase(pool, only_count=True))[0] == {}
    assert await leftovers(database.admin_url, ["Zephyrquill", "Wilhelmina"]) == {"archive.lexicon_changes.tsv"}
    assert await pool.fetchval("SELECT count(*) FROM entries") == 2
    assert (await erase(pool, tenant=OTHER_TENANT, only_count=True))[0] == {"entries": 1, "conversations": 1}


async def test_among_others_goes_what_they_said_and_reacted_and_who_quoted_them(
    pool: Pool, recorder: Recorder, database: Database
) -> None:
    quote = {**text("I agree"), "context": {"from": WHO[1:], "id": "wamid.q"}}
    await recorder.record(
        [
            received("wamid.a", "Zephyrquill", sender=WHO, name="Wilhelmina", group_id="g1"),
            received("wamid.b", seconds=1, content=quote, group_id="g1", name="Bo"),
            received("wamid.c", "listen", seconds=2, group_id="g1", name="Bo"),
        ]
    )
    await recorder.record([received("wamid.r", seconds=3, sender=WHO, group_id="g1", content=reaction("wamid.c", "🔥"))])
    found, wamids = await erase(pool)
    assert found == {"speakers": 1, "spoken": 2, "reactions": 1, "participants": 1}
    assert wamids == ["wamid.a"]
    assert (await erase(pool, only_count=True))[0] == {}
    rows = await pool.fetch("SELECT content, reactions FROM entries ORDER BY sent_at")
    assert [orjson.loads(row["content"]) for row in rows] == [text("I agree"), text("listen")]
    assert [row["reactions"] for row in rows] == [None, None]
    left = await leftovers(database.admin_url, ["Zephyrquill", "Wilhelmina"], PERSON)
    assert left <= {"archive.lexicon_changes.tsv"}
    assert [row["name"] for row in await pool.fetch("SELECT name FROM participants")] == ["Bo"]


async def imported(pool: Pool, recorder: Recorder, tenants: Tenants, people: Sequence[str]) -> list[str]:
    """A chat that stands by itself; returns the ids of its people. The first is the tenant's own."""
    number = (await tenants.numbered({TENANT}))[TENANT]
    await recorder.ensure_months({NOON.replace(day=1, hour=0)})
    conversation_no = await pool.fetchval(
        """
        INSERT INTO conversations (id, tenant_id, number_id, contact_phone, title) VALUES ('cnv_i', $1, '', 'chat:x', 'Zephyrquill')
        RETURNING conversation_no
        """,
        TENANT,
    )
    import_no = await pool.fetchval(
        """
        INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options, conversation_id, conversation_no, survey)
        VALUES ('imp_i', $1, $2, 'completed', 'WhatsApp Chat with Zephyrquill.txt', '{"title": "Zephyrquill"}',
                'cnv_i', $3, $4::jsonb)
        RETURNING import_no
        """,
        TENANT,
        number,
        conversation_no,
        orjson.dumps({"people": list(people)}).decode(),
    )
    await pool.execute(
        """
        INSERT INTO import_lines (import_no, place, line, reason, text)
        VALUES ($1, 1, 1, 'x', 'Zephyrquill: ?'), ($1, 2, 2, 'x', '?')
        """,
        import_no,
    )
    ids = []
    for index, name in enumerate(people):
        row = await pool.fetchrow(
            """
            INSERT INTO participants (id, tenant_no, conversation_no, key, name, is_business)
            VALUES ('prt_' || $1, $2, $3, 'name:' || $1, $1, $4) RETURNING id, participant_no
            """,
            name,
            number,
            conversation_no,
            index == 0,
        )
        assert row is not None
        ids.append(row["id"])
        await pool.execute(
            """
            INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, type, content, author_no, import_no)
            VALUES ('ent_' || $1, $2, $3, 'cnv_i', 'incoming', 'text', $4::jsonb, $5, $6)
            """,
            name,
            NOON,
            TENANT,
            orjson.dumps(text(f"of {name}")).decode(),
            row["participant_no"],
            import_no,
        )
    return ids


async def test_a_chat_with_nobody_but_them_goes_as_a_whole_with_its_import(
    pool: Pool, recorder: Recorder, tenants: Tenants, database: Database
) -> None:
    _, theirs = await imported(pool, recorder, tenants, ["Me", "Zephyrquill"])
    found, _ = await erase(pool, Person(participant_ids=[theirs]))
    assert found == {"imports": 1, "entries": 2}
    await drain(pool)
    assert (await erase(pool, Person(participant_ids=[theirs])))[0] == {"conversations": 1}
    assert await leftovers(database.admin_url, ["Zephyrquill"]) == set()
    for table in ("conversations", "participants", "entries", "imports", "import_lines"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table  # noqa: S608  # of this list


async def test_it_is_told_which_participants_nobody_is(pool: Pool, recorder: Recorder, tenants: Tenants) -> None:
    known = await imported(pool, recorder, tenants, ["Me", "Bo"])
    asked = [known[1], "prt_nobody", known[0]]
    assert await unknown_participants(pool, TENANT, asked) == ["prt_nobody"]
    assert set(await unknown_participants(pool, OTHER_TENANT, asked)) == set(asked)


async def test_of_a_chat_of_several_the_rest_stays(pool: Pool, recorder: Recorder, tenants: Tenants) -> None:
    _, theirs, _ = await imported(pool, recorder, tenants, ["Me", "Zephyrquill", "Bo"])
    found, _ = await erase(pool, Person(participant_ids=[theirs]))
    assert found == {"titles": 1, "speakers": 1, "spoken": 1, "import_reports": 1, "participants": 1}
    assert (await erase(pool, Person(participant_ids=[theirs]), only_count=True))[0] == {}
    assert {row["id"] for row in await pool.fetch("SELECT id FROM entries")} == {"ent_Me", "ent_Bo"}
    assert await pool.fetchval("SELECT count(*) FROM import_lines") == 1
    assert await pool.fetchval("SELECT survey FROM imports") is None


async def test_a_chat_that_is_called_by_their_name_is_not_any_more(
    pool: Pool, recorder: Recorder, tenants: Tenants, database: Database
) -> None:
    """Imported without "me": both may be anybody, so the chat is not theirs alone."""
    _, theirs = await imported(pool, recorder, tenants, ["Bo", "Zephyrquill"])
    await pool.execute("UPDATE participants SET is_business = false")
    await pool.execute("UPDATE conversations SET contact_phone = 'chat:zephyrquill'")
    person, told = Person(participant_ids=[theirs]), Told()
    assert (await erase(pool, person, only_count=True))[0]["titles"] == 1
    assert (await erase(pool, person, told=told))[0]["titles"] == 1
    assert told.conversations == {"cnv_i"}
    assert (await erase(pool, person, only_count=True))[0] == {}
    assert await leftovers(database.admin_url, ["Zephyrquill", "zephyrquill"]) == set()
    row = await pool.fetchrow("SELECT title, contact_phone, conversation_no FROM conversations")
    assert row is not None
    assert (row["title"], row["contact_phone"]) == (None, f"chat:Chat {row['conversation_no']}")
    assert await pool.fetchval("SELECT id FROM entries") == "ent_Bo"


async def test_a_title_that_is_not_their_name_stays(pool: Pool, recorder: Recorder, tenants: Tenants) -> None:
    *_, theirs = await imported(pool, recorder, tenants, ["Bo", "Cy", "Zephyrquill"])
    await pool.execute("UPDATE conversations SET title = 'Zephyrquill and Bo', contact_phone = 'chat:zephyrquill'")
    await pool.execute(
        "UPDATE participants SET name = 'Z' WHERE id = $1", theirs
    )  # the tenant calls them so, the export did not
    await pool.execute("UPDATE participants SET key = 'name:zephyrquill' WHERE id = $1", theirs)
    assert (await erase(pool, Person(participant_ids=[theirs])))[0]["titles"] == 1
    row = await pool.fetchrow("SELECT title, contact_phone, conversation_no FROM conversations")
    assert row is not None
    assert (row["title"], row["contact_phone"]) == ("Zephyrquill and Bo", f"chat:Chat {row['conversation_no']}")


async def test_exports_that_can_hold_something_of_theirs_are_deleted(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("wamid.a", sender=WHO), received("wamid.b", sender=PHONE)])
    others = await pool.fetchval("SELECT id FROM conversations WHERE contact_phone = $1", PHONE)
    scopes = {"exp_all": {}, "exp_search": {"search": {"q": "x"}}, "exp_other": {"conversation_id": others}}
    for export_id, scope in scopes.items():
        await pool.execute(
            "INSERT INTO exports (id, tenant_id, format, scope, state) VALUES ($1, $2, 'csv', $3::jsonb, 'queued')",
            export_id,
            TENANT,
            orjson.dumps(scope).decode(),
        )
    assert (await erase(pool))[0]["exports"] == 2
    assert await pool.fetchval("SELECT id FROM exports WHERE state <> 'deleted'") == "exp_other"


async def test_a_long_conversation_goes_in_steps(pool: Pool, recorder: Recorder) -> None:
    for start in range(0, 2_500, 250):
        await recorder.record([received(f"wamid.{n}", f"no {n}", seconds=n, sender=WHO) for n in range(start, start + 250)])
    found, wamids = await erase(pool)
    assert found["entries"] == 2_500
    assert len(set(wamids)) == 2_500


async def test_what_is_told_of_their_messages_when_these_are_gone_goes_too(pool: Pool, recorder: Recorder) -> None:
    """The provider's id names them; without its message it would stay for a week."""
    theirs, anybodys, others = message_id(), message_id(), message_id()
    raw = b"\x1c\x18" + bytes([len(WHO) - 1]) + WHO[1:].encode() + b"\x15\x02\x00"
    wamid = f"wamid.{base64.b64encode(raw).decode()}"
    await recorder.record(
        [
            reported(theirs, wamid, DeliveryStatus.READ, seconds=1),
            reported(anybodys, "wamid.HBgM", DeliveryStatus.READ, seconds=1),
            reported(others, wamid, DeliveryStatus.READ, seconds=1, tenant=OTHER_TENANT),
        ]
    )
    assert (await erase(pool, only_count=True))[0] == {"progress": 1}
    assert (await erase(pool))[0] == {"progress": 1}
    assert {row["message_id"] for row in await pool.fetch("SELECT message_id FROM outgoing")} == {anybodys, others}


async def test_what_is_not_announced_is_not_erased(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("wamid.a", sender=WHO)])
    outbox, own = silent_outbox(pool, "archive"), parts(Changes())
    step = await own.step(outbox, TENANT, Asking(person=PERSON, place="entries:"))
    await recorder.record([received("wamid.b", seconds=5, sender=WHO)])
    again = await own.step(outbox, TENANT, Asking(person=PERSON, place="entries:", announced=step.wamids))
    assert (again.found, set(again.wamids)) == (0, {"wamid.a", "wamid.b"})
    assert await pool.fetchval("SELECT count(*) FROM entries") == 2


async def test_a_step_that_is_none_is_refused(pool: Pool) -> None:
    with pytest.raises(Rejected):
        await parts(Changes()).step(silent_outbox(pool, "archive"), TENANT, Asking(person=PERSON, place="what:"))
