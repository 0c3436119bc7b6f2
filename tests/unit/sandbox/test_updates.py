"""Webhook payloads, and how a recipient's conduct is found."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.sandbox.domain.behaviour import Behaviour
from services.sandbox.domain.conduct import CONDUCTS, SUFFIXES, steps_for
from services.sandbox.domain.faults import FAULTS, Faults
from services.sandbox.domain.updates import Accepted, InboundUpdate, Line, StatusUpdate, payload, size_bound

ONE = Line("101", "9001", "15550000001")
TWO = Line("102", "9001", "15550000002")
ELSEWHERE = Line("103", "9002", "15550000003")


def message(line: Line, wamid: str, *, failure: int | None = None, callback_data: str | None = None) -> Accepted:
    return Accepted(line, wamid, "4915112345678", None, is_template=False, callback_data=callback_data, failure=failure)


def test_updates_are_grouped_by_account_number_and_kind() -> None:
    body = payload(
        [
            StatusUpdate(message(ONE, "a"), "sent", 1),
            StatusUpdate(message(TWO, "b"), "sent", 2),
            InboundUpdate(ONE, "c", "4915112345678", None, "Ana", "hi", 3),
            StatusUpdate(message(ELSEWHERE, "d"), "read", 4),
            StatusUpdate(message(ONE, "a"), "delivered", 5),
        ]
    )
    told = orjson.loads(body)
    assert told["object"] == "whatsapp_business_account"
    assert [entry["id"] for entry in told["entry"]] == ["9001", "9002"]
    values = [change["value"] for change in told["entry"][0]["changes"]]
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
    told = orjson.loads(payload([StatusUpdate(message(ONE, "a", failure=131026), "failed", 1)]))
    value = told["entry"][0]["changes"][0]["value"]
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
        body = payload([update])
        assert len(body) <= size_bound(update)
        assert body.isascii()
        value = orjson.loads(body)["entry"][0]["changes"][0]["value"]
        if isinstance(update, InboundUpdate):
            assert value["messages"][0]["text"] == {"body": text}
        else:
            assert value["statuses"][0]["biz_opaque_callback_data"] == text


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
    assert drawn == [FAULTS["hang_after_accept"], FAULTS["reset_after_accept"], FAULTS["http_500"], None]
    with pytest.raises(ValidationError, match="more than 1"):
        Faults(hang_after_accept=0.6, http_500=0.6)


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_drawn(name: str) -> None:
    assert Faults(**{name: 1.0}).draw(0.999) is FAULTS[name]
    assert set(FAULTS) == set(Faults.model_fields)
