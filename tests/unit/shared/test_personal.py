"""What is personal shows in no repr, and in no validation error."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.events import catalogue
from shared.events.catalogue import MessageAccepted, MessageReceived, TemplateChanged
from shared.events.event import registered_events
from shared.personal import REDACTED, Model, Personal, personal_fields
from tests.contract.events.samples import samples

PHONE, TEXT, NAME = "+4915112345678", "the text nobody may read", "Ada Lovelace"


def test_an_events_repr_and_str_hide_what_is_personal_and_show_the_rest() -> None:
    accepted = samples()["message.accepted.v1"].model_copy(update={"to": PHONE, "content": {"text": {"body": TEXT}}})
    received = samples()["message.received.v1"].model_copy(
        update={"sender": PHONE, "sender_name": NAME, "content": {"text": {"body": TEXT}}}
    )
    for event in (accepted, received):
        for shown in (repr(event), str(event), f"{[event]}"):
            assert REDACTED in shown
            assert not any(secret in shown for secret in (PHONE, TEXT, NAME))
    assert isinstance(accepted, MessageAccepted)
    assert accepted.message_id in repr(accepted)


def test_what_is_not_there_is_shown_as_not_there() -> None:
    received = samples()["message.received.v1"].model_copy(update={"sender_name": None})
    assert isinstance(received, MessageReceived)
    assert "sender_name=None" in repr(received)


def test_personal_models_within_models_hide_themselves() -> None:
    class Inner(Model):
        phone: Personal[str]

    class Outer(Model):
        inner: Inner

    assert PHONE not in repr(Outer(inner=Inner(phone=PHONE)))


def test_validation_errors_do_not_quote_their_input() -> None:
    with pytest.raises(ValidationError) as caught:
        MessageAccepted.model_validate({"to": [PHONE], "content": TEXT})
    assert PHONE not in str(caught.value)
    assert TEXT not in str(caught.value)


def test_every_field_that_holds_an_address_or_a_content_is_marked() -> None:
    for subject, event in registered_events().items():
        if event.__module__ == catalogue.__name__:
            suspects = {"to", "sender", "sender_name", "recipient", "content", "phone", "name", "text", "body"}
            names = set(event.model_fields) - ({"name"} if event is TemplateChanged else set())  # a template's
            assert suspects & names <= personal_fields(event), subject
