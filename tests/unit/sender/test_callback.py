"""What callbacks are told, in which words, under which signature, and when again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from services.sender.callbacks.keys import new_secret
from services.sender.callbacks.trial import sample
from services.sender.domain.callback import (
    DISABLED,
    EXHAUSTED,
    SCHEDULE,
    CallbackFormat,
    DeliveryState,
    Reply,
    body_of,
    headers_of,
    is_standard_secret,
    judge,
    meta_body,
    retry_after_seconds,
    selects,
)
from shared.auth import signatures
from shared.events.catalogue import UpdateTold
from shared.ids import NumberId, TenantId, new_id

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
TENANT = TenantId("tnt_a")


def told(**changes: Any) -> UpdateTold:
    update = UpdateTold(tenant_id=TENANT, update_id="upd_1", type="message.received", at=NOW, data={"id": "msg_1"})
    return update.model_copy(update=changes)


@pytest.mark.parametrize(
    ("patterns", "kind", "expected"),
    [
        (["*"], "message.received", True),
        (["message.*"], "message.received", True),
        (["message.*"], "message.x.y", True),
        (["message.received"], "message.received", True),
        (["message.received"], "message.receive", False),
        (["message.*"], "messages.received", False),
        (["message.*"], "message", False),
        (["template.*", "message.read"], "message.read", True),
        (["template.*"], "message.read", False),
    ],
)
def test_patterns_choose_by_type(patterns: list[str], kind: str, expected: bool) -> None:
    assert selects(patterns, None, told(type=kind)) is expected


def test_numbers_choose_and_what_is_of_no_number_comes_only_to_those_who_name_none() -> None:
    number, other = NumberId(new_id("num")), NumberId(new_id("num"))
    assert selects(["*"], [number], told(number_id=number))
    assert not selects(["*"], [other], told(number_id=number))
    assert not selects(["*"], [number], told())
    assert selects(["*"], None, told())


def test_a_form_without_words_for_an_update_is_not_told_it() -> None:
    assert body_of(CallbackFormat.META, told()) is None
    assert body_of(CallbackFormat.STANDARD, told(data={})) is None
    assert body_of(CallbackFormat.STANDARD, told()) is not None


def test_the_standard_body_names_type_time_and_update() -> None:
    number = NumberId(new_id("num"))
    body = body_of(CallbackFormat.STANDARD, told(number_id=number))
    assert body is not None
    assert orjson.loads(body) == {
        "type": "message.received",
        "timestamp": "2026-11-22T10:00:00Z",
        "id": "upd_1",
        "number_id": number,
        "data": {"id": "msg_1"},
    }


def test_the_providers_form_is_one_update_escaped_as_the_provider_does() -> None:
    value = {"messages": [{"text": {"body": "Grüße 🎉 a/b c@d <e> \u2028"}}]}
    body = meta_body({"entry_id": "102290129340398", "field": "messages", "value": value}, NOW)
    assert body.isascii()
    assert rb"Gr\u00fc\u00dfe \ud83c\udf89 a\/b c\u0040d <e> \u2028" in body
    assert json.loads(body) == {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    }


def test_updates_of_an_account_carry_their_time() -> None:
    body = meta_body({"entry_id": "1", "field": "account_update", "value": {}}, NOW)
    assert json.loads(body)["entry"][0]["time"] == int(NOW.timestamp())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(value=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_escaping_changes_nothing_of_what_is_said(value: dict[str, Any]) -> None:
    body = meta_body({"entry_id": "1", "field": "messages", "value": value}, NOW)
    assert body.isascii()
    assert json.loads(body)["entry"][0]["changes"][0]["value"] == value


def test_metas_signature_is_over_the_very_bytes() -> None:
    body = b'{"a":1}'
    headers = headers_of(CallbackFormat.META, ["app secret", "former"], "upd_1", body, NOW)
    assert headers[signatures.HEADER] == "sha256=" + hmac.new(b"app secret", body, hashlib.sha256).hexdigest()
    assert headers["User-Agent"] == "facebookexternalua"


def test_the_standards_own_library_takes_the_signature_of_either_secret() -> None:
    now = datetime.now(UTC)
    present, former = new_secret(CallbackFormat.STANDARD), new_secret(CallbackFormat.STANDARD)
    body = body_of(CallbackFormat.STANDARD, told(data={"text": "Grüße"}))
    assert body is not None
    headers = headers_of(CallbackFormat.STANDARD, [present, former], "upd_1", body, now)
    for secret in (present, former):
        assert Webhook(secret).verify(body, headers)["id"] == "upd_1"
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret(CallbackFormat.STANDARD)).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(present).verify(body + b" ", headers)


@pytest.mark.parametrize("size", [24, 32, 64])
def test_secrets_of_the_standard_are_taken(size: int) -> None:
    assert is_standard_secret("whsec_" + base64.b64encode(bytes(size)).decode())


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "plain text that is long", "whsec_" + "A" * 16, "whsec_ü"])
def test_others_are_not(secret: str) -> None:
    assert not is_standard_secret(secret)


def answered(status: int | None, **rest: Any) -> Reply:
    return Reply(status, 0.1, error=None if status else "timed_out", **rest)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_delivered(status: int) -> None:
    assert judge(answered(status), 3, NOW, 0.5).state is DeliveryState.DELIVERED


@pytest.mark.parametrize("status", [None, 100, 301, 400, 401, 404, 429, 500, 503])
def test_all_else_comes_again_by_the_schedule_and_is_given_up_after_ten(status: int | None) -> None:
    failures = 0
    waits = []
    while (verdict := judge(answered(status), failures, NOW, 0.5)).state is DeliveryState.WAITING:
        waits.append(verdict.wait)
        failures = verdict.failures
    assert waits == pytest.approx([5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400])
    assert (verdict.state, verdict.code, verdict.failures) == (DeliveryState.FAILED, EXHAUSTED, 10)
    assert SCHEDULE[0] == 0


@given(failures=st.integers(0, 8), jitter=st.floats(0, 1))
def test_jitter_moves_a_wait_by_a_tenth_at_most(failures: int, jitter: float) -> None:
    wait = judge(answered(500), failures, NOW, jitter).wait
    assert wait == pytest.approx(SCHEDULE[failures + 1], rel=0.1001)


def test_gone_ends_at_once() -> None:
    verdict = judge(answered(410), 0, NOW, 0.5)
    assert (verdict.state, verdict.code) == (DeliveryState.FAILED, DISABLED)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("Sun, 22 Nov 2026 10:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("9" * 400, 0),
        ("Mon, 99 Xxx 99999 99:99:99 GMT", 0),
        (None, 0),
    ],
)
def test_retry_after_is_read_in_both_forms_and_nonsense_is_none(header: str | None, seconds: float) -> None:
    assert retry_after_seconds(header, NOW) == seconds


def test_retry_after_makes_a_wait_longer_never_shorter_and_not_beyond_a_day() -> None:
    assert judge(answered(503, retry_after="60"), 0, NOW, 0.5).wait == 60
    assert judge(answered(503, retry_after="1"), 0, NOW, 0.5).wait == 5
    far = judge(answered(429, retry_after="999999999"), 0, NOW, 0.5)
    assert (far.wait, far.rest) == (86_400, 86_400)
    assert judge(answered(400, retry_after="60"), 0, NOW, 0.5).rest == 0, "who only refuses one thing wants the others"


def test_the_sample_of_a_test_has_words_in_both_forms() -> None:
    update = sample(NOW + timedelta(seconds=1))
    for form in CallbackFormat:
        assert body_of(form, update) is not None
