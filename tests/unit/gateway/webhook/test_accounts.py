"""News of accounts, numbers and templates, and what they mean for numbers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from services.gateway.domain.number_news import Aspect, said_of, shown_number
from services.gateway.domain.webhook import read
from tests.unit.gateway.webhook.corpus import ACCOUNT, NUMBER, TEMPLATE, UNDERSTOOD, change, news, said, status


def test_an_unknown_field_is_kept_as_it_is() -> None:
    reading = read(UNDERSTOOD["field of tomorrow"])
    (told,) = reading.changes
    assert (told.field, told.origin.account_id, told.value) == ("something_new", ACCOUNT, {"anything": [1, {"x": None}]})
    assert told.origin.at is not None
    assert reading.account_ids == {ACCOUNT}


def test_a_template_is_told_and_kept_as_it_is() -> None:
    reading = read(UNDERSTOOD["template status"])
    assert [notice.status for notice in reading.templates] == ["approved"]
    assert [one.field for one in reading.changes] == ["message_template_status_update"]


def test_errors_of_a_number_are_kept_without_the_statuses_beside_them() -> None:
    reading = read(said(status(), key="statuses", errors=[{"code": 130429}]))
    (told,) = reading.changes
    assert len(reading.reports) == 1
    assert "statuses" not in told.value


def test_a_list_is_told_one_by_one() -> None:
    good = {"wa_id": "16505551234", "category": "marketing_messages", "value": "stop", "timestamp": 1750263773}
    reading = read(said(good, {**good, "value": "resume"}, {"value": 5}, field="user_preferences", key="user_preferences"))
    assert ([one.stops for one in reading.preferences], reading.not_understood) == ([True, False], 1)
    assert [one.value["user_preferences"] for one in reading.changes] == [[good], [{**good, "value": "resume"}]]


def test_what_its_tenant_may_not_speak_of_is_not_understood() -> None:
    for payload in UNDERSTOOD.values():
        whole, nobodys, own = read(payload), read(payload), read(payload)
        nobodys.keep_only(set(), set())
        assert nobodys.not_understood == whole.parts
        assert nobodys.parts == whole.parts
        own.keep_only({NUMBER}, {ACCOUNT})
        assert own.not_understood == 0


@pytest.mark.parametrize(
    "payload",
    [
        None, [], {}, 5, "x", {"entry": []}, {"entry": 5}, {"entry": ["x"]}, {"entry": [{"id": "1"}]}, {"entry": [{"changes": []}]},
        {"entry": [{"changes": ["x"]}]}, {"entry": [{"changes": [{"field": "messages"}]}]}, change("messages", {}),
        change("messages", {"metadata": {"phone_number_id": NUMBER}}), {"entry": [{"id": "1", "changes": [{"value": {"a": 1}}]}]},
        said("x"), said(5, key="statuses"), said(), change("messages", {"metadata": {"phone_number_id": NUMBER}, "messages": {}}),
        said(field="history", key="history", history=5), said(field="smb_message_echoes", key="message_echoes"),
        change("user_preferences", {"user_preferences": 5}), change("x" * 65, {"a": 1}),
    ],
)  # fmt: skip
def test_a_payload_in_which_nothing_is_understood_says_so(payload: Any) -> None:
    reading = read(payload)
    assert reading.parts == reading.not_understood > 0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"}, ["limit TIER_1K", "quality red"]),
        ("phone_number_quality_update", {"event": "UNFLAGGED"}, ["quality None"]),
        ("phone_number_quality_update", {"event": "THROUGHPUT_UPGRADE"}, ["throughput high"]),
        ("phone_number_quality_update", {"event": [], "current_limit": True}, []),
        ("phone_number_name_update", {"decision": "APPROVED", "requested_verified_name": "L"}, ["status approved", "name L"]),
        ("phone_number_name_update", {"decision": "REJECTED", "requested_verified_name": "L"}, ["status rejected"]),
        ("business_capability_update", {"max_daily_conversations_per_business": 2000}, ["limit 2000"]),
        ("business_capability_update", {"max_daily_conversation_per_phone": -1}, ["limit -1"]),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}, ["standing disabled"]),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "SCHEDULE_FOR_DISABLE"}}, []),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}, ["standing good"]),
        ("account_update", {"event": "DISABLED_UPDATE", "ban_info": []}, []),
        ("account_update", {"event": "ACCOUNT_DELETED"}, ["standing deleted"]),
        (
            "account_update",
            {
                "event": "ACCOUNT_RESTRICTION",
                "restriction_info": [{"restriction_type": "RESTRICTED_CUSTOMER_INITIATED_MESSAGING"}],
            },
            ["standing restricted"],
        ),
        (
            "account_update",
            {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": []}, 5, {"restriction_type": "OTHER"}]},
            [],
        ),
        ("account_update", {"event": ["x"]}, []),
        ("security", {"event": "PIN_CHANGED"}, []),
    ],
)
def test_what_news_say_of_a_number(field: str, value: dict[str, Any], said: list[str]) -> None:
    short = {Aspect.MESSAGING_LIMIT: "limit", Aspect.NAME_STATUS: "status", Aspect.VERIFIED_NAME: "name"}
    assert [f"{short.get(aspect, aspect.value)} {told}" for aspect, told in said_of(field, value)] == said


@pytest.mark.parametrize(
    ("shown", "digits"), [("+1 555-078-3881", "15550783881"), ("15550783881", "15550783881"), ("x", None), (5, None)]
)
def test_a_number_is_named_as_people_write_it(shown: Any, digits: str | None) -> None:
    assert shown_number({"display_phone_number": shown}) == digits


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone_number_quality_update", {"current_limit": None, "max_daily_conversations_per_business": "TIER_2K"}),
        (
            "business_capability_update",
            {"max_daily_conversations_per_business": None, "max_daily_conversation_per_phone": "TIER_2K"},
        ),
    ],
)
def test_a_limit_is_told_by_whichever_member_has_it(field: str, value: dict[str, Any]) -> None:
    assert list(said_of(field, value)) == [(Aspect.MESSAGING_LIMIT, "TIER_2K")]


def test_a_template_is_told_of_whatever_an_id_and_a_time_are_written_as() -> None:
    payload = news("message_template_status_update", {**TEMPLATE, "event": "PAUSED"})
    payload["entry"][0] |= {"id": 102290129340398, "time": 1_739_321_024_000}
    (told,) = read(payload).templates
    assert (told.account_id, told.at) == ("102290129340398", datetime.fromtimestamp(1_739_321_024, UTC))
