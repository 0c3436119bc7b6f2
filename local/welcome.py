"""What a newcomer gets: the sandbox's number connected, and lines to paste."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import aiohttp

from local.errors import LocalError
from local.home import HOST

UP_SECONDS: Final = 60.0
PHONE_NUMBER_ID: Final = "106540352242922"
WABA_ID: Final = "102290129340398"


async def connect_sandbox(ports: Mapping[str, int], kept: Mapping[str, str]) -> str | None:
    """Wait for the gateway, then connect the sandbox's number, or tell it where the sandbox is now.

    Returns the number's id where messages must name it, because the tenant has others too. Raises `LocalError`.
    """
    api = f"http://{HOST}:{ports['gateway']}/api"
    headers = {"Authorization": f"Bearer {kept['test_key']}"}
    provider_url = f"http://{HOST}:{ports['sandbox']}"
    number = {
        "phone_number_id": PHONE_NUMBER_ID,
        "waba_id": WABA_ID,
        "display_number": "+15550783881",
        "access_token": kept["access_token"],
        "app_secret": kept["app_secret"],
        "verify_token": kept["verify_token"],
        "provider_url": provider_url,
        "messages_per_second": 1000,
    }
    async with aiohttp.ClientSession(headers=headers, trust_env=False) as session:
        await _until_ready(session, f"http://{HOST}:{ports['gateway']}/ready")
        async with session.post(f"{api}/numbers", json=number) as answer:
            if answer.status == 201:
                return None
            if answer.status != 409:
                raise LocalError(f"The sandbox's number could not be connected: {await answer.text()}")
        async with session.get(f"{api}/numbers") as answer:
            known: list[dict[str, Any]] = (await answer.json())["data"]
        own = next((one for one in known if one["phone_number_id"] == PHONE_NUMBER_ID), None)
        if own is None:
            return None  # another tenant has it: then somebody has plans of their own with this folder
        if own["provider_url"] != provider_url:
            moved = {"provider_url": provider_url, "access_token": kept["access_token"]}
            await session.patch(f"{api}/numbers/{own['id']}", json=moved)
        return str(own["id"]) if len(known) > 1 else None


async def _until_ready(session: aiohttp.ClientSession, url: str) -> None:
    try:
        async with asyncio.timeout(UP_SECONDS):
            while True:
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    pass  # not listening yet
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise LocalError(f"The gateway was not ready within {UP_SECONDS:.0f} s; see its log.") from None


def banner(ports: Mapping[str, int], kept: Mapping[str, str], log_folder: object, sender: str | None) -> str:
    """Where everything is, and two commands that work as they stand. `sender` is the number to name, where one must be named."""
    test_key = kept["test_key"]
    gateway = f"http://{HOST}:{ports['gateway']}"
    later = (datetime.now().astimezone() + timedelta(seconds=30)).isoformat(timespec="seconds")
    named = f'"from": "{sender}", ' if sender else ""
    send = (
        f"curl -s {gateway}/api/messages -H 'Authorization: Bearer {test_key}' -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{{named}"to": "+15551234567", "type": "text", "text": {{"body": "Hello from Chasqui"}}}}\''
    )
    schedule = (
        f"curl -s {gateway}/api/messages -H 'Authorization: Bearer {test_key}' -H 'Content-Type: application/json' \\\n"
        f'    -d \'{{{named}"to": "+15551234567", "type": "text", "text": {{"body": "Good morning"}}, '
        f'"scheduled_time": "{later}"}}\''
    )
    return f"""
Chasqui is running.

  Gateway        {gateway}
  API reference  {gateway}/api/docs
  Traces         {gateway}/traces#key={kept["admin_key"]}
  Sandbox        http://{HOST}:{ports["sandbox"]}
  Test key       {test_key}
  Admin key      {kept["admin_key"]}
  Logs           {log_folder}

Send a message now:

  {send}

Schedule one, for half a minute from now (a time that has passed means at once):

  {schedule}

Ctrl-C stops everything; the next start finds what was there. Only the sandbox remembers nothing: reports and answers that it
has not sent by then never come.
"""
