"""What a business sets beside its messages: registration, profile, callback URLs, subscriptions, uploads, blocked users."""

from __future__ import annotations

from typing import Any

import pytest

from services.sandbox.upkeep import REGISTRATIONS
from tests.contract.sandbox.running import APP_SECRET, NUMBER, TOKEN, VERIFY_TOKEN, Client, receiving, running

WABA = "102290129340398"
READER = "19991230003"
V = "/v25.0"


async def call(client: Client, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    data = {"data": body} if isinstance(body, bytes) else {"json": body}
    url = path if path.startswith("http") else client.base + V + path
    async with client.session.request(method, url, headers=headers, **data) as response:
        return response.status, await response.json()


def code(answer: tuple[int, Any]) -> int:
    number: int = answer[1]["error"]["code"]
    return number


async def test_a_number_is_registered_with_its_pin() -> None:
    register = {"messaging_product": "whatsapp", "pin": "123456"}
    async with receiving() as receiver, running(receiver.url) as client:
        assert await call(client, "POST", f"/{NUMBER}/deregister") == (200, {"success": True})
        assert code(await client.send(READER)) == 133010
        assert code(await call(client, "POST", f"/{NUMBER}/register", {**register, "pin": "12"})) == 100
        assert await call(client, "POST", f"/{NUMBER}/register", register) == (200, {"success": True})
        assert (await client.send(READER))[0] == 200
        assert code(await call(client, "POST", f"/{NUMBER}/register", {**register, "pin": "654321"})) == 133005
        assert await call(client, "POST", f"/{NUMBER}", {"pin": "654321"}) == (200, {"success": True})
        for _ in range(REGISTRATIONS - 3):
            assert await call(client, "POST", f"/{NUMBER}/register", {**register, "pin": "654321"}) == (200, {"success": True})
        assert code(await call(client, "POST", f"/{NUMBER}/register", {**register, "pin": "654321"})) == 133016
        _, node = await call(client, "GET", f"/{NUMBER}?fields=is_pin_enabled,status")
        assert (node["is_pin_enabled"], node["status"]) == (True, "CONNECTED")


async def test_a_number_is_verified_by_its_code() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        asked = {"code_method": "SMS", "language": "en_US"}
        assert await call(client, "POST", f"/{NUMBER}/request_code", asked) == (200, {"success": True})
        register = {"messaging_product": "whatsapp", "pin": "123456"}
        assert code(await call(client, "POST", f"/{NUMBER}/register", register)) == 133006
        assert code(await call(client, "POST", f"/{NUMBER}/verify_code", {"code": "000000"})) == 100
        assert await call(client, "POST", f"/{NUMBER}/verify_code", {"code": "123456"}) == (200, {"success": True})
        assert await call(client, "POST", f"/{NUMBER}/register", register) == (200, {"success": True})


async def test_the_profile_is_kept() -> None:
    path = f"/{NUMBER}/whatsapp_business_profile"
    profile = {"about": "Hello", "email": "a@example.com", "websites": ["https://example.com/"], "vertical": "RETAIL"}
    async with receiving() as receiver, running(receiver.url) as client:
        _, before = await call(client, "GET", path)
        assert before == {"data": [{"vertical": "UNDEFINED", "messaging_product": "whatsapp"}]}
        assert await call(client, "POST", path, {"messaging_product": "whatsapp", **profile}) == (200, {"success": True})
        _, after = await call(client, "GET", f"{path}?fields=about,vertical")
        assert after == {"data": [{"about": "Hello", "vertical": "RETAIL", "messaging_product": "whatsapp"}]}
        for wrong in ({"about": "x" * 140}, {"vertical": "SPACE"}, {"websites": ["a", "b", "c"]}, {"messaging_product": None}):
            assert (await call(client, "POST", path, {"messaging_product": "whatsapp", **wrong}))[0] == 400
        assert code(await call(client, "GET", f"{path}?fields=shoe_size")) == 100


async def test_settings_are_kept() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        setting = {"calling": {"status": "ENABLED"}}
        assert await call(client, "POST", f"/{NUMBER}/settings", setting) == (200, {"success": True})
        assert await call(client, "GET", f"/{NUMBER}/settings") == (200, setting)
        _, commerce = await call(client, "GET", f"/{NUMBER}/whatsapp_commerce_settings")
        assert commerce == {"data": [{"is_cart_enabled": True, "is_catalog_visible": False, "id": commerce["data"][0]["id"]}]}
        path = f"/{NUMBER}/whatsapp_commerce_settings"
        assert await call(client, "POST", f"{path}?is_cart_enabled=false&is_catalog_visible=true") == (200, {"success": True})
        assert await call(client, "POST", path, {"is_cart_enabled": False}) == (200, {"success": True})
        _, commerce = await call(client, "GET", f"{path}?fields=is_cart_enabled,is_catalog_visible")
        [settings] = commerce["data"]
        assert (settings["is_cart_enabled"], settings["is_catalog_visible"]) == (False, True)
        assert code(await call(client, "POST", path, {"is_cart_enabled": "perhaps"})) == 100


async def test_codes_lead_to_a_message_that_is_written_already() -> None:
    path = f"/{NUMBER}/message_qrdls"
    async with receiving() as receiver, running(receiver.url) as client:
        wanted = {"prefilled_message": "Cyber Monday", "generate_qr_image": "PNG"}
        status, made = await call(client, "POST", path, wanted)
        assert (status, made["prefilled_message"]) == (200, "Cyber Monday")
        assert made["deep_link_url"] == f"https://wa.me/message/{made['code']}"
        assert made["qr_image_url"].startswith("https://")
        kept = {name: made[name] for name in ("code", "prefilled_message", "deep_link_url")}
        one = f"{path}/{made['code']}"
        assert await call(client, "GET", one) == (200, {"data": [kept]})
        assert (await call(client, "GET", f"{one}?fields=code,qr_image_url.format(SVG)"))[1]["data"][0]["qr_image_url"]
        changed = {"code": made["code"], "prefilled_message": "Tuesday"}
        assert await call(client, "POST", path, changed) == (200, {**kept, "prefilled_message": "Tuesday"})
        await call(client, "POST", path, wanted)
        _, listed = await call(client, "GET", f"{path}?limit=1&fields=code")
        assert [set(entry) for entry in listed["data"]] == [{"code"}]
        assert "next" in listed["paging"]
        assert await call(client, "DELETE", one) == (200, {"success": True})
        assert await call(client, "GET", one) == (200, {"data": []})
        for method, place, body in (
            ("DELETE", one, None),
            ("POST", path, changed),
            ("POST", path, {}),
            ("POST", path, {"prefilled_message": "x" * 141}),
            ("POST", path, {**wanted, "generate_qr_image": "GIF"}),
            ("PUT", path, None),
        ):
            assert (await call(client, method, place, body))[0] == 400, (method, body)


async def test_the_account_lists_its_numbers() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        spec = {
            "access_token": TOKEN,
            "app_secret": "s",
            "verify_token": "v",
            "webhook_url": receiver.url,
            "waba_id": WABA,
            "display_phone_number": "15550000002",
            "quality_rating": "YELLOW",
        }
        await client.control("PUT", "numbers/2222", spec)
        _, first = await call(client, "GET", f"/{WABA}/phone_numbers?limit=1")
        assert [number["id"] for number in first["data"]] == [NUMBER]
        _, second = await call(client, "GET", first["paging"]["next"])
        assert [(number["id"], number["quality_rating"]) for number in second["data"]] == [("2222", "YELLOW")]
        _, few = await call(client, "GET", f"/{WABA}/phone_numbers?fields=display_phone_number")
        assert [number.keys() for number in few["data"]] == [{"id", "display_phone_number"}] * 2
        _, account = await call(client, "GET", f"/{WABA}?fields=currency")
        assert account == {"currency": "USD", "id": WABA}


async def test_calls_of_an_account_are_limited() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"management_calls_per_hour": 2})
        url = f"{client.base}{V}/{WABA}/phone_numbers"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.session.get(url, headers=headers) as response:
            assert WABA in response.headers["X-Business-Use-Case-Usage"]
        assert (await call(client, "GET", f"/{WABA}/message_templates"))[0] == 200
        assert code(await call(client, "GET", f"/{WABA}/phone_numbers")) == 80007
        assert (await client.send(READER))[0] == 200
        await client.control("DELETE", "limits")
        assert (await call(client, "GET", f"/{WABA}/phone_numbers"))[0] == 200


