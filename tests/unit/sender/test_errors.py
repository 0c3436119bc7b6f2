"""What the provider's answers mean: a row per code of its documents, and nothing that raises."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.sender.domain.outcome import NotSent, Outcome, Refused, Sent, Unknown
from services.sender.provider.errors import outcome_of

# WhatsApp Cloud API, error codes, read 2026-11: code, HTTP status.
THROTTLED = [
    (4, 400),
    (17, 400),
    (32, 403),
    (613, 400),
    (80007, 400),
    (80008, 400),
    (130429, 400),
    (131056, 400),
    (131057, 500),
]
THROTTLED += [(133016, 400), (131208, 400), (132069, 400)]
TRANSIENT = [(1, 400), (2, 503), (131000, 500), (131016, 500), (133004, 503), (134101, 400), (134102, 400)]
UNFIT = [(0, 401), (3, 500), (10, 403), (200, 403), (299, 403), (33, 400), (104, 401), (190, 401), (368, 403), (131005, 403)]
UNFIT += [
    (131031, 403),
    (131037, 400),
    (131042, 400),
    (131044, 400),
    (131045, 500),
    (131048, 400),
    (133000, 500),
    (133005, 400),
]
UNFIT += [(133006, 400), (133008, 400), (133009, 400), (133010, 400), (133015, 400)]
REFUSED = [
    *(
        100,
        130403,
        130472,
        130497,
        130501,
        131008,
        131009,
        131014,
        131020,
        131021,
        131026,
        131030,
        131041,
        131047,
        131049,
        131050,
    ),
    *(
        131051,
        131052,
        131053,
        131055,
        131059,
        131062,
        131063,
        131064,
        131201,
        131207,
        131215,
        132000,
        132001,
        132005,
        132007,
        132008,
    ),
    *(132012, 132015, 132016, 132018, 132068, 134011, 134100, 135000, 136025, 137000, 138000, 139000, 147001, 2388019, 999999),
]


def answer(code: Any, status: int, *, retry_after: str | None = None, **fields: Any) -> Outcome:
    error = {
        "message": f"(#{code}) something",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "Az8or2yhqkZfEZ",
        **fields,
    }
    return outcome_of(status, orjson.dumps({"error": error}), retry_after)


@pytest.mark.parametrize(("code", "status"), THROTTLED)
def test_a_throttle_says_nothing_about_the_message(code: int, status: int) -> None:
    outcome = answer(code, status)
    assert isinstance(outcome, NotSent)
    assert outcome.code == f"provider.{code}"
    assert not outcome.counted
    assert outcome.after is not None
    assert outcome.after >= 1


@pytest.mark.parametrize(("code", "status"), TRANSIENT)
def test_the_providers_trouble_comes_back_and_counts(code: int, status: int) -> None:
    assert answer(code, status) == NotSent(f"provider.{code}", None, counted=True)


@pytest.mark.parametrize(("code", "status"), UNFIT)
def test_an_unfit_token_number_or_account_fails_no_message(code: int, status: int) -> None:
    assert answer(code, status) == NotSent(f"provider.{code}", 300.0, counted=False)


@pytest.mark.parametrize("code", REFUSED)
def test_what_the_provider_will_never_take_is_refused(code: int) -> None:
    assert answer(code, 400) == Refused(f"provider.{code}", f"(#{code}) something")


def test_an_object_that_is_gone_is_the_numbers_fault_and_not_the_messages() -> None:
    assert answer(100, 400, error_subcode=33) == NotSent("provider.100", 300.0, counted=False)


def test_the_wait_that_the_provider_asks_for_is_kept_within_a_day() -> None:
    assert answer(130429, 400, retry_after="7") == NotSent("provider.130429", 7.0, counted=False)
    assert answer(2, 503, retry_after="9") == NotSent("provider.2", 9.0)
    assert answer(4, 400, retry_after="9" * 30) == NotSent("provider.4", 86_400.0, counted=False)


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", "", " ", "٣²", "0"])
def test_a_wait_that_is_no_number_of_seconds_is_left_out(header: str) -> None:
    assert answer(131056, 400, retry_after=header) in {
        NotSent("provider.131056", 6.0, counted=False),
        NotSent("provider.131056", 3.0, counted=False),
    }


@pytest.mark.parametrize("code", [131026, 999999])
def test_too_many_and_a_servers_fault_are_believed_whatever_the_code(code: int) -> None:
    assert answer(code, 429) == NotSent(f"provider.{code}", 1.0, counted=False)
    assert answer(code, 500) == NotSent(f"provider.{code}", None)


def test_an_error_body_is_no_acceptance_even_under_200() -> None:
    assert isinstance(answer(131026, 200), Refused)


def test_the_most_precise_sentence_is_kept_at_a_sensible_length() -> None:
    assert answer(131009, 400, error_data={"details": "Parameter value is not valid"}) == Refused(
        "provider.131009", "Parameter value is not valid"
    )
    long = answer(131009, 400, error_data={"details": "x" * 5_000})
    assert isinstance(long, Refused)
    assert len(long.detail) == 500
    assert answer(131009, 400, message=None) == Refused("provider.131009", "refused by the provider")


def test_an_acceptance_carries_its_wamid() -> None:
    body = {"messaging_product": "whatsapp", "contacts": [{"wa_id": "1"}], "messages": [{"id": "wamid.x"}]}
    assert outcome_of(200, orjson.dumps(body), None) == Sent("wamid.x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"<html>",
        b"\xff",
        b'{"messages": []}',
        b'{"messages": [{"id": ""}]}',
        b'{"messages": [{"id": 5}]}',
    ],
)
def test_an_acceptance_that_cannot_be_read_may_have_been_one(body: bytes) -> None:
    assert outcome_of(200, body, None) == Unknown("provider.unreadable_answer")


@pytest.mark.parametrize("status", [201, 302, 400, 404, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"Bad Gateway", b'{"error": "text"}', b'{"error": null}'])
def test_without_an_error_body_the_outcome_is_open(status: int, body: bytes) -> None:
    assert outcome_of(status, body, None) == Unknown(f"provider.http_{status}")


def test_too_many_is_a_throttle_with_any_body() -> None:
    assert outcome_of(429, b"slow down", "5") == NotSent("provider.http_429", 5.0, counted=False)
    assert outcome_of(429, b"", None) == NotSent("provider.http_429", 1.0, counted=False)


@pytest.mark.parametrize("code", [None, "131026", 1.5, True, [], {}])
def test_a_code_that_is_no_number_tells_nothing(code: Any) -> None:
    assert answer(code, 400) == Unknown("provider.http_400")


garbage = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "error_data", "details", "message", "messages", "id", "error_subcode"]), inner
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 599), st.binary(max_size=50) | garbage.map(orjson.dumps), st.none() | st.text(max_size=8))
@example(400, b'{"error":' * 2000, None)
@example(400, b"[" * 100_000, None)
@example(200, b'{"messages":[{"id":"\xff"}]}', "9" * 5000)
def test_no_answer_raises(status: int, body: bytes, retry_after: str | None) -> None:
    assert isinstance(outcome_of(status, body, retry_after), Sent | Refused | NotSent | Unknown)


@given(st.integers(-10, 3_000_000), st.sampled_from([400, 401, 403, 404, 500, 503, 429]))
def test_an_error_body_with_a_code_never_leaves_the_outcome_open(code: int, status: int) -> None:
    assert isinstance(answer(code, status), Refused | NotSent)
