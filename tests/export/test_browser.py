"""The live page in a real browser: Chromium of the system, through Playwright."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.export.fleet import Fleet, fleet
from tests.support.browser import MARKS, PATIENCE_MS, Seen, brightness, chromium, contrast

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = MARKS


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet"), workers=2) as running:
        yield running


def url(running: Fleet) -> str:
    return f"http://127.0.0.1:{running.metrics}/"


def wait_for_calm(page: Page) -> None:
    page.get_by_role("heading", name="2 workers alive").wait_for()


def test_the_page_shows_a_stall_while_it_lasts_and_afterwards_without_a_reload(
    browser: Browser, two: Fleet
) -> None:
    seen = Seen(browser, url(two))
    wait_for_calm(seen.page)
    two.freeze("/sleep/6")
    seen.page.get_by_role("heading", name="1 of 2 workers frozen").wait_for()
    row = seen.page.locator("tr", has=seen.page.locator("td.bad")).first
    assert "GET /sleep/{seconds}" in row.inner_text()
    assert "fleet.py:" in row.inner_text()
    red = row.locator("td.bad").first.evaluate("cell => getComputedStyle(cell).color")
    plain = seen.page.evaluate("getComputedStyle(document.body).color")
    assert red != plain
    assert seen.page.title() == "1 frozen · unstall"
    wait_for_calm(seen.page)
    seen.page.locator("section", has_text="Stalls").locator(
        "code", has_text="time.sleep"
    ).first.wait_for()
    assert seen.complaints == []
    assert {asked.rpartition("/")[2] for asked in seen.asked} <= {"", "fragment", "favicon.ico"}
    assert all(asked.startswith(url(two)) for asked in seen.asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_in_light_and_dark(
    browser: Browser, two: Fleet, scheme: str
) -> None:
    seen = Seen(
        browser,
        url(two),
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        is_mobile=True,
    )
    wait_for_calm(seen.page)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    size = seen.page.locator("td").first.evaluate(
        "cell => parseFloat(getComputedStyle(cell).fontSize)"
    )
    assert size >= 12
    ink, paper = seen.page.evaluate(
        "['color', 'backgroundColor'].map(key => getComputedStyle(document.body)[key])"
    )
    assert contrast(ink, paper) > 7
    assert (brightness(paper) < 0.5) == (scheme == "dark")


def test_without_javascript_it_renews_itself_by_reloading(browser: Browser, two: Fleet) -> None:
    seen = Seen(browser, url(two), java_script_enabled=False)
    wait_for_calm(seen.page)
    with seen.page.expect_navigation(timeout=PATIENCE_MS):
        pass
    wait_for_calm(seen.page)


def test_a_worker_that_holds_the_interpreter_lock_is_said_not_to_answer(
    browser: Browser, two: Fleet
) -> None:
    seen = Seen(browser, url(two))
    wait_for_calm(seen.page)
    deadline = time.monotonic() + PATIENCE_MS / 1e3
    while not seen.page.locator("#lost").is_visible():
        assert time.monotonic() < deadline
        for _ in range(4):  # whichever worker takes it
            two.freeze("/hold/6")
        seen.page.wait_for_timeout(5_000)
    assert "No answer from this worker" in seen.page.locator("#lost").inner_text()
    seen.page.locator("#lost").wait_for(state="hidden", timeout=2 * PATIENCE_MS)


def test_contrast_is_measured_right() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