async def test_webhooks_go_to_the_nearest_callback_url() -> None:
    async with receiving() as apps, receiving() as accounts, receiving() as numbers, running(apps.url) as client:
        override = {"override_callback_uri": accounts.url, "verify_token": VERIFY_TOKEN}
        assert await call(client, "POST", f"/{WABA}/subscribed_apps", override) == (200, {"success": True})
        _, told = await call(client, "GET", f"/{WABA}/subscribed_apps")
        assert told["data"][0]["override_callback_uri"] == accounts.url
        await client.send(READER)
        await accounts.until(lambda: len(accounts.statuses()) == 3)
        own = {"webhook_configuration": {"override_callback_uri": numbers.url, "verify_token": VERIFY_TOKEN}}
        assert await call(client, "POST", f"/{NUMBER}", own) == (200, {"success": True})
        await client.send(READER)
        await numbers.until(lambda: len(numbers.statuses()) == 3)
        _, node = await call(client, "GET", f"/{NUMBER}?fields=webhook_configuration")
        assert node["webhook_configuration"] == {
            "application": apps.url,
            "whatsapp_business_account": accounts.url,
            "phone_number": numbers.url,
        }
        own["webhook_configuration"]["override_callback_uri"] = ""
        assert await call(client, "POST", f"/{NUMBER}", own) == (200, {"success": True})
        assert await call(client, "DELETE", f"/{WABA}/subscribed_apps") == (200, {"success": True})
        assert await call(client, "GET", f"/{WABA}/subscribed_apps") == (200, {"data": []})
        await client.send(READER)
        assert await call(client, "POST", f"/{WABA}/subscribed_apps") == (200, {"success": True})
        await client.send(READER)
        await apps.until(lambda: len(apps.statuses()) >= 3)
        assert len({status["id"] for status in apps.statuses()}) <= 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "nowhere", 7])
