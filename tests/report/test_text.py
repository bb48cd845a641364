"""What a person reads on a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.report.examples import CHARGE, CLEAN, FOUND, MEASURED, NOTHING, STARVED
from unstall.model.finding import Cause, Confidence, Evidence, Hop
from unstall.report.blocks import WIDTH, Row
from unstall.report.text import block_of, culprit, render, summary_of, verdict_of
from unstall.testing import entry, site

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def row(rows: tuple[Row, ...], label: str) -> str:
    return next(each.text for each in rows if each.label == label)


def test_a_block_reads_like_this() -> None:
    assert culprit(CHARGE) == (
        "US102  a synchronous HTTP call on the event loop"
        "                                               error\n"
        "  site      shop/billing.py:31 in Billing.charge, calling requests.get\n"
        "  entry     route POST /orders (shop.orders:create)\n"
        "  reach     shop/orders.py:20 in create > shop/service.py:44 in Orders.place\n"
        "  cause     waiting: the loop's thread was in poll on 127.0.0.1:9000 at 9 of 9 looks\n"
        "  price     12 stalls (p50 2.00 s, p99 2.01 s, max 2.01 s), 24.04 s stolen from the loop, 37\n"
        "            victims; the longest for request 7f3a\n"
        "  remedy    use one shared httpx2.AsyncClient with a time-out\n"
        "  docs      rules/US102, fingerprint 326f7654fbc22556"
    )


def test_the_verdict_comes_first_with_the_whole_price() -> None:
    assert render(FOUND).splitlines()[0] == (
        "findings: 2 findings, 13 stalls, 24.34 s stolen, 37 victims in uvicorn shop:app"
    )


def test_a_clean_run_says_so_and_nothing_more() -> None:
    assert verdict_of(CLEAN).head == "clean: no stall was seen in uvicorn shop:app"
    assert "findings" not in render(CLEAN)


def test_watching_nothing_is_not_called_clean() -> None:
    assert verdict_of(NOTHING).head.startswith("not-enough-data: no event loop ran in")
    assert "clean" not in render(NOTHING)


def test_findings_keep_the_order_they_come_in() -> None:
    text = render(replace(FOUND, findings=(STARVED, CHARGE)))
    assert text.index("US902") < text.index("US102")


def test_the_summary_says_what_the_report_rests_on() -> None:
    rows = summary_of(FOUND)
    assert row(rows, "lag") == "p50 0.2 ms, p99 0.2 ms, max 2.01 s"
    assert row(rows, "coverage") == "1 process, 2 loops, 412 requests, 30.0 s watched"
    assert row(rows, "start-up") == (
        "2 stalls at start-up, the longest 900 ms at shop/billing.py:31: not counted"
    )
    assert [each.text for each in rows[-2:]] == list(FOUND.gaps)


def test_a_summary_of_nothing_has_no_empty_rows() -> None:
    assert summary_of(NOTHING) == (Row("lag", "no heartbeat was recorded"),)


def test_nobody_on_the_loop_is_blamed_for_a_starved_process() -> None:
    assert row(block_of(STARVED).rows, "site") == "no line on the loop is to blame"
    crowded = replace(STARVED, cause=Cause.SATURATED)
    assert row(block_of(crowded).rows, "site") == "no function stands out"
    unseen = replace(STARVED, cause=Cause.UNKNOWN)
    assert row(block_of(unseen).rows, "site") == "was not seen"


def test_a_likely_rule_is_marked_as_such() -> None:
    likely = replace(CHARGE, confidence=Confidence.LIKELY)
    assert row(block_of(likely).rows, "cause").endswith("(likely)")
    assert "certain" not in row(block_of(CHARGE).rows, "cause")


def test_the_wait_is_added_only_where_its_evidence_does_not_name_it() -> None:
    silent = replace(CHARGE, evidence=(replace(MEASURED, because=None),))
    assert row(block_of(silent).rows, "cause") == "waiting, in poll, on 127.0.0.1:9000"
    assert row(block_of(CHARGE).rows, "cause").count("127.0.0.1:9000") == 1


def test_what_was_only_read_in_the_source_has_no_price() -> None:
    rows = block_of(replace(CHARGE, evidence=(Evidence("reached"),))).rows
    assert "price" not in {each.label for each in rows}
    assert row(rows, "evidence") == "reached"


def test_an_entry_that_is_its_own_function_is_named_once() -> None:
    job = replace(CHARGE, entry=entry("task", "tidy", "shop.jobs:tidy"))
    assert row(block_of(job).rows, "entry") == "task (shop.jobs:tidy)"


def test_no_line_is_wider_than_the_terminal() -> None:
    deep = replace(
        CHARGE,
        title="a very long title " * 9,
        site=site("client." * 30 + "get", file="folder/" * 30 + "billing.py"),
        reach=tuple(Hop("shop/some-long-module-name.py", n, "f" * 40, "") for n in range(12)),
    )
    lines = render(replace(FOUND, findings=(deep,), target="uvicorn " * 30)).splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_colour_changes_nothing_but_colour() -> None:
    coloured = render(FOUND, colour=True)
    assert coloured != render(FOUND)
    assert ESCAPE.sub("", coloured) == render(FOUND)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x07", "\x9b31m", "a\nb"])
def test_a_request_id_cannot_steer_the_terminal(hostile: str) -> None:
    finding = replace(CHARGE, evidence=(replace(MEASURED, request_id=hostile),))
    plain = culprit(finding)
    assert all(char.isprintable() or char == "\n" for char in plain)
    assert plain.count("\n") == culprit(CHARGE).count("\n")


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0.04, "0.0 ms"),
        (9.94, "9.9 ms"),
        (310.0, "310 ms"),
        (999.6, "1.00 s"),
        (15_012.0, "15.01 s"),
    ],
)
def test_a_time_is_shown_with_three_digits_or_so(ms: float, shown: str) -> None:
    evidence = Evidence("measured", count=1, total_ms=ms)
    assert f"1 stall, {shown} stolen" in culprit(replace(CHARGE, evidence=(evidence,)))


def test_what_victims_lost_and_that_there_may_be_more_of_them_is_said() -> None:
    price = Evidence("measured", count=1, victims=37, victims_at_least=True, stolen_ms=18_500.0)
    rows = block_of(replace(CHARGE, evidence=(price,))).rows
    assert "at least 37 victims, who lost up to 18.50 s together" in row(rows, "price")


def test_without_victims_nobody_lost_anything() -> None:
    price = Evidence("measured", count=1, victims=0, stolen_ms=0.0)
    assert "lost" not in row(block_of(replace(CHARGE, evidence=(price,))).rows, "price")


def test_a_watch_that_failed_is_not_said_to_have_been_too_brief() -> None:
    assert "the watch itself failed" in verdict_of(replace(NOTHING, failures=2)).head
