"""Members of the last day."""

from __future__ import annotations

from services.sandbox.domain.recent import DAY_SECONDS, Recent


def test_a_member_counts_for_a_day_after_it_was_last_seen() -> None:
    users = Recent(100)
    users.see("a", 0.0)
    users.see("b", 10.0)
    users.see("a", 20.0)
    assert users.count(DAY_SECONDS + 9.9) == 2
    assert users.has("b", DAY_SECONDS + 9.9)
    assert not users.has("b", DAY_SECONDS + 10.0)
    assert users.count(DAY_SECONDS + 10.0) == 1
    assert users.has("a", DAY_SECONDS + 19.9)
    assert users.count(DAY_SECONDS + 20.0) == 0


def test_beyond_the_bound_the_longest_unseen_is_forgotten() -> None:
    users = Recent(2)
    for place, member in enumerate(("a", "b", "a", "c")):
        users.see(member, float(place))
    assert [users.has(member, 4.0) for member in "abc"] == [True, False, True]
