"""Who calls at the front door: a key of ours, wherever clients put their token."""

from __future__ import annotations

import pytest

from shared.auth.keys import new_key
from tests.contract.sandbox.running import NUMBER
from tests.integration.gateway.graph.conftest import Front, error_of

PATH = f"/v23.0/{NUMBER}"


@pytest.mark.parametrize(
    ("header", "query"),
    [
        ("Bearer {key}", ""),
        ("bearer {key}", ""),
        ("OAuth {key}", ""),
        ("", "?access_token={key}"),
        ("", "?access_token=123|{key}"),
        ("Bearer EAAnothing", "?access_token={key}"),
        ("Bearer {key}", "?access_token=123|secret"),
    ],
)
async def test_a_key_opens(front: Front, header: str, query: str) -> None:
    key = front.tenant.key
    headers = {"Authorization": header.format(key=key)} if header else {}
    answer = await front.gateway.call("GET", PATH + query.format(key=key), None, None, **headers)
    assert answer.status == 200, answer.text


@pytest.mark.parametrize(
    ("header", "query", "code"),
    [
        ("", "", 104),
        ("Bearer ", "", 104),
        ("Basic eDp5", "", 104),
        ("Bearer EAAnothing", "", 190),
        ("Bearer {key}", "", 190),
        ("", "?access_token=x", 190),
        ("Bearer caf\xe9", "", 190),
    ],
)
async def test_anything_else_does_not(front: Front, header: str, query: str, code: int) -> None:
    headers = {"Authorization": header.format(key=new_key(live=False))} if header else {}
    for path in (PATH, "/v23.0/nothing", f"{PATH}/messages", "/12345678/messages"):
        answer = await front.gateway.call("POST", path + query, {}, None, **headers)
        assert answer.status == 401
        assert error_of(answer)["code"] == code
        assert answer.headers["WWW-Authenticate"].startswith('OAuth "Facebook Platform" "invalid_token"')


async def test_a_key_opens_from_within_a_form(front: Front) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = f"messaging_product=whatsapp&access_token={front.tenant.key}"
    text = "&to=15551234567&type=text&text=%7B%22body%22%3A%22hi%22%7D"
    answer = await front.gateway.call("POST", f"{PATH}/messages", (fields + text).encode(), None, **kind)
    assert answer.status == 200, answer.text
    assert [row["recipient"] for row in await front.stored()] == ["+15551234567"]
    answer = await front.gateway.call("POST", f"{PATH}/whatsapp_business_profile", f"{fields}&about=Hi".encode(), None, **kind)
    assert answer.status == 200, answer.text
    profile = await front.call("GET", f"{PATH}/whatsapp_business_profile")
    assert profile.body["data"][0]["about"] == "Hi"
    for wrong, code in (
        (b"access_token=x", 190),
        (b"about=x", 104),
        (b"a=1&" * 300, 104),
        (b"access_token=" + b"x" * 70_000, 104),
    ):
        answer = await front.gateway.call("POST", f"{PATH}/messages", wrong, None, **kind)
        assert (answer.status, error_of(answer)["code"]) == (401, code), wrong[:20]


async def test_a_secret_by_itself_gets_a_token_only_where_it_is_a_key(front: Front) -> None:
    ask = "/v23.0/oauth/access_token?grant_type=client_credentials&client_id=77&client_secret="
    assert error_of(await front.gateway.call("GET", f"{ask}nothing"))["code"] == 190
    token = (await front.gateway.call("GET", ask + front.tenant.key)).body["access_token"]
    assert (await front.gateway.call("GET", f"{PATH}?access_token={token}")).status == 200


async def test_our_own_api_takes_its_key_in_one_place_only(front: Front) -> None:
    answer = await front.gateway.call("GET", f"/api/numbers?access_token={front.tenant.key}")
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")


async def test_paths_that_are_not_of_the_front_door_answer_as_ever(front: Front) -> None:
    for path in ("/nothing", "/1/messages", "/api/v23.0/1"):
        answer = await front.call("GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
