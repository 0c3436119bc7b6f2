"""Message ids in Meta's form."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.domain.wamid import INBOUND_ID_BYTES, OUTBOUND_ID_BYTES, Wamid, decode, inbound, outbound

phones = st.text("0123456789", min_size=5, max_size=15)


@given(phones, st.binary(min_size=OUTBOUND_ID_BYTES, max_size=OUTBOUND_ID_BYTES))
def test_an_outbound_id_holds_its_parts(phone: str, unique: bytes) -> None:
    wamid = outbound(phone, unique)
    assert decode(wamid) == Wamid(phone, is_inbound=False, hex_id=unique.hex().upper())
    assert len(wamid) <= 100


@given(phones, st.binary(min_size=INBOUND_ID_BYTES, max_size=INBOUND_ID_BYTES))
def test_an_inbound_id_holds_its_parts(phone: str, unique: bytes) -> None:
    assert decode(inbound(phone, unique)) == Wamid(phone, is_inbound=True, hex_id=unique.hex().upper())


def test_the_form_of_a_real_id() -> None:
    raw = base64.b64decode(outbound("16505551234", bytes(range(9))).removeprefix("wamid."))
    assert raw == b"\x1c\x18\x0b16505551234\x15\x02\x00\x11\x18\x12000102030405060708\x00"
    assert outbound("16505551234", bytes(9)).startswith("wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI")


@pytest.mark.parametrize("text", ["", "wamid.", "ABGGFlA5Fpa", "wamid.!!!", "wamid.HBgL", "wamid.AAAA"])
def test_anything_else_is_none(text: str) -> None:
    assert decode(text) is None


@given(st.binary(max_size=60))
def test_no_bytes_raise(raw: bytes) -> None:
    decode("wamid." + base64.b64encode(raw).decode())
