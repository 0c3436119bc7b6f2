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


async def test_our_own_api_takes_its_key_in_one_place_only(front: Front) -> None:
    answer = await front.gateway.call("GET", f"/api/numbers?access_token={front.tenant.key}")
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")


async def test_paths_that_are_not_of_the_front_door_answer_as_ever(front: Front) -> None:
    for path in ("/nothing", "/vx/1/messages", "/api/v23.0/1"):
        answer = await front.call("GET", path)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
