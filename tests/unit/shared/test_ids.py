"""Ids name their kind and sort by the time of their making."""

from __future__ import annotations

import base64
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids
from shared.ids import MESSAGE_ID_PATTERN, is_id, made_at, new_id, uuid7


def test_an_id_is_its_prefix_and_26_characters() -> None:
    made = new_id("msg")
    assert re.fullmatch(MESSAGE_ID_PATTERN, made)
    assert is_id(made, "msg")
    assert not is_id(made, "num")


def test_ids_sort_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = count(1_790_000_000_000_000_000, 300)  # nanoseconds; a UUIDv7 tells 244 ns apart
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    made = [new_id("msg") for _ in range(20_000)]
    assert made == sorted(made)


def test_ids_made_by_many_threads_at_once_are_all_different() -> None:
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda _: [new_id("evt") for _ in range(2_000)], range(8)))
    assert len({made for part in parts for made in part}) == 16_000


def test_ids_of_one_moment_are_all_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_790_000_000_000_000_000)
    assert len({new_id("evt") for _ in range(10_000)}) == 10_000


def test_it_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(int=uuid7())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert abs((made.int >> 80) / 1000 - time.time()) < 5


def test_an_id_is_the_uuid_in_base32hex(monkeypatch: pytest.MonkeyPatch) -> None:
    value = 0x0199_A5F3_1C2D_7ABC_8123_4567_89AB_CDEF
    monkeypatch.setattr(ids, "uuid7", lambda: value)
    monkeypatch.setattr(ids, "_series", ids._Series())
    assert ids.new_id("msg") == "msg_" + base64.b32hexencode(value.to_bytes(16, "big")).decode().rstrip("=").lower()


@given(st.text(max_size=40), st.sampled_from(["msg", "num", "a.b"]))
def test_no_other_text_is_taken_for_an_id(text: str, prefix: str) -> None:
    assert not is_id(text, prefix) or re.fullmatch(f"{re.escape(prefix)}_[0-9a-v]{{26}}", text)


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda text: text + "\n", lambda text: text[:-1], lambda text: text + "0", lambda text: text[:-1] + "w"],
)
def test_what_is_nearly_an_id_is_none(change: object) -> None:
    assert callable(change)
    assert not is_id(change(new_id("msg")), "msg")


def test_an_id_says_when_it_was_made() -> None:
    before = datetime.now(UTC)
    made = made_at(new_id("ent"))
    assert before - timedelta(milliseconds=1) <= made <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["", "ent_", "ent_1", "ent_06h07nbbklqhlc2ajj44bjuaZZ", "06h07nbbklqhlc2ajj44bjuakxx"])
def test_what_is_no_id_was_never_made(text: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        made_at(text)
