"""Sealed secrets open in their own place only."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.auth.seal import Sealer, SealError
from shared.ids import TenantId


def sealer_of(*bytes_: int) -> Sealer:
    return Sealer(*(base64.b64encode(bytes([byte]) * 32).decode() for byte in bytes_))


SEALER = sealer_of(1)
TENANT = TenantId("tnt_a")
PLACE = (TENANT, "numbers.access_token", "num_1")


@given(st.text())
def test_what_is_sealed_opens_and_shows_nothing(secret: str) -> None:
    sealed = SEALER.seal(*PLACE, secret)
    assert SEALER.open(*PLACE, sealed) == secret
    assert len(secret) < 4 or secret not in sealed


def test_the_same_secret_is_never_sealed_twice_alike() -> None:
    assert SEALER.seal(*PLACE, "x") != SEALER.seal(*PLACE, "x")


@pytest.mark.parametrize(
    "place",
    [
        (TenantId("tnt_b"), "numbers.access_token", "num_1"),
        (TENANT, "numbers.app_secret", "num_1"),
        (TENANT, "numbers.access_token", "num_2"),
    ],
)
def test_a_value_copied_to_another_tenant_column_or_row_does_not_open(place: tuple[TenantId, str, str]) -> None:
    with pytest.raises(SealError):
        SEALER.open(*place, SEALER.seal(*PLACE, "secret"))


def test_another_master_key_does_not_open_it() -> None:
    with pytest.raises(SealError, match="another master key"):
        sealer_of(2).open(*PLACE, SEALER.seal(*PLACE, "secret"))


def test_what_another_key_sealed_opens_where_that_is_known_and_the_first_key_seals() -> None:
    former, both = sealer_of(1), sealer_of(2, 3, 1)
    assert both.open(*PLACE, former.seal(*PLACE, "secret")) == "secret"
    assert sealer_of(2).open(*PLACE, both.seal(*PLACE, "secret")) == "secret"
    assert [both.is_current(one.seal(*PLACE, "secret")) for one in (former, both)] == [False, True]
    assert not both.is_current("not base64")
    with pytest.raises(SealError):
        both.open(PLACE[0], PLACE[1], "num_2", former.seal(*PLACE, "secret"))


@given(st.data())
def test_a_changed_or_cut_value_does_not_open(data: st.DataObject) -> None:
    blob = bytearray(base64.b64decode(SEALER.seal(*PLACE, "secret")))
    if data.draw(st.booleans()):
        blob = blob[: data.draw(st.integers(0, len(blob) - 1))]
    else:
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        SEALER.open(*PLACE, base64.b64encode(bytes(blob)).decode())


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    with pytest.raises(SealError):
        SEALER.open(*PLACE, text)


@pytest.mark.parametrize(
    "key", ["", "short", base64.b64encode(bytes(31)).decode(), base64.b64encode(bytes(33)).decode(), "é" * 44, "!" * 44]
)
def test_a_master_key_of_another_form_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SealError) as caught:
        Sealer(key)
    assert not key or key not in str(caught.value)