async def test_a_callback_url_that_does_not_answer_the_handshake_is_refused(url: Any) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        override = {"override_callback_uri": url, "verify_token": VERIFY_TOKEN}
        assert code(await call(client, "POST", f"/{WABA}/subscribed_apps", override)) == 100
        assert code(await call(client, "POST", f"/{NUMBER}", {"webhook_configuration": override})) == 100


async def test_an_app_sets_its_callback_url_with_a_token_of_its_own() -> None:
    async with receiving() as receiver, running("http://127.0.0.1:1/") as client:
        wrong = f"{V}/oauth/access_token?grant_type=client_credentials&client_id=77&client_secret=wrong"
        assert code(await call(client, "GET", client.base + wrong)) == 100
        exchange = f"{V}/oauth/access_token?grant_type=client_credentials&client_id=77&client_secret={APP_SECRET}"
        _, token = await call(client, "GET", client.base + exchange)
        assert token["token_type"] == "bearer"
        query = {
            "object": "whatsapp_business_account",
            "callback_url": receiver.url,
            "verify_token": VERIFY_TOKEN,
            "fields": "messages",
            "access_token": token["access_token"],
        }
        async with client.session.post(f"{client.base}{V}/77/subscriptions", params=query) as response:
            assert (response.status, await response.json()) == (200, {"success": True})
        await client.send(READER)
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        _, told = await call(client, "GET", "/77/subscriptions")
        assert [item["callback_url"] for item in told["data"]] == [receiver.url]


async def test_a_file_can_come_in_pieces() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, session = await call(client, "POST", "/77/uploads?file_name=a.png&file_length=6&file_type=image/png")
        path = f"/{session['id']}"
        assert session["id"].startswith("upload:")
        oauth = {"Authorization": f"OAuth {TOKEN}"}
        assert (await call(client, "POST", path, b"abc", file_offset="0", **oauth))[1]["file_offset"] == 3
        assert (await call(client, "GET", path, **oauth))[1] == {"id": session["id"], "file_offset": 3}
        assert code(await call(client, "POST", path, b"def", file_offset="0", **oauth)) == 100
        assert code(await call(client, "POST", path, b"defg", file_offset="3", **oauth)) == 100
        assert (await call(client, "POST", path, b"def", file_offset="3", **oauth))[1]["h"].startswith("4::")
        assert code(await call(client, "GET", "/upload:unknown")) == 100
        assert code(await call(client, "POST", "/77/uploads?file_length=x")) == 100
        assert code(await call(client, "POST", "/77/uploads?file_length=1", Authorization="Bearer wrong")) == 190


async def test_a_blocked_user_gets_nothing() -> None:
    path = f"/{NUMBER}/block_users"
    body = {"messaging_product": "whatsapp", "block_users": [{"user": f"+{READER}"}]}
    async with receiving() as receiver, running(receiver.url) as client:
        _, told = await call(client, "POST", path, body)
        assert told["block_users"] == {"added_users": [{"input": f"+{READER}", "wa_id": READER}]}
        assert code(await client.send(READER)) == 130403
        listed = (await call(client, "GET", path))[1]["data"]
        assert listed == [{"messaging_product": "whatsapp", "input": READER, "wa_id": READER}]
        await call(client, "DELETE", path, body)
        assert (await client.send(READER))[0] == 200
        assert code(await call(client, "POST", path, {**body, "block_users": [{"user": "x"}]})) == 131009
        assert (await call(client, "POST", path, {**body, "block_users": []}))[0] == 400


async def test_what_is_not_there_is_a_graph_error() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        for method, path in (
            ("GET", "/999"),
            ("POST", "/999"),
            ("GET", f"/{NUMBER}/dances"),
            ("PUT", f"/{NUMBER}"),
            ("GET", "/"),
        ):
            status, answer = await call(client, method, path)
            assert (status, answer["error"]["code"]) == (400, 100)
        for path in (
            f"/{NUMBER}/register",
            f"/{NUMBER}/block_users",
            f"/{WABA}/message_templates",
            f"/{WABA}/upsert_message_templates",
        ):
            for body in (b"{", b"[]", b'{"a":"\\ud800"}', b"[" * 3000):
                status, answer = await call(client, "POST", path, body)
                assert (status, answer["error"]["code"]) == (400, 100), (path, body[:9])
