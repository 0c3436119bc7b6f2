"""The pages of traces, as an operator with a keyboard sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from services.gateway.operators import admit_key
from services.gateway.store import traces as store
from shared.auth.keys import new_admin_key
from tests.integration.gateway.serving import Gateway, serving
from tests.integration.gateway.test_traces import kept
from tests.support.browser import Tab, need_chromium, opened_tab
from tests.support.database import Database
from tests.unit.gateway.test_spans import MESSAGE, TENANT

HOSTILE: Final = "<img src=x onerror=alert(1)><script>alert(2)</script>"
FOCUSED: Final = "document.activeElement.dataset.id"
FAINT: Final = """
(() => {
  const parts = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const [x, y, z] = [r, g, b].map((one) => linear(one / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    const ground = parts(getComputedStyle(node).backgroundColor);
    return ground[3] === 0 && node.parentElement ? behind(node.parentElement) : ground;
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    if (!node.checkVisibility() || ![...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim())) continue;
    const [one, other] = [parts(getComputedStyle(node).color), behind(node)].map(light).sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) faint.push(`${node.className || node.tagName}: ${node.textContent}`);
  }
  return faint;
})()
"""
"""Texts whose contrast is below 4.5 to 1 (WCAG 2.2, success criterion 1.4.3, level AA)."""
NAMES: Final = "[...document.querySelectorAll('.span:not([hidden]) .name')].map((one) => one.textContent)"


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    """With three traces: one of a message, with a failure and a long wait in it; one of other people's words; one more."""
    async with serving(database, keep_spans=10_000) as gateway:
        await store.insert(
            gateway.pool,
            [
                kept(1, 1, ms=4, tenant_id=TENANT),
                kept(1, 2, 1, name="process scheduler.hold", service="scheduler", at=0.004, ms=6, message_id=MESSAGE),
                kept(1, 3, 2, name="process sender.deliver", service="sender", at=30, ms=20, message_id=MESSAGE),
                kept(
                    1,
                    4,
                    3,
                    name="POST messages",
                    service="sender",
                    at=30.005,
                    ms=9,
                    failed=True,
                    attributes={"code": "provider.2"},
                ),
                kept(2, 1, name=HOSTILE, service=HOSTILE, attributes={HOSTILE: HOSTILE}, at=1),
                kept(3, 1, name="GET /api/messages", at=2),
            ],
        )
        yield gateway


@pytest.fixture
async def key(gateway: Gateway) -> str:
    key = new_admin_key()
    async with gateway.pool.acquire() as connection:
        await admit_key(connection, "Ada", key)
    return key


@pytest.fixture(scope="session")
def chromium() -> str:
    return need_chromium()


@pytest.fixture
async def tab(chromium: str, tmp_path: Path) -> AsyncIterator[Tab]:
    async with opened_tab(chromium, tmp_path) as tab:
        yield tab
        assert tab.faults == []


