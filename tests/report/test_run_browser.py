"""The page of a run in a real browser: Chromium of the system, through Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import MARKS, Seen, chromium, contrast
from tests.support.runs import calm, frozen
from unstall.report.run_html import page
from unstall.triage.regression import compare

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = MARKS
SIZES = {"phone": (360, 740), "laptop": (1280, 800), "wall": (1920, 1080)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    before, after = frozen(), calm()
    made = {"one": page(before), "two": page(after, before, compare(before, after))}
    files = {name: folder / f"{name}.html" for name in made}
    for name, text in made.items():
        files[name].write_text(text, encoding="utf-8")
    return files


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, pages: dict[str, Path], name: str, size: str, scheme: str
) -> None:
    wide, high = SIZES[size]
    seen = Seen(
        browser, pages[name].as_uri(), viewport={"width": wide, "height": high}, color_scheme=scheme
    )
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= wide
    assert (seen.complaints, seen.asked) == ([], {pages[name].as_uri()})
    small = seen.page.evaluate(
        """[...document.querySelectorAll('td, dd, li, p')].filter(each => each.innerText
        && parseFloat(getComputedStyle(each).fontSize) < 11).length"""
    )
    assert small == 0
    seen.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_written_can_be_read(
    browser: Browser, pages: dict[str, Path], scheme: str
) -> None:
    """At least 4.5 to 1, as WCAG AA asks of small letters."""
    seen = Seen(browser, pages["one"].as_uri(), color_scheme=scheme)
    pairs = seen.page.evaluate(
        """() => {
          const paper = element => {
            for (let each = element; each; each = each.parentElement) {
              const colour = getComputedStyle(each).backgroundColor;
              if (colour !== "rgba(0, 0, 0, 0)") return colour;
            }
            return "rgb(255, 255, 255)";
          };
          const found = [];
          for (const each of document.querySelectorAll("h1,h2,h3,p,td,th,dt,dd,li,b,summary,small,button")) {
            if (each.innerText) found.push([getComputedStyle(each).color, paper(each), each.innerText]);
          }
          for (const each of document.querySelectorAll(".chart text")) {
            found.push([getComputedStyle(each).fill, paper(each), each.textContent]);
          }
          return found;
        }"""
    )
    assert len(pairs) > 100
    faint = {text[:40] for ink, paper, text in pairs if contrast(ink, paper) < 4.5}
    assert faint == set()


def test_the_keyboard_reads_the_chart_second_by_second(
    browser: Browser, pages: dict[str, Path]
) -> None:
    page_ = Seen(browser, pages["one"].as_uri()).page
    figure = page_.locator("figure")
    figure.focus()
    read = page_.locator(".read")
    page_.keyboard.press("ArrowRight")
    assert read.inner_text().startswith("healthy, second 0: checkout p99 ")
    page_.keyboard.press("ArrowRight")
    assert "second 1:" in read.inner_text()
    assert page_.locator(".cursor").get_attribute("visibility") == "visible"
    for _ in range(12):
        page_.keyboard.press("ArrowRight")
    assert read.inner_text().startswith("hang BILLING_URL, second 1:")


def test_the_pointer_reads_what_it_stands_over(browser: Browser, pages: dict[str, Path]) -> None:
    page_ = Seen(browser, pages["one"].as_uri()).page
    box = page_.locator(".plot").bounding_box()
    assert box
    page_.locator("figure").scroll_into_view_if_needed()
    box = page_.locator(".plot").bounding_box()
    assert box
    page_.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    assert page_.locator(".read").inner_text().startswith("hang BILLING_URL, second ")


def test_a_phase_can_be_looked_at_alone_and_all_of_it_again(
    browser: Browser, pages: dict[str, Path]
) -> None:
    page_ = Seen(browser, pages["one"].as_uri()).page
    plot = page_.locator(".plot")
    whole = plot.get_attribute("viewBox")
    button = page_.get_by_role("button", name="hang BILLING_URL")
    button.click()
    assert plot.get_attribute("viewBox") != whole
    assert button.get_attribute("aria-pressed") == "true"
    shown = page_.locator(".chart text.over:not([visibility=hidden])")
    assert "hang BILLING_URL" in shown.first.text_content()  # type: ignore[operator]
    page_.locator("figure").focus()
    page_.keyboard.press("Escape")
    assert plot.get_attribute("viewBox") == whole


def test_dragging_over_a_stretch_of_time_zooms_into_it(
    browser: Browser, pages: dict[str, Path]
) -> None:
    page_ = Seen(browser, pages["one"].as_uri()).page
    page_.locator("figure").scroll_into_view_if_needed()
    plot = page_.locator(".plot")
    box = plot.bounding_box()
    assert box
    x, y = box["x"], box["y"] + 40
    page_.mouse.move(x + box["width"] * 0.4, y)
    page_.mouse.down()
    page_.mouse.move(x + box["width"] * 0.6, y, steps=4)
    page_.mouse.up()
    left, _, wide, _ = map(float, str(plot.get_attribute("viewBox")).split())
    whole = float(str(plot.get_attribute("width")))
    assert (left / whole, wide / whole) == pytest.approx((0.4, 0.2), abs=0.02)


def test_without_a_script_everything_is_there(browser: Browser, pages: dict[str, Path]) -> None:
    page_ = Seen(browser, pages["one"].as_uri(), java_script_enabled=False).page
    assert page_.get_by_role("heading", name="frozen").is_visible()
    assert page_.locator(".chart").is_visible()
    assert page_.locator(".zoom").is_hidden()
    page_.locator("summary", has_text="Figures by the second").click()
    assert page_.get_by_role("cell", name="hang BILLING_URL").first.is_visible()


def test_of_two_runs_the_charts_stand_beside_each_other_where_there_is_room(
    browser: Browser, pages: dict[str, Path]
) -> None:
    tops = {}
    for size in ("phone", "wall"):
        wide, high = SIZES[size]
        page_ = Seen(browser, pages["two"].as_uri(), viewport={"width": wide, "height": high}).page
        boxes = [page_.locator("figure").nth(n).bounding_box() for n in range(2)]
        tops[size] = [round(box["y"]) for box in boxes if box]
    assert tops["wall"][0] == tops["wall"][1]
    assert tops["phone"][0] < tops["phone"][1]


def test_whoever_listens_hears_headings_tables_and_the_drawing_by_name(
    browser: Browser, pages: dict[str, Path]
) -> None:
    page_ = Seen(browser, pages["one"].as_uri()).page
    assert page_.get_by_role("heading", level=1).count() == 1
    levels = page_.evaluate(
        "[...document.querySelectorAll('h1,h2,h3')].map(each => +each.tagName[1])"
    )
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page_.evaluate("document.documentElement.lang") == "en"
    assert page_.get_by_role("img", name="Latency, witness, loop lag and stalls").count() == 1
    assert page_.evaluate("document.querySelectorAll('th:not([scope])').length") == 0
    assert page_.get_by_role("button").count() == 4
    unnamed = page_.evaluate(
        "[...document.querySelectorAll('button,figure,[role=img]')].filter(each => "
        "!(each.innerText || each.getAttribute('aria-label') || each.getAttribute('aria-labelledby'))).length"
    )
    assert unnamed == 0
