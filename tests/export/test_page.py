"""The live page as markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from tests.export.families import counter, gauge, histogram
from unstall.export.page import POLICY, fragment, page
from unstall.export.snapshot import WORKER
from unstall.export.tables import entries, groups, quantile, seconds, switches
from unstall.export.workers import State, View, Worker
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

EVIL = '<script>alert("x")</script>&amp;\'"'
WORDS = {
    "cause": "waiting", "because": "in poll on 10.0.0.5:5432", "site": "shop.orders:create",
    "line": "shop/orders.py:10", "call": "cursor.execute", "entry": "GET /orders/{id}", "held_ns": 10**9,
    "victims": 3, "at": 990.0, "startup": False,
}  # fmt: skip


class Text(HTMLParser):
    """Checks that elements nest, and gathers what is said."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(markup)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data + "|"


def worker(state: State = State.ALIVE, blocked_s: float = 0.0, **words: Any) -> Worker:
    return Worker(
        7, state, 0.002, 0.01, blocked_s, False, words, 1,
        {"command": "uvicorn shop:app", "address": "http://127.0.0.1:9108/", "stalls": []},
    )  # fmt: skip


def view(*workers: Worker, families: tuple[Family, ...] = ()) -> View:
    return View(workers, families, 1_000.0)


def stalled(words: Mapping[str, Any]) -> Worker:
    return replace(worker(), snapshot={"stalls": [words]})


def test_a_frozen_worker_is_named_with_its_line_before_anything_else() -> None:
    shown = Text(fragment(view(worker(), worker(State.FROZEN, 4.2, **WORDS))))
    assert shown.text.startswith("1 of 2 workers frozen|")
    assert (
        "GET /orders/{id} · shop/orders.py:10 cursor.execute · in poll on 10.0.0.5:5432"
        in shown.text
    )
    assert 'class="bad"' in fragment(view(worker(State.FROZEN, 4.2)))


def test_a_calm_service_shows_nothing_red() -> None:
    markup = fragment(view(worker(), worker()))
    assert Text(markup).text.startswith("2 workers alive|")
    assert "bad" not in markup


def test_a_page_without_workers_says_so() -> None:
    assert Text(page(view())).text.strip("\n|").startswith("unstall|no event loop runs|")


def test_why_there_is_no_word_from_a_frozen_worker_is_said() -> None:
    quiet = worker(State.FROZEN, 3.0)
    silent = replace(quiet, silent=True)
    assert "C code holds the interpreter lock, most likely" in Text(fragment(view(silent))).text
    assert "not looked at yet" in Text(fragment(view(quiet))).text
    stopped = worker(State.STOPPED, 3.0)
    assert "the system has stopped the process" in Text(fragment(view(stopped))).text


def test_stalls_come_with_cause_entry_line_and_victims() -> None:
    text = Text(fragment(view(stalled(WORDS)))).text
    for said in ("10.0 s ago", "1.0 s", "waiting", "GET /orders/{id}", "shop/orders.py:10", "3"):
        assert f"|{said}|" in text


def test_nothing_that_an_application_names_becomes_markup() -> None:
    words = {key: EVIL if isinstance(value, str) else value for key, value in WORDS.items()}
    evil = histogram("unstall_entry_held_seconds", 1.0, {3: 1}, labels=("entry",), values=(EVIL,))
    pool = gauge("db_client_connection_count", (("7", EVIL), 1), labels=("worker", "pool"))
    build = gauge("app_build_info", ((EVIL,), 1), labels=("version",))
    frozen = worker(State.FROZEN, 3.0, **words)
    frozen.snapshot["command"] = frozen.snapshot["address"] = EVIL  # type: ignore[index]
    shown = Text(page(view(frozen, stalled(words), families=(evil, pool, build))))
    assert shown.tags.count("script") == 1
    assert shown.text.count("alert") >= 10


def test_an_address_that_is_no_web_address_is_no_link() -> None:
    bad = worker()
    bad.snapshot["address"] = "javascript:alert(1)"  # type: ignore[index]
    assert "javascript" not in fragment(view(bad))


