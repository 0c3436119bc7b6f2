"""Who is posted to how often at once: whoever is silent leaves the others their place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.sender.domain.callback_rooms import FIRST, MOST, Rooms


def begin(rooms: Rooms, shares: dict[str, int]) -> None:
    for one, room in shares.items():
        for _ in range(room):
            rooms.begin(one)


def test_who_answers_gets_more_at_once_up_to_a_bound() -> None:
    rooms = Rooms(1_000)
    assert rooms.share_out(["a"]) == {"a": FIRST}
    for _ in range(200):
        rooms.begin("a")
        rooms.end("a", is_sick=False)
    assert rooms.share_out(["a"]) == {"a": MOST}


def test_nobody_takes_more_than_half_of_what_is_free() -> None:
    rooms = Rooms(16)
    for _ in range(100):
        rooms.begin("a")
        rooms.end("a", is_sick=False)
    assert rooms.share_out(["a", "b"]) == {"a": 8, "b": FIRST}


def test_the_sick_have_one_each_and_a_quarter_together() -> None:
    rooms = Rooms(16)
    dead = [f"dead{n}" for n in range(40)]
    for one in dead:
        rooms.begin(one)
        rooms.end(one, is_sick=True)
    begin(rooms, rooms.share_out(dead))
    assert rooms.busy == 4
    assert rooms.share_out([*dead, "sound"]) == {"sound": FIRST}


def test_the_slow_have_half_together_and_the_one_with_the_fewest_under_way_is_next() -> None:
    rooms = Rooms(16)
    for one in ("slow1", "slow2"):
        for _ in range(20):
            rooms.begin(one)
            rooms.end(one, is_sick=False, seconds=14.0)
    begin(rooms, rooms.share_out(["slow1", "slow2"]))
    assert rooms.busy == 8
    assert rooms.full() >= {"slow1", "slow2"}
    assert rooms.share_out(["slow1", "slow2", "quick"]) == {"quick": FIRST}
    rooms.end("slow1", is_sick=False, seconds=14.0)
    assert rooms.share_out(["slow1", "slow2"]) == {"slow2": 1}

    rooms = Rooms(4)
    begin(rooms, {"busy": 3})
    assert rooms.share_out(["busy", "idle"]) == {"idle": 1}


def test_who_is_quick_again_is_not_slow_for_long() -> None:
    rooms = Rooms(4)
    for seconds in [9.0] * 9 + [0.01] * 12:
        rooms.begin("a")
        rooms.end("a", is_sick=False, seconds=seconds)
    begin(rooms, {"a": 2})
    assert rooms.full() == set()


def test_the_sick_are_left_out_where_their_places_are_taken() -> None:
    rooms = Rooms(4)
    for one in ("a", "b"):
        rooms.begin(one)
        rooms.end(one, is_sick=True)
    rooms.begin("a")
    assert rooms.full() == {"a", "b"}
    rooms.end("a", is_sick=True)
    assert rooms.full() == set()


def test_who_recovers_is_sound_again() -> None:
    rooms = Rooms(16)
    rooms.begin("a")
    rooms.end("a", is_sick=True)
    assert rooms.share_out(["a"]) == {"a": 1}
    rooms.begin("a")
    rooms.end("a", is_sick=False)
    assert rooms.share_out(["a"]) == {"a": FIRST + 1}


def test_whom_others_found_failing_is_suspected_until_it_answers_here() -> None:
    rooms = Rooms(16)
    rooms.suspect("a")
    assert rooms.share_out(["a"]) == {"a": 1}
    rooms.begin("a")
    rooms.end("a", is_sick=False)
    rooms.suspect("a")
    assert rooms.share_out(["a"])["a"] > 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans(), st.integers(0, 5)), max_size=60), st.integers(1, 40))
def test_there_are_never_more_posts_than_slots_and_none_is_lost(steps: list[tuple[str, bool, int]], size: int) -> None:
    rooms, under_way = Rooms(size), []
    for one, is_sick, ended in steps:
        shares = rooms.share_out([one, "z"])
        begin(rooms, shares)
        under_way += [name for name, room in shares.items() for _ in range(room)]
        assert rooms.busy == len(under_way) <= size
        for name in under_way[:ended]:
            rooms.end(name, is_sick=is_sick)
        del under_way[:ended]
    for name in under_way:
        rooms.end(name, is_sick=False)
    assert rooms.free == size
    assert not rooms.full()
