"""The provider's payloads: what is good in them is read, and nothing in them raises."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.webhook import account_ids, phone_number_ids, read
from services.gateway.domain.webhook.values import DEEPEST, moment, too_deep
from shared.events.values import DeliveryStatus

NUMBER = "106540352242922"
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))
MESSAGE = "msg_06b9q1k8g5t0v2c4d6e8f0g2h4"

STATUS: dict[str, Any] = {
    "id": "wamid.out",
    "status": "delivered",
    "timestamp": STAMP,
    "recipient_id": "15551234567",
    "biz_opaque_callback_data": f"{MESSAGE}.2",
}
INBOUND: dict[str, Any] = {"id": "wamid.in", "from": "15551234567", "timestamp": STAMP, "type": "text", "text": {"body": "hi"}}

any_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([STAMP, NUMBER, "delivered", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "entry",
                    "changes",
                    "value",
                    "metadata",
                    "phone_number_id",
                    "statuses",
                    "messages",
                    "contacts",
                    "id",
                    "timestamp",
                    "from",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


def payload(*values: Any) -> dict[str, Any]:
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": v} for v in values]}],
    }


def value(**parts: Any) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "metadata": {"phone_number_id": NUMBER}, **parts}


def test_a_report_names_its_message_and_attempt() -> None:
    (report,) = read(payload(value(statuses=[STATUS]))).reports
    assert (report.phone_number_id, report.wamid, report.status, report.at) == (
        NUMBER,
        "wamid.out",
        DeliveryStatus.DELIVERED,
        AT,
    )
    assert (report.message_id, report.attempt, report.error_code) == (MESSAGE, 2, None)


@pytest.mark.parametrize(
    "name",
    [None, "", "somebody else's", f"{MESSAGE}", f"{MESSAGE}.", f"{MESSAGE}.x", f"{MESSAGE}.1234567", f"{MESSAGE}.٣", 5, {}, []],
)
def test_a_name_that_is_not_ours_is_nobodys(name: Any) -> None:
    (report,) = read(payload(value(statuses=[{**STATUS, "biz_opaque_callback_data": name}]))).reports
    assert (report.message_id, report.attempt) == (None, None)


def test_a_failure_carries_the_first_readable_code() -> None:
    errors = [{"code": "131000"}, {"title": "x"}, 7, {"code": 131026, "title": "Undeliverable"}, {"code": 1}]
    (report,) = read(payload(value(statuses=[{**STATUS, "status": "failed", "errors": errors}]))).reports
    assert (report.status, report.error_code) == (DeliveryStatus.FAILED, "provider.131026")


def test_played_is_read() -> None:
    (report,) = read(payload(value(statuses=[{**STATUS, "status": "played"}]))).reports
    assert report.status is DeliveryStatus.READ


def test_an_inbound_message_has_its_sender_and_content() -> None:
    contacts = [{"wa_id": "15550000000", "profile": {"name": "Bob"}}, {"wa_id": "15551234567", "profile": {"name": "Ada"}}]
    (message,) = read(
        payload(value(contacts=contacts, messages=[{**INBOUND, "context": {"id": "wamid.x"}, "unheard_of": 1}]))
    ).inbound
    assert (message.wamid, message.sender, message.sender_name, message.at) == ("wamid.in", "+15551234567", "Ada", AT)
    assert message.content == {"type": "text", "text": {"body": "hi"}, "context": {"id": "wamid.x"}}


@pytest.mark.parametrize("stamp", [STAMP, int(STAMP), STAMP + "123", int(STAMP) * 1000 + 123])
def test_times_come_as_text_or_number_in_seconds_or_milliseconds(stamp: str | int) -> None:
    reading = read(payload(value(statuses=[{**STATUS, "timestamp": stamp}], messages=[{**INBOUND, "timestamp": stamp}])))
    assert [report.at for report in reading.reports] == [AT]
    assert [message.at for message in reading.inbound] == [AT]


@pytest.mark.parametrize(
    "change",
    [
        *({"timestamp": bad} for bad in (None, "", "soon", "-1", 0, -5, 1.5, True, "9" * 20, 10**30, "١٢٣", [], "4102444800")),
        *({"id": bad} for bad in (None, "", 5, "x" * 513, "a\0b", "wamid.\ud800", "a\nb")),
        *({"status": bad} for bad in ("", "x" * 65, None, 5, ["sent"])),
    ],
)
def test_a_report_that_cannot_be_understood_costs_itself_only(change: dict[str, Any]) -> None:
    reading = read(payload(value(statuses=[STATUS, {**STATUS, **change}, STATUS], messages=[INBOUND])))
    assert (len(reading.reports), len(reading.inbound), reading.not_understood) == (2, 1, 1)


@pytest.mark.parametrize(
    "change",
    [*({"from": bad} for bad in (None, "", "abc", True, 2**70, "1" * 21)), {"id": None}, {"timestamp": "soon"}],
)
def test_a_message_that_cannot_be_understood_costs_itself_only(change: dict[str, Any]) -> None:
    reading = read(payload(value(statuses=[STATUS], messages=[INBOUND, {**INBOUND, **change}, INBOUND])))
    assert (len(reading.reports), len(reading.inbound), reading.not_understood) == (1, 2, 1)


def test_parts_about_no_number_are_counted_and_the_others_read() -> None:
    account = {"event": "ACCOUNT_UPDATE"}
    reading = read(payload(account, value(statuses=[STATUS]), {"metadata": {"phone_number_id": 5}}))
    assert (len(reading.reports), reading.not_understood) == (1, 2)


def test_missing_types_are_told_from_the_content() -> None:
    untyped = {key: part for key, part in INBOUND.items() if key != "type"}
    bare = {key: part for key, part in untyped.items() if key != "text"}
    reading = read(payload(value(messages=[untyped, bare])))
    assert [message.content for message in reading.inbound] == [
        {"type": "text", "text": {"body": "hi"}},
        {"type": "unsupported"},
    ]


def test_what_the_database_cannot_hold_is_replaced() -> None:
    contacts = [{"wa_id": "15551234567", "profile": {"name": "A\0da"}}]
    (message,) = read(
        payload(value(contacts=contacts, messages=[{**INBOUND, "text": {"bo\0dy": ["a\0b", 2**64 - 1, 2**53]}}]))
    ).inbound
    assert message.sender_name == "A\ufffdda"
    assert message.content["text"] == {"bo\ufffddy": ["a\ufffdb", str(2**64 - 1), 2**53]}


@pytest.mark.parametrize("name", ["106\ud800", "\udfff", "106\0", ""])
def test_a_name_that_no_database_can_hold_names_nothing(name: str) -> None:
    tree = payload({"metadata": {"phone_number_id": name}, "statuses": [STATUS]})
    assert phone_number_ids(tree) == set()
    assert account_ids({"entry": [{"id": name}]}) == set()
    assert (read(tree).reports, read(tree).not_understood) == ([], 1)


@given(any_json)
def test_no_json_makes_the_reader_raise(tree: Any) -> None:
    assert isinstance(phone_number_ids(tree), set)
    assert read(tree).not_understood >= 0


@given(st.lists(any_json, max_size=3), st.lists(any_json, max_size=3), st.lists(any_json, max_size=3))
def test_good_parts_are_read_even_beside_broken_ones(statuses: list[Any], messages: list[Any], contacts: list[Any]) -> None:
    tree = payload(value(statuses=[*statuses, STATUS], messages=[INBOUND, *messages], contacts=contacts), *statuses)
    reading = read(tree)
    assert MESSAGE in {report.message_id for report in reading.reports}
    assert "wamid.in" in {message.wamid for message in reading.inbound}
    assert NUMBER in phone_number_ids(tree)


@pytest.mark.parametrize("depth", [40, 200, 900])
def test_a_content_of_any_depth_is_read_or_set_aside(depth: int) -> None:
    text = json.dumps(payload(value(messages=[INBOUND, {**INBOUND, "id": "wamid.deep", "text": "DEEP"}], statuses=[STATUS])))
    reading = read(orjson.loads(text.replace('"DEEP"', "[" * depth + "]" * depth)))
    assert len(reading.reports) == 1
    assert reading.inbound[0].wamid == "wamid.in"
    assert len(reading.inbound) + reading.not_understood == 2


def test_parts_of_every_kind_beside_each_other_are_read() -> None:
    echo = {**INBOUND, "id": "wamid.e", "from": "15550783881", "to": "15551234567"}
    switch = {"wa_id": "15551234567", "category": "marketing_messages", "value": "stop", "timestamp": int(STAMP)}
    reading = read(
        payload(value(statuses=[STATUS], messages=[INBOUND], message_echoes=[echo], user_preferences=[switch, {"value": 1}]))
    )
    found = (len(reading.reports), len(reading.inbound), len(reading.echoes), len(reading.preferences))
    assert (found, reading.not_understood) == ((1, 1, 1, 1), 1)


def test_a_part_that_is_kept_as_it_is_stands_alone() -> None:
    contacts = [{"wa_id": "15551234567"}, {"wa_id": "15550000000"}]
    others = {"statuses": [{**STATUS, "status": "teleported"}, STATUS], "messages": [INBOUND]}
    (change,) = read(payload(value(contacts=contacts, **others))).changes
    assert change.value == value(contacts=contacts[:1], statuses=others["statuses"][:1])


def test_what_is_too_deep_in_one_list_does_not_go_with_the_parts_of_another() -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    reading = read(payload(value(statuses=[{**STATUS, "status": "teleported"}], messages=[deep, INBOUND])))
    assert (len(reading.changes), len(reading.inbound), reading.not_understood) == (1, 1, 1)
    assert too_deep(reading.changes[0].value) is False


@pytest.mark.parametrize("levels", [1, 63, 64, 65, 66])
def test_so_many_levels_are_carried(levels: int) -> None:
    tree: Any = []
    for level in range(levels - 1):
        tree = [1, tree] if level % 2 else {"text": "x", "deep": tree}
    assert too_deep(tree) is (levels > DEEPEST)


def test_a_long_text_is_no_time_and_not_remembered() -> None:
    assert moment("1" * 16) is None
    assert moment("000001750263773") is not None


NO_ONES: dict[str, Any] = {"id": "wamid.secret", "timestamp": "1"}


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (None, "1 part not understood: not JSON"),
        ({"object": "secret"}, "1 part not understood: no entries"),
        ({"entry": [{"secret": 1}]}, "1 part not understood: no change with a value"),
        (payload(value(messages=["secret"])), "1 part not understood: messages[0]: not an object"),
        (payload(value(messages={"secret": 1})), "1 part not understood: messages: not a list"),
        (payload(value(statuses=[NO_ONES | {"timestamp": "secret"}])), "1 part not understood: statuses[0]: no timestamp"),
        (
            {"entry": [*payload(value(messages=[5]))["entry"], *payload(value(messages=[NO_ONES]))["entry"]]},
            "2 parts not understood: messages[0]: not an object; entry[1].changes[0].messages[0]: nobody whom it is from",
        ),
        (
            payload(value(messages=[1] * 9)),
            f"9 parts not understood: {'; '.join(f'messages[{n}]: not an object' for n in range(5))}; and more",
        ),
    ],
)
def test_what_is_missed_is_named_without_its_content(tree: Any, reason: str) -> None:
    assert read(tree).missed.reason == reason