def test_the_page_holds_all_it_needs_and_allows_nothing_else() -> None:
    markup = page(view(worker()))
    assert re.findall(r'(?:src|href)="(?!/|http://127)', markup) == []
    for element in ("style", "script"):
        (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", markup, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in POLICY
    assert "default-src 'none'" in POLICY


def test_without_a_script_it_reloads() -> None:
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in page(view())


# --- tables --------------------------------------------------------------------------------------


def test_entries_are_ranked_by_the_time_for_which_they_held_the_loop() -> None:
    family = Family(
        "unstall_entry_held_seconds", histogram("x", 0, {}).kind, "", ("entry",),
        (
            Sample(("GET /cheap",), 0.1, (0, 100, *[0] * 15)),
            Sample(("GET /dear",), 0.9, (*[0] * 7, 9, *[0] * 9)),
        ),
    )  # fmt: skip
    table = entries([family])
    assert table is not None
    rows = [dict(zip(table.heads, (cell.text for cell in row), strict=True)) for row in table.rows]
    assert [row["entry"] for row in rows] == ["GET /dear", "GET /cheap"]
    assert (rows[0]["share"], rows[0]["mean"], rows[0]["at most"]) == ("90%", "100 ms", "10/s")
    assert entries([]) is None


def test_pools_are_one_row_each_with_a_column_for_each_number() -> None:
    count = gauge(
        "db_client_connection_count", (("7", "main", "used"), 3), (("8", "main", "used"), 4),
        (("7", "main", "idle"), 1), labels=("worker", "pool", "state"),
    )  # fmt: skip
    wait = histogram(
        "db_client_connection_wait_time", 0.5, {9: 1}, labels=("pool",), values=("main",)
    )
    late = counter("db_client_connection_timeouts", (("main",), 2), labels=("pool",))
    (table,) = groups([count, wait, late])
    assert table.title == "Pools"
    assert table.heads == ("pool", "count used", "count idle", "wait", "timeouts")
    assert [cell.text for cell in table.rows[0]] == ["main", "7", "1", "500 ms · p99 498 ms", "2"]


def test_without_threads_pools_and_lanes_there_is_no_empty_table() -> None:
    assert groups([gauge("asyncio_tasks", (("7",), 3), labels=("worker",))]) == []


def test_a_quantile_is_estimated_inside_its_bucket() -> None:
    counts = [0] * (len(BOUNDS_S) + 1)
    assert quantile(Sample((), 0.0, tuple(counts)), 0.99) is None
    counts[7] = 100  # 50 to 100 ms
    assert quantile(Sample((), 0.0, tuple(counts)), 0.5) == pytest.approx(0.075)
    counts[16] = 1_000  # longer than the longest bound
    assert quantile(Sample((), 0.0, tuple(counts)), 0.99) == 60.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (1.54, "1.5 s"),
        (99.0, "99.0 s"),
        (180, "3 min"),
    ],
)
def test_times_are_short(value: float, text: str) -> None:
    assert seconds(value) == text


def test_switches_are_shown_with_their_state_and_what_they_said() -> None:
    ratio = Family(
        "unstall_switch_ratio", Kind.GAUGE, "", ("switch", WORKER),
        (Sample(("enrichment", "1"), 0.0), Sample(("enrichment", "2"), 0.0), Sample(("new-price", "1"), 0.25),
         Sample(("new-price", "2"), 1.0), Sample(("plain", "1"), 1.0)),
    )  # fmt: skip
    said = Family(
        "unstall_switch_decided_total", Kind.COUNTER, "", ("switch", "state"),
        (Sample(("enrichment", "off"), 1_200.0), Sample(("new-price", "on"), 3.0)),
    )  # fmt: skip
    failing = Family(
        "unstall_switch_source_failing", Kind.GAUGE, "", (WORKER,), (Sample(("1",), 1.0),)
    )
    table = switches([ratio, said, failing])
    assert table is not None
    assert [tuple(cell.text for cell in row) for row in table.rows] == [
        ("enrichment", "nobody", "0", "1,200"),
        ("new-price", "25 % to all", "3", "0"),
        ("plain", "all", "0", "0"),
    ]
    assert "cannot be read" in table.note
    assert "Switches" in Text(fragment(view(worker(), families=(ratio, said)))).text
    calm = switches([ratio])
    assert calm is not None
    assert calm.note == ""


def test_without_switches_there_is_no_table_of_them() -> None:
    assert switches([gauge("asyncio_tasks", ((), 1.0))]) is None
