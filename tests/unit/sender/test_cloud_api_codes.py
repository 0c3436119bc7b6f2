"""What the Cloud API's answers mean: an expectation per code of its documents, and nothing that raises."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Rejected, Retry, Scope, Sent, Unknown
from services.sender.provider.cloud_api_codes import CODES, outcome_of

# WhatsApp Cloud API, error codes, read 2026-11. Every code of its tables stands in exactly one of these.
NUMBER_WAITS = {
    **dict.fromkeys((4, 17, 32, 613, 80007, 80008, 131208), 60.0),
    130429: 1.0,
    131048: 300.0,
    131057: 60.0,
    133015: 300.0,
    133016: 3600.0,
}
RETRIED = {**dict.fromkeys((1, 131000, 131053, 134102, 139102)), 134101: 600.0}
OUTAGES = (2, 131016, 133004)
PAUSED = {0, 3, 10, 33, 104, 190, 368, *range(200, 300)}
PAUSED |= {131005, 131031, 131037, 131042, 131044, 131045}
PAUSED |= {133000, 133005, 133006, 133008, 133009, 133010}
TEMPLATE_RESTS = {131064: 3600.0, 132015: 10_800.0}
REJECTED = {100, 130403, 130472, 130497, 130501}
REJECTED |= {131008, 131009, 131014, 131020, 131021, 131026, 131030, 131041, 131047, 131049, 131050, 131051, 131052}
REJECTED |= {131055, 131059, 131062, 131063, *(set(range(131201, 131216)) - {131208})}
REJECTED |= {132000, 132001, 132005, 132007, 132008, 132012, 132016, 132018, 132068}
REJECTED |= {134011, 134100, 135000, 137000, *range(138000, 138022), *range(139000, 139005), 139100, 139101, 139103}
REJECTED |= {*range(147001, 147006)}
REJECTED |= {
    2388012,
    2388019,
    2388039,
    2388040,
    2388047,
    2388072,
    2388073,
    2388091,
    2388093,
    2388103,
    2388293,
    2388299,
    2494100,
}
REJECTED |= {2593107, 2593108, 2593109}
FOR_THE_FLOW, FOR_THE_PAIR = {132069}, {131056}


def answer(code: Any, status: int, *, retry_after: str | None = None, **fields: Any) -> Outcome:
    error = {
        "message": f"(#{code}) something",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": "Az8or2yhqkZfEZ",
        **fields,
    }
    return outcome_of(status, orjson.dumps({"error": error}), retry_after)


def test_every_code_has_one_expectation_and_one_row() -> None:
    expected = [*NUMBER_WAITS, *RETRIED, *OUTAGES, *PAUSED, *TEMPLATE_RESTS, *REJECTED, *FOR_THE_FLOW, *FOR_THE_PAIR]
    assert sorted(expected) == sorted(CODES)


@pytest.mark.parametrize("status", [400, 403, 429, 500])
@pytest.mark.parametrize(("code", "seconds"), NUMBER_WAITS.items())
def test_a_throttle_of_the_number_says_nothing_about_the_message(code: int, seconds: float, status: int) -> None:
    assert answer(code, status) == Retry(f"provider.{code}", seconds, counted=False, scope=Scope.NUMBER)


def test_a_throttle_of_the_pair_leaves_the_wait_to_the_limiter() -> None:
    assert answer(131056, 400) == Retry("provider.131056", None, counted=False, scope=Scope.PAIR)


def test_a_throttle_of_a_flow_slows_nothing_else() -> None:
    assert answer(132069, 400) == Retry("provider.132069", 360.0, counted=False)


@pytest.mark.parametrize(("status", "sick"), [(400, False), (500, True), (503, True)])
@pytest.mark.parametrize(("code", "seconds"), RETRIED.items())
def test_the_providers_trouble_comes_back_and_counts(code: int, seconds: float | None, status: int, sick: bool) -> None:
    assert answer(code, status) == Retry(f"provider.{code}", seconds, sick=sick)


@pytest.mark.parametrize(("status", "sick"), [(400, False), (500, True), (503, True)])
@pytest.mark.parametrize("code", OUTAGES)
def test_an_outage_that_the_provider_tells_counts_against_no_message(code: int, status: int, sick: bool) -> None:
    assert answer(code, status) == Retry(f"provider.{code}", None, counted=False, sick=sick)


@pytest.mark.parametrize("code", sorted(PAUSED))
def test_an_unfit_token_number_or_account_pauses_the_number_and_says_what_to_do(code: int) -> None:
    outcome = answer(code, 401)
    assert isinstance(outcome, PauseNumber)
    assert outcome.code == f"provider.{code}"
    repair, _, said = outcome.detail.partition(" The provider says: ")
    assert len(repair) > 40
    assert repair.endswith(".")
    assert said == f"(#{code}) something"


@pytest.mark.parametrize(("code", "seconds"), TEMPLATE_RESTS.items())
def test_a_template_can_rest_alone(code: int, seconds: float) -> None:
    assert answer(code, 400) == PauseTemplate(f"provider.{code}", seconds)


@pytest.mark.parametrize("code", sorted(REJECTED))
def test_what_the_provider_will_never_take_is_rejected(code: int) -> None:
    assert answer(code, 400) == Rejected(f"provider.{code}", f"(#{code}) something")


def test_an_object_that_is_gone_is_the_numbers_fault_and_not_the_messages() -> None:
    outcome = answer(100, 400, error_subcode=33)
    assert isinstance(outcome, PauseNumber)
    assert outcome.code == "provider.33"


def test_the_wait_that_the_provider_asks_for_is_kept_within_a_day() -> None:
    assert answer(130429, 400, retry_after="7") == Retry("provider.130429", 7.0, counted=False, scope=Scope.NUMBER)
    assert answer(131056, 400, retry_after="8") == Retry("provider.131056", 8.0, counted=False, scope=Scope.PAIR)
    assert answer(2, 503, retry_after="9") == Retry("provider.2", 9.0, counted=False, sick=True)
    assert answer(4, 400, retry_after="9" * 30) == Retry("provider.4", 86_400.0, counted=False, scope=Scope.NUMBER)
    assert answer(132015, 400, retry_after="60") == PauseTemplate("provider.132015", 60.0)


@pytest.mark.parametrize("header", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1.5", "", " ", "0"])
def test_a_wait_that_is_no_number_of_seconds_is_left_out(header: str) -> None:
    assert answer(130429, 400, retry_after=header) == Retry("provider.130429", 1.0, counted=False, scope=Scope.NUMBER)


def test_an_unknown_code_is_judged_by_its_http_status() -> None:
    assert answer(999999, 400) == Rejected("provider.999999", "(#999999) something")
    assert answer(999999, 404) == Rejected("provider.999999", "(#999999) something")
    assert answer(999999, 429) == Retry("provider.999999", 1.0, counted=False, scope=Scope.NUMBER)
    assert answer(999999, 500) == Retry("provider.999999", None, sick=True)
    assert answer(999999, 503, retry_after="20") == Retry("provider.999999", 20.0, sick=True)


def test_a_known_code_says_more_than_its_http_status() -> None:
    assert isinstance(answer(131026, 500), Rejected)
    assert isinstance(answer(131026, 200), Rejected), "an error body is no acceptance, even under 200"
    assert isinstance(answer(190, 500), PauseNumber)


def test_the_most_precise_sentence_is_kept_at_a_sensible_length() -> None:
    assert answer(131009, 400, error_data={"details": "Parameter value is not valid"}) == Rejected(
        "provider.131009", "Parameter value is not valid"
    )
    long = answer(131009, 400, error_data={"details": "x" * 5_000})
    assert isinstance(long, Rejected)
    assert len(long.detail) == 500
    assert answer(131009, 400, message=None) == Rejected("provider.131009", "refused by the provider")


@pytest.mark.parametrize("code", [190, 131009])
def test_no_sentence_repeats_a_token_or_a_phone_number(code: int) -> None:
    outcome = answer(code, 400, message="Malformed access token EAAGm0PX4ZCpsBAKZCkk for +15551234567")
    assert isinstance(outcome, Rejected | PauseNumber)
    assert "EAAGm0PX4ZCpsBAKZCkk" not in outcome.detail
    assert "5551234567" not in outcome.detail


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
    assert outcome_of(429, b"slow down", "5") == Retry("provider.http_429", 5.0, counted=False, scope=Scope.NUMBER)
    assert outcome_of(429, b"", None) == Retry("provider.http_429", 1.0, counted=False, scope=Scope.NUMBER)


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
@example(429, b"", "٣²")
def test_no_answer_raises(status: int, body: bytes, retry_after: str | None) -> None:
    assert isinstance(outcome_of(status, body, retry_after), Outcome)


@given(st.integers(-10, 3_000_000), st.sampled_from([400, 401, 403, 404, 500, 503, 429]))
def test_an_error_body_with_a_code_never_leaves_the_outcome_open(code: int, status: int) -> None:
    assert not isinstance(answer(code, status), Unknown | Sent)
