"""How facts about an outgoing message add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.archive.domain.progress import EntryStatus, Outcome, add_up, height, progress_of
from shared.events.values import DeliveryStatus
from tests.support.archive_events import canceled, deferred, failed, message_id, released, reported, sent, unsettled

M = message_id()
FACTS: tuple[Outcome, ...] = (
    released(M),
    deferred(M),
    released(M, attempt=2, seconds=6),
    unsettled(M, attempt=2, seconds=7),
    released(M, attempt=3, seconds=60),
    sent(M, "wamid.3", attempt=3, seconds=61),
    failed(M, attempt=1),
    canceled(M),
    reported(M, "wamid.2", DeliveryStatus.SENT, seconds=7, attempt=2),
    reported(M, "wamid.2", DeliveryStatus.DELIVERED, seconds=62, attempt=2),
    reported(M, "wamid.3", DeliveryStatus.FAILED, seconds=63, attempt=None),
    reported(M, "wamid.3", DeliveryStatus.READ, seconds=64, attempt=3),
)


@given(st.lists(st.sampled_from(FACTS), min_size=1), st.randoms(use_true_random=False))
def test_the_sum_depends_neither_on_order_nor_on_repetition(facts: list[Outcome], random: object) -> None:
    shuffled = [*facts, *facts]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object
    assert add_up(map(progress_of, shuffled)) == add_up(map(progress_of, facts))


@given(st.lists(st.sampled_from(FACTS), min_size=2), st.data())
def test_sums_of_parts_are_the_sum(facts: list[Outcome], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(facts) - 1))
    parts = [*add_up(map(progress_of, facts[:cut])), *add_up(map(progress_of, facts[cut:]))]
    assert add_up(parts) == add_up(map(progress_of, facts))


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([released(M)], EntryStatus.QUEUED),
        ([deferred(M), released(M)], EntryStatus.SCHEDULED),
        ([deferred(M), released(M, attempt=2)], EntryStatus.QUEUED),
        ([unsettled(M), released(M)], EntryStatus.UNKNOWN),
        ([unsettled(M), reported(M, "w", DeliveryStatus.SENT, seconds=1)], EntryStatus.SENT),
        ([sent(M, "w"), reported(M, "w", DeliveryStatus.FAILED, seconds=1)], EntryStatus.FAILED),
        ([failed(M), released(M, attempt=2), sent(M, "w", attempt=2)], EntryStatus.SENT),
        ([canceled(M), deferred(M, attempt=7)], EntryStatus.CANCELED),
        (
            [reported(M, "w", DeliveryStatus.READ, seconds=2), reported(M, "w", DeliveryStatus.DELIVERED, seconds=1)],
            EntryStatus.READ,
        ),
        ([reported(M, "w", DeliveryStatus.DELIVERED, seconds=2), failed(M, attempt=3)], EntryStatus.DELIVERED),
    ],
)
def test_the_highest_fact_is_the_state(facts: list[Outcome], status: EntryStatus) -> None:
    (progress,) = add_up(map(progress_of, facts))
    assert progress.status is status


def test_it_keeps_the_first_moment_of_its_state_and_the_latest_attempts_wamid() -> None:
    facts: list[Outcome] = [
        reported(M, "wamid.2", DeliveryStatus.DELIVERED, seconds=9, attempt=2),
        reported(M, "wamid.2", DeliveryStatus.DELIVERED, seconds=8, attempt=2),
        sent(M, "wamid.1", attempt=1),
    ]
    (progress,) = add_up(progress_of(fact) for fact in facts)
    assert progress.status_at == facts[1].occurred_at
    assert progress.wamid == "wamid.2"


def test_heights_of_all_states_differ_and_fit_the_column() -> None:
    heights = {height(status, attempt) for status in EntryStatus for attempt in (1, 2, 10**9)}
    assert len(heights) == 5 * 3 + 4
    assert max(heights) < 2**31
