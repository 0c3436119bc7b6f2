"""An erasure goes through all services again and again until none of them finds anything."""

from __future__ import annotations

from datetime import timedelta

from services.gateway.domain.contact import Contact
from services.gateway.domain.erasure import SERVICES, SETTLE, Progress, State, digest, person_of, wait_after
from shared.ids import TenantId


def passed(progress: Progress, found: int = 0) -> tuple[Progress, timedelta]:
    """To the end of a pass whose first step has found so much."""
    after, wait = progress.stepped("part", found, "part:1")
    assert (after.place, wait) == ("part:1", timedelta())
    for _ in SERVICES:
        after, wait = after.stepped("part", 0, None)
    return after, wait


def test_it_is_over_when_two_counts_have_found_nothing() -> None:
    progress, wait = passed(Progress(State.RUNNING), 3)
    assert (progress.erases, dict(progress.erased), wait) == (False, {"gateway": {"part": 3}}, timedelta())
    progress, wait = passed(progress)
    assert (progress.state, progress.erases, wait) == (State.RUNNING, False, SETTLE)
    progress, _ = passed(progress)
    assert (progress.state, progress.passes, dict(progress.remaining)) == (State.COMPLETED, 3, {})


def test_what_is_found_is_erased_in_another_pass() -> None:
    progress, _ = passed(Progress(State.RUNNING, erases=False, clean_passes=1), 2)
    assert (progress.erases, progress.clean_passes, dict(progress.remaining)) == (True, 0, {"gateway": {"part": 2}})
    progress, _ = passed(progress, 2)
    assert dict(progress.erased) == {"gateway": {"part": 2}}


def test_a_verification_counts_once_and_erases_nothing() -> None:
    progress, _ = passed(Progress(State.VERIFYING, erases=False), 2)
    assert (progress.state, dict(progress.remaining), dict(progress.erased)) == (State.COMPLETED, {"gateway": {"part": 2}}, {})


def test_the_waits_grow_to_an_hour() -> None:
    assert wait_after(0) < wait_after(1) < wait_after(5) < wait_after(50) == timedelta(hours=1)


def test_a_person_is_all_spellings_and_all_that_their_contacts_are_called_by() -> None:
    contact = Contact("ctc_1", {"phone": "+5511987654321", "user_id": "BR.1", "username": "ana"})
    person = person_of(["+5511987654321"], [contact], ["prt_1"])
    assert person.addresses == ["+5511987654321", "+551187654321", "BR.1"]
    assert (person.contact_ids, person.participant_ids) == (["ctc_1"], ["prt_1"])


def test_digests_differ_by_tenant_and_key() -> None:
    made = {digest(key, TenantId(tenant), "+1") for key in (b"a", b"b") for tenant in ("tnt_1", "tnt_2")}
    assert len(made) == 4
