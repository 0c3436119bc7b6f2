"""A dead letter as it may be shown."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.bus.dead_letters import DeadLetter
from shared.events.catalogue import AudienceWanted, MessageFailed, MessageReceived
from shared.events.codec import encode
from shared.events.values import Audience
from shared.ids import MessageId, NumberId, TenantId, new_id
from shared.personal import REDACTED


def letter(subject: str, body: bytes, queue: str = "archive.record") -> DeadLetter:
    return DeadLetter(queue, subject, body, "handler.failed", 6, datetime.now(UTC))


def received() -> tuple[MessageReceived, DeadLetter]:
    event = MessageReceived(
        tenant_id=TenantId(new_id("tnt")),
        number_id=NumberId(new_id("num")),
        wamid="wamid.1",
        sender="+15551234567",
        sender_name="Ada Lovelace",
        content={"type": "text", "text": {"body": "a private text"}},
        received_at=datetime.now(UTC),
    )
    [batch] = encode([event])
    return event, letter(batch.subject, batch.body)


def test_what_is_personal_is_left_out_of_what_is_shown() -> None:
    event, dead = received()
    [shown] = dead.redacted()
    assert shown["sender"] == shown["sender_name"] == shown["content"] == REDACTED
    assert shown["wamid"] == REDACTED, "a wamid holds the phone number in base64"
    assert (shown["event_id"], shown["number_id"]) == (event.event_id, event.number_id)
    assert "private" not in str(dead.redacted())


def test_words_of_tenants_and_providers_are_left_out_too() -> None:
    audience = AudienceWanted(
        tenant_id=TenantId(new_id("tnt")),
        run_id=new_id("run"),
        page=3,
        audience=Audience(filter={"phone": {"eq": "15551234567"}, "name": {"eq": "Ada"}}),
        limit=500,
        variants=[],
    )
    failed = MessageFailed(
        tenant_id=TenantId(new_id("tnt")),
        message_id=MessageId(new_id("msg")),
        attempt=1,
        code="provider.131026",
        detail="15551234567 is not on WhatsApp",
        started_at=datetime.now(UTC),
    )
    [asked], [told] = encode([audience]), encode([failed])
    [wanted] = letter(asked.subject, asked.body).redacted()
    [failure] = letter(told.subject, told.body).redacted()
    assert "Ada" not in str(wanted)
    assert "1555" not in f"{wanted} {failure}"
    assert (failure["code"], failure["attempt"], failure["message_id"]) == ("provider.131026", 1, failed.message_id)


def test_ids_are_read_even_where_the_rest_cannot_be() -> None:
    event_id, tenant_id = new_id("evt"), new_id("tnt")
    broken = letter(
        "message.received.v1",
        f'[{{"event_id": "{event_id}", "tenant_id": "{tenant_id}", "message_id": "+15551234567", "occurred_at": "Ada"}}]'.encode(),
    )
    assert broken.events == ()
    assert broken.envelope == {"event_id": event_id, "tenant_id": tenant_id}
    for body in (b"", b"[]", b"{}", b"[[]]", b'[{"event_id": 1}]', b"\xff", b"[" * 200_000):
        assert letter("message.received.v1", body).envelope == {}


def test_only_what_looks_like_a_subject_is_shown_as_one() -> None:
    """Anybody who may publish can write there what he likes, and it stands on an operator's terminal."""
    assert letter("message.received.v1", b"[]").shown_subject == "message.received.v1"
    for hostile in ("", "a\r\nb", "message.received.v1\r\n", "\x1b[2J.v1", "Ada Lovelace", "a" * 300 + ".v1"):
        assert letter(hostile, b"[]").shown_subject == ""


def test_the_id_tells_letters_apart_and_not_looks() -> None:
    _, dead = received()
    again = letter(dead.subject, dead.body)
    assert again.letter_id == dead.letter_id
    others = {
        letter(dead.subject, dead.body, "gateway.live").letter_id,
        letter("message.received.v2", dead.body).letter_id,
        letter(dead.subject, dead.body + b" ").letter_id,
    }
    assert len(others | {dead.letter_id}) == 4
