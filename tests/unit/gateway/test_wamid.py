"""Minted wamids: the message is in them, and no other text is taken for one."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.wamid import message_of, mint
from shared.ids import MessageId, new_id

META = "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA"
IDS = st.text("0123456789abcdefghijklmnopqrstuv", min_size=26, max_size=26).map(lambda digits: MessageId(f"msg_{digits}"))


@given(IDS)
def test_the_message_is_in_its_wamid(message_id: MessageId) -> None:
    assert message_of(mint(message_id)) == message_id


def test_it_has_the_providers_form() -> None:
    wamid = mint(MessageId(new_id("msg")))
    raw = base64.b64decode(wamid.removeprefix("wamid."), validate=True)
    assert len(wamid) <= 100
    assert raw[:2] == b"\x1c\x18"
    assert raw[-1] == 0
    hex_id = raw[-1 - raw[9] : -1]
    assert hex_id == hex_id.upper()
    assert int(hex_id, 16) > 0


@given(st.text(max_size=80) | st.binary(min_size=45, max_size=45).map(lambda raw: f"wamid.{base64.b64encode(raw).decode()}"))
def test_other_texts_name_no_message(text: str) -> None:
    assert message_of(text) is None


@pytest.mark.parametrize(
    "change", [lambda w: w.lower(), lambda w: w[:-1], lambda w: f"{w}A", lambda w: w.replace("wamid.", "wamid ")]
)
def test_a_changed_one_names_no_message(change: object) -> None:
    assert callable(change)
    assert message_of(change(mint(MessageId(f"msg_{'0' * 25}v")))) is None


def test_the_providers_own_name_none() -> None:
    assert message_of(META) is None


def test_an_id_that_is_too_large_for_ours_names_none() -> None:
    raw = base64.b64decode(mint(MessageId(f"msg_{'v' * 26}")).removeprefix("wamid."))
    larger = raw[:10] + b"F" + raw[11:]
    assert message_of(f"wamid.{base64.b64encode(larger).decode()}") is None
