"""Webhook payloads, and how a recipient's conduct is found."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.sandbox.domain.behaviour import Behaviour, Faults
from services.sandbox.domain.conduct import CONDUCTS, SUFFIXES, Fate, steps_for
from services.sandbox.domain.updates import Accepted, InboundUpdate, Line, StatusUpdate, envelope, size_bound
from services.sandbox.domain.wire import escape

ONE = Line("101", "9001", "15550000001")
TWO = Line("102", "9001", "15550000002")
ELSEWHERE = Line("103", "9002", "15550000003")


def message(line: Line, wamid: str, *, failure: int | None = None, callback_data: str | None = None) -> Accepted:
    return Accepted(line, wamid, "4915112345678", None, is_template=False, callback_data=callback_data, failure=failure)


def test_updates_are_grouped_by_account_number_and_kind() -> None:
    payload = envelope(
        [
            StatusUpdate(message(ONE, "a"), "sent", 1),
            StatusUpdate(message(TWO, "b"), "sent", 2),
            InboundUpdate(ONE, "c", "4915112345678", None, "Ana", "hi", 3),
            StatusUpdate(message(ELSEWHERE, "d"), "read", 4),
            StatusUpdate(message(ONE, "a"), "delivered", 5),
        ]
    )
    assert payload["object"] == "whatsapp_business_account"
    assert [entry["id"] for entry in payload["entry"]] == ["9001", "9002"]
    values = [change["value"] for change in payload["entry"][0]["changes"]]
    assert [value["metadata"]["phone_number_id"] for value in values] == ["101", "102", "101"]
    assert [item["status"] for item in values[0]["statuses"]] == ["sent", "delivered"]
    assert values[0]["contacts"] == [{"wa_id": "4915112345678"}]
    assert values[2]["messages"][0] == {
        "from": "4915112345678",
        "id": "c",
        "timestamp": "3",
        "type": "text",
        "text": {"body": "hi"},
    }


def test_a_failure_carries_its_error_and_no_contact() -> None:
    payload = envelope([StatusUpdate(message(ONE, "a", failure=131026), "failed", 1)])
    value = payload["entry"][0]["changes"][0]["value"]
    assert "contacts" not in value
    assert value["statuses"][0]["errors"][0]["code"] == 131026


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=512))
def test_the_size_bound_holds(text: str) -> None:
    updates = (
        InboundUpdate(ONE, "wamid." + "x" * 94, "4" * 15, None, "Ana", text, 10**9),
        StatusUpdate(message(ONE, "wamid." + "x" * 94, callback_data=text), "delivered", 10**9),
        StatusUpdate(message(ONE, "wamid." + "x" * 94, callback_data=text, failure=131056), "failed", 10**9),
    )
    for update in updates:
        assert len(escape(orjson.dumps(envelope([update])).decode())) <= size_bound(update)


def test_a_named_recipient_comes_before_its_suffix_and_that_before_the_default() -> None:
    behaviour = Behaviour(recipients={"19991230002": "reads"}, default_conduct="sent_only")
    assert behaviour.conduct_of("19991230002").name == "reads"
    assert behaviour.conduct_of("19999990002").name == "undeliverable"
    assert behaviour.conduct_of("15559999999").name == "sent_only"
    assert Behaviour(suffixes=False).conduct_of("19999990002").name == "replies"


def test_conduct_names_are_unique() -> None:
    assert len(CONDUCTS) == len(SUFFIXES) + 1


def test_a_reaction_is_only_ever_sent() -> None:
    assert steps_for(CONDUCTS["replies"], "reaction") == ("sent",)
    assert steps_for(CONDUCTS["undeliverable"], "reaction") == ("failed",)


def test_faults_share_the_whole() -> None:
    faults = Faults(hang_after_accept=0.1, reset_after_accept=0.2, http_500=0.3)
    drawn = [faults.draw(chance) for chance in (0.0, 0.15, 0.35, 0.7)]
    assert drawn == [(Fate.HANGS, True), (Fate.RESET, True), (Fate.BROKEN_500, False), None]
    with pytest.raises(ValidationError, match="more than 1"):
        Faults(hang_after_accept=0.6, http_500=0.6)
