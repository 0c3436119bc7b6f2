"""Events to bytes and back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.events.catalogue import MessageAccepted, MessageCanceled, MessageReceived
from shared.events.codec import LONG_BYTES, LONGEST_BYTES, MAX_BATCH_BYTES, decode, encode, packed, unpacked
from shared.events.event import MAX_BATCH_EVENTS, Event
from shared.ids import MessageId, TenantId, new_id
from tests.contract.events.samples import samples

free_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def canceled(count: int) -> list[MessageCanceled]:
    return [MessageCanceled(tenant_id=TenantId("t"), message_id=MessageId(new_id("msg"))) for _ in range(count)]


@pytest.mark.parametrize("subject", sorted(samples()))
def test_every_kind_of_event_comes_back_as_it_was(subject: str) -> None:
    event = samples()[subject]
    (batch,) = encode([event])
    assert (batch.subject, batch.count) == (subject, 1)
    assert list(decode(batch.subject, batch.body)) == [event]


@given(content=st.dictionaries(st.text(max_size=5), free_json, max_size=4), name=st.none() | st.text())
def test_whatever_json_a_content_holds_comes_back_as_it_was(content: dict[str, Any], name: str | None) -> None:
    sample = samples()["message.received.v1"]
    assert isinstance(sample, MessageReceived)
    event = MessageReceived(**{**dict(sample), "content": content, "sender_name": name})
    (batch,) = encode([event])
    assert list(decode(batch.subject, batch.body)) == [event]


def test_what_is_not_there_is_not_written() -> None:
    (batch,) = encode([MessageCanceled(tenant_id=TenantId("t"), message_id=MessageId("m"))])
    assert b"traceparent" not in batch.body


@pytest.mark.parametrize(
    ("flags", "told"), [("01", True), ("03", True), ("01-more", True), ("00", False), ("02", False), ("", False)]
)
def test_a_trace_that_nobody_records_is_not_told(flags: str, told: bool) -> None:
    traceparent = f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"
    event = MessageCanceled(tenant_id=TenantId("t"), message_id=MessageId("m"), traceparent=traceparent)
    assert event.traceparent == (traceparent if told else None)


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (256, [256]), (257, [256, 1]), (600, [256, 256, 88])])
def test_batches_are_cut_at_256_and_keep_the_order(count: int, sizes: list[int]) -> None:
    assert MAX_BATCH_EVENTS == 256
    events = canceled(count)
    batches = encode(events)
    assert [batch.count for batch in batches] == sizes
    assert [event for batch in batches for event in decode(batch.subject, batch.body)] == events


@pytest.mark.parametrize(("size", "counts"), [(1_000, [256]), (6_000, [128, 128]), (3_000_000, [1, 1, 1])])
def test_batches_are_cut_by_bytes_too_and_keep_the_order(size: int, counts: list[int]) -> None:
    sample = samples()["message.accepted.v1"]
    content = {"type": "text", "text": {"body": "x" * size}}
    events = [sample.model_copy(update={"content": content, "event_id": new_id("evt")}) for _ in range(sum(counts))]
    batches = encode(events)
    assert [batch.count for batch in batches] == counts
    assert all(len(unpacked(batch.body)) <= MAX_BATCH_BYTES or batch.count == 1 for batch in batches)
    assert [event for batch in batches for event in decode(batch.subject, batch.body)] == events


def test_events_of_several_kinds_make_a_batch_each_in_the_order_of_their_kind() -> None:
    first, second = canceled(2), samples()["message.sent.v1"]
    batches = encode([first[0], second, first[1]])
    assert [(batch.subject, list(decode(batch.subject, batch.body))) for batch in batches] == [
        ("message.canceled.v1", first),
        ("message.sent.v1", [second]),
    ]


def test_an_unknown_subject_is_dead_at_once() -> None:
    with pytest.raises(Permanent) as caught:
        decode("message.accepted.v9", b"[]")
    assert caught.value.code == "event.unknown_subject"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"{}",
        b"null",
        b"[1]",
        b"[{}]",
        b"\xff",
        b'[{"tenant_id": "t", "message_id": 5}]',
        b'[{"tenant_id": "t", "message_id": "m", "occurred_at": "2026-11-20T10:00:00"}]',
    ],
)
def test_bytes_that_are_no_events_are_dead_at_once_and_quoted_nowhere(body: bytes) -> None:
    with pytest.raises(Permanent) as caught:
        decode("message.canceled.v1", body)
    assert caught.value.code == "event.malformed"
    assert str(caught.value) == "event.malformed"


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with suppress(Permanent):
        decode("message.accepted.v1", body)


def test_fields_of_a_newer_writer_are_passed_over() -> None:
    event = samples()["message.accepted.v1"]
    assert isinstance(event, MessageAccepted)
    (batch,) = encode([event])
    newer = batch.body.replace(b'[{"', b'[{"invented_later":{"a":[1]},"', 1)
    assert list(decode(batch.subject, newer)) == [event]


def test_a_name_and_version_is_declared_once() -> None:
    with pytest.raises(TypeError, match=r"message\.sent\.v1 is declared twice"):

        class _Again(Event, name="message.sent", version=1, owner="sender"):
            """Twice."""


def test_a_message_alone_stays_readable_and_a_batch_is_compressed() -> None:
    (alone,), (batch,) = encode(canceled(1)), encode(canceled(MAX_BATCH_EVENTS))
    assert alone.body.startswith(b'[{"')
    assert len(batch.body) < len(unpacked(batch.body)) / 4
    assert unpacked(alone.body) == alone.body


def test_plain_json_of_any_length_is_read_too() -> None:
    (batch,) = encode(canceled(MAX_BATCH_EVENTS))
    assert len(decode(batch.subject, unpacked(batch.body))) == MAX_BATCH_EVENTS


@pytest.mark.parametrize(
    "broken",
    [
        packed(b"[" + b" " * LONG_BYTES)[:-9],
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
        zstandard.compress(b"\xff" * LONG_BYTES),
        zstandard.ZstdCompressor(write_content_size=False).compress(b"[]"),
    ],
    ids=["cut off", "no more than the magic", "rubbish", "no JSON within", "no length told"],
)
def test_a_body_that_is_broken_is_malformed_for_ever(broken: bytes) -> None:
    with pytest.raises(Permanent) as raised:
        decode("message.canceled.v1", broken)
    assert raised.value.code == "event.malformed"


def test_a_broken_body_does_not_spoil_the_next() -> None:
    text = b"[" + b" " * LONG_BYTES + b"]"
    body = packed(text)
    for end in range(5, len(body)):
        with pytest.raises(ValueError, match="zstd"):
            unpacked(body[:end])
        assert unpacked(packed(text)) == text


def test_threads_pack_side_by_side() -> None:
    texts = [bytes([65 + n]) * (LONG_BYTES * 50) for n in range(8)]

    def there_and_back(text: bytes) -> bool:
        return all(unpacked(packed(text)) == text for _ in range(200))

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(there_and_back, texts))


def test_a_body_that_claims_an_absurd_length_is_not_unpacked() -> None:
    frame = bytearray(zstandard.compress(b"\0" * (LONGEST_BYTES + 1)))
    with pytest.raises(ValueError, match="absurd"):
        unpacked(bytes(frame))