async def test_the_key_is_asked_for_once_and_a_wrong_one_again(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces")
    await tab.until("document.activeElement?.id === 'key'")
    assert await tab.find("document.querySelectorAll('.trace').length") == 0
    await tab.write("chq_admin_no no")
    await tab.press("Enter")
    await tab.until("document.querySelector('[role=alert]')?.textContent.includes('no key')")
    await tab.until("document.activeElement?.id === 'key'")
    await tab.write(key)
    await tab.press("Enter")
    await tab.until("document.querySelectorAll('.trace').length === 3")
    await tab.open(f"{gateway.url}/traces/{1:032x}")
    await tab.until("document.querySelectorAll('.span').length === 4")


async def test_a_key_in_the_address_is_taken_out_of_it(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces?status=error#key={key}")
    await tab.until("document.querySelectorAll('.trace').length === 1")
    assert await tab.find("location.href") == f"{gateway.url}/traces?status=error"


async def test_a_key_that_is_added_to_the_address_of_an_open_page_is_taken_too(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces")
    await tab.until("document.activeElement?.id === 'key'")
    await tab.open(f"{gateway.url}/traces#key={key}")
    await tab.until("document.querySelectorAll('.trace').length === 3")
    assert await tab.find("location.href") == f"{gateway.url}/traces"


async def test_from_the_list_to_the_failed_span_by_keys_alone(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces#key={key}")
    await tab.until("document.querySelectorAll('.trace').length === 3")
    await tab.press("f")
    await tab.until("document.querySelectorAll('.trace').length === 1")
    assert await tab.find("location.search") == "?status=error"
    await tab.press("j", "Enter")
    await tab.until("document.querySelectorAll('.span').length === 4")
    await tab.press("e")
    assert await tab.find(FOCUSED) == f"{4:016x}"
    assert "provider.2" in await tab.find("document.querySelector('.detail').innerText")
    await tab.press("ArrowLeft", "ArrowLeft")
    assert await tab.find(FOCUSED) == f"{3:016x}"
    assert len(await tab.find(NAMES)) == 3, "what is below it is folded"
    await tab.press("ArrowRight", "k", "k")
    assert await tab.find(FOCUSED) == f"{1:016x}"
    assert len(await tab.find(NAMES)) == 4
    await tab.press("?")
    await tab.until("document.getElementById('help').open")
    await tab.press("Escape")
    await tab.until("!document.getElementById('help').open")
    assert await tab.find("location.pathname") == f"/traces/{1:032x}", "it closed what was open, and nothing else"
    await tab.press("Escape")
    await tab.until("location.pathname === '/traces' && document.querySelectorAll('.trace').length === 1")
    assert await tab.find("location.search") == "?status=error", "back to what was looked for"


async def test_waiting_is_folded_so_that_work_can_be_seen(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces/{1:032x}#key={key}")
    await tab.until("document.querySelectorAll('.span').length === 4")
    width = "document.querySelector('.span .bar').getBoundingClientRect().width"
    folded = await tab.find(width)
    await tab.press("z")
    assert await tab.find("document.querySelectorAll('.fold').length") == 0
    assert await tab.find(width) <= 2 < folded / 10, "four milliseconds of thirty seconds"


@pytest.mark.parametrize("press", ["Enter", " "])
async def test_a_button_is_pressed_by_keys_and_keeps_the_focus(press: str, gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces/{1:032x}#key={key}")
    await tab.until("document.querySelectorAll('.span').length === 4")
    assert await tab.find("document.querySelectorAll('.fold').length") > 0
    await tab.find("document.getElementById('fold').focus()")
    await tab.press(press)
    await tab.until("document.querySelectorAll('.fold').length === 0")
    await tab.press(press)
    await tab.until("document.querySelectorAll('.fold').length > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_word_stands_out_from_what_is_behind_it(scheme: str, gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await tab.open(f"{gateway.url}/traces#key={key}")
    await tab.until("document.querySelectorAll('.trace').length === 3")
    assert await tab.find(FAINT) == []
    await tab.open(f"{gateway.url}/traces/{1:032x}")
    await tab.until("document.querySelectorAll('.span').length === 4")
    await tab.press("e")
    assert await tab.find(FAINT) == []


async def test_a_message_and_a_trace_id_are_found_from_the_same_box(gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.open(f"{gateway.url}/traces#key={key}")
    await tab.until("document.querySelectorAll('.trace').length === 3")
    await tab.press("/")
    await tab.write(MESSAGE)
    await tab.press("Enter")
    await tab.until("document.querySelectorAll('.trace').length === 1")
    await tab.find("document.activeElement.select()")
    await tab.write(f"00-{3:032x}-00f067aa0ba902b7-01")
    await tab.press("Enter")
    await tab.until(f"location.pathname === '/traces/{3:032x}'")


async def test_what_others_wrote_is_text_wherever_it_is_shown(gateway: Gateway, key: str, tab: Tab) -> None:
    for path in ("/traces", f"/traces/{2:032x}"):
        await tab.open(f"{gateway.url}{path}#key={key}")
        await tab.until("document.querySelector('.trace, .span') !== null")
        if path != "/traces":
            await tab.press("j", "Enter")
            assert HOSTILE in await tab.find("document.querySelector('.detail').textContent")
        assert HOSTILE in await tab.find("document.querySelector('main').textContent")
        assert await tab.find("document.querySelectorAll('img, main script').length") == 0


@pytest.mark.parametrize("path", ["/traces", f"/traces/{1:032x}", f"/traces/{2:032x}"])
async def test_nothing_is_wider_than_a_telephone(path: str, gateway: Gateway, key: str, tab: Tab) -> None:
    await tab.resize(375, 700)
    await tab.open(f"{gateway.url}{path}#key={key}")
    await tab.until("document.querySelector('.trace, .span') !== null")
    assert await tab.find("document.documentElement.scrollWidth") <= 375


async def test_where_there_is_nothing_the_page_says_why(gateway: Gateway, key: str, tab: Tab) -> None:
    for path, said in (
        ("/traces?service=archive", "Nothing matches"),
        (f"/traces/{9:032x}", "This trace is not here"),
    ):
        await tab.open(f"{gateway.url}{path}#key={key}")
        await tab.until(f"document.querySelector('.state h2')?.textContent === '{said}'")
    await gateway.pool.execute("DELETE FROM traces")
    await tab.open(f"{gateway.url}/traces")
    await tab.until("document.querySelector('.state h2')?.textContent === 'No traces yet'")
    assert [fault for fault in tab.faults if "404" not in fault] == []
    tab.faults.clear()
