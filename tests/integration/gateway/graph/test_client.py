"""The client of the provider's Graph API: whose token goes where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from services.gateway.domain.origins import Origins
from services.gateway.graph.client import CALLS_PER_HOUR, MAX_ANSWER_BYTES, GraphClient, GraphFailed
from shared.auth.seal import Sealer
from shared.http.client import open_client
from shared.ids import TenantId
from shared.limits.limiter import Ask, Granted, Limiter, Refused, Verdict
from tests.integration.gateway.graph.conftest import ACCOUNT
from tests.integration.gateway.graph.test_passing import NUMBER, TOKEN, Provider, providing
from tests.integration.gateway.serving import MASTER_KEY, Gateway


class Quota:
    """Grants so many calls."""

    def __init__(self) -> None:
        self.left = 1_000
        self.asked: list[Ask] = []

    async def reserve(self, asks: list[Ask]) -> list[Verdict]:
        self.asked += asks
        self.left -= len(asks)
        return [Granted() if self.left >= 0 else Refused("provider.80007", 60.0) for _ in asks]


@dataclass(slots=True)
class Asking:
    client: GraphClient
    provider: Provider
    tenant_id: TenantId
    quota: Quota


@pytest.fixture
async def asking(gateway: Gateway) -> AsyncIterator[Asking]:
    async with providing() as provider, open_client() as session:
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, NUMBER, waba_id=ACCOUNT, provider_url=provider.url, access_token=TOKEN)
        quota = Quota()
        limiter: Limiter = quota  # type: ignore[assignment]  # it is asked nothing else
        client = GraphClient(gateway.pool, session, Sealer(MASTER_KEY), Origins.parse(provider.url), limiter)
        yield Asking(client, provider, TenantId(tenant.tenant_id), quota)


@pytest.mark.parametrize("node", [NUMBER, ACCOUNT])
async def test_a_number_and_its_account_have_the_numbers_token(asking: Asking, node: str) -> None:
    answer = await asking.client.call(asking.tenant_id, node, "GET", f"{node}/x", query={"a": "b c&d"})
    assert (answer.status, answer.document, answer.error) == (200, {"success": True}, None)
    _, url, headers, _ = asking.provider.asked[-1]
    assert (url.path, url.query["a"], headers["Authorization"]) == (f"/v23.0/{node}/x", "b c&d", f"Bearer {TOKEN}")


async def test_management_is_counted_for_its_account_and_messages_are_not(asking: Asking) -> None:
    for node in (NUMBER, ACCOUNT):
        await asking.client.call(asking.tenant_id, node, "GET", node)
    names = {(limit.group, limit.name, limit.rate.per_second) for ask in asking.quota.asked for limit in ask.limits}
    assert [(group, name) for group, name, _ in names] == [(f"graph:{ACCOUNT}", "management")]
    assert all(per_second * 3_600 <= CALLS_PER_HOUR for _, _, per_second in names)
    asking.quota.left = 0
    answer = await asking.client.call(asking.tenant_id, NUMBER, "GET", NUMBER)
    assert answer.error is not None
    assert (answer.status, answer.error["code"], len(asking.provider.asked)) == (400, 80007, 2)
    assert (await asking.client.call(asking.tenant_id, NUMBER, "POST", "1", json={}, counted=False)).status == 200


async def test_nobody_elses(asking: Asking) -> None:
    for tenant_id, node in ((TenantId("tnt_other"), NUMBER), (asking.tenant_id, "999")):
        with pytest.raises(GraphFailed, match=r"number\.unknown"):
            await asking.client.call(tenant_id, node, "GET", node)


async def test_an_origin_that_is_not_allowed_gets_no_token(asking: Asking, gateway: Gateway) -> None:
    await gateway.pool.execute("UPDATE numbers SET provider_url = 'https://elsewhere.example'")
    with pytest.raises(GraphFailed, match=r"provider\.origin_not_allowed"):
        await asking.client.call(asking.tenant_id, NUMBER, "GET", NUMBER)


async def test_a_token_that_does_not_open_is_said(asking: Asking, gateway: Gateway) -> None:
    await gateway.pool.execute("UPDATE numbers SET sealed_access_token = 'bm90aGluZw=='")
    with pytest.raises(GraphFailed, match=r"number\.secret_unreadable"):
        await asking.client.call(asking.tenant_id, NUMBER, "GET", NUMBER)


async def test_redirects_are_not_followed(asking: Asking) -> None:
    asking.provider.answers["/1"] = (302, {})
    assert (await asking.client.call(asking.tenant_id, NUMBER, "GET", "1")).status == 302
    assert len(asking.provider.asked) == 1


async def test_an_answer_without_bounds_is_dropped(asking: Asking) -> None:
    asking.provider.answers["/1"] = (200, b"x" * (MAX_ANSWER_BYTES + 1))
    with pytest.raises(GraphFailed, match=r"provider\.answer_too_large"):
        await asking.client.call(asking.tenant_id, NUMBER, "GET", "1")


async def test_errors_are_told_whatever_their_form(asking: Asking) -> None:
    asking.provider.answers["/1"] = (400, {"error": {"code": 131009, "message": "no"}})
    answer = await asking.client.call(asking.tenant_id, NUMBER, "GET", "1")
    assert answer.error is not None
    assert answer.error["code"] == 131009
    asking.provider.answers["/1"] = (502, b"<html>")
    answer = await asking.client.call(asking.tenant_id, NUMBER, "GET", "1")
    assert (answer.document, answer.error) == (None, {"code": 1, "message": "HTTP 502"})


async def test_files_are_fetched_from_allowed_places_only(asking: Asking) -> None:
    async with asking.client.download(asking.tenant_id, NUMBER, f"{asking.provider.url}/file?mid=1&hash=a%2Fb") as response:
        assert response.status == 200
    _, url, headers, _ = asking.provider.asked[-1]
    assert (url.raw_query_string, headers["Authorization"]) == ("mid=1&hash=a%2Fb", f"Bearer {TOKEN}")
    for place in (
        "https://elsewhere.example/file",
        "https://lookaside.fbsbx.com/file",
        "file:///etc/passwd",
        "nothing",
        "http://",
    ):
        with pytest.raises(GraphFailed, match=r"provider\.origin_not_allowed"):
            async with asking.client.download(asking.tenant_id, NUMBER, place):
                pass


async def test_a_token_goes_to_its_own_provider_only(asking: Asking) -> None:
    async with providing() as other:
        client = GraphClient(
            asking.client.pool,
            asking.client.session,
            asking.client.sealer,
            Origins.parse(f"{asking.provider.url},{other.url}"),
            asking.client.limiter,
        )
        with pytest.raises(GraphFailed, match=r"provider\.origin_not_allowed"):
            async with client.download(asking.tenant_id, NUMBER, f"{other.url}/file"):
                pass
        assert other.asked == []


async def test_metas_files_are_where_meta_says(asking: Asking, gateway: Gateway) -> None:
    await gateway.pool.execute("UPDATE numbers SET provider_url = 'https://graph.facebook.com'")
    asked: list[str] = []

    class Session:
        def get(self, url: object, **_given: object) -> object:
            asked.append(str(url))
            raise aiohttp.ClientConnectionError

    client = GraphClient(
        gateway.pool,
        Session(),  # type: ignore[arg-type]  # notes where it would go
        Sealer(MASTER_KEY),
        Origins.parse("https://graph.facebook.com"),
        asking.client.limiter,
    )
    with pytest.raises(aiohttp.ClientConnectionError):
        async with client.download(
            asking.tenant_id, NUMBER, "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1"
        ):
            pass
    for place in (
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://a@lookaside.fbsbx.com/x",
    ):
        with pytest.raises(GraphFailed):
            async with client.download(asking.tenant_id, NUMBER, place):
                pass
    assert len(asked) == 1
