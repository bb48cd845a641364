"""Foreign suites are compared test by test, and each finding needs a verdict."""

from __future__ import annotations

from typing import Any

from benchmarks import suites
from benchmarks.support.foreign import Ran, outcomes_of
from benchmarks.support.judged import FALSE, VERDICTS, key_of, verdict_on

NAME = "anyio-4.16.0"
JUDGED: dict[str, Any] = {
    "code": "US101",
    "severity": "error",
    "site": {
        "file": "tests/test_taskgroups.py", "line": 1, "call": "time.sleep",
        "function": "test_fail_after_scope_cancelled_before_timeout",
    },
}  # fmt: skip
NEW = {**JUDGED, "code": "US103"}


def ran(way: str, wall_s: float = 1.0, *findings: dict[str, Any], **outcomes: str) -> Ran:
    return Ran(way, outcomes, wall_s, wall_s, findings)


def test_outcomes_come_from_a_junit_report() -> None:
    xml = """<testsuites><testsuite>
        <testcase classname="t.A" name="good"/>
        <testcase classname="t.A" name="bad"><failure message="x"/></testcase>
        <testcase classname="t.A" name="bad"><error message="x"/></testcase>
        <testcase classname="t.A" name="left"><skipped/></testcase>
    </testsuite></testsuites>"""
    assert outcomes_of(xml) == {
        "t.A::good": "passed", "t.A::bad": "failure", "t.A::bad'": "error", "t.A::left": "skipped",
    }  # fmt: skip


def test_a_test_that_comes_out_otherwise_is_counted_with_its_runs() -> None:
    runs = [
        ran("plain", a="passed", b="passed"),
        ran("unstall", a="failure", b="passed"),
        ran("unstall", a="failure"),
    ]
    assert suites.changed(runs, "unstall") == {"a": 2, "b": 1}


def test_one_that_is_not_the_same_twice_says_nothing() -> None:
    runs = [ran("plain", a="passed"), ran("plain", a="failure"), ran("unstall", a="failure")]
    assert suites.stable(runs) == {}
    assert not suites.changed(runs, "unstall")


def test_a_finding_without_a_verdict_and_a_false_one_fail_a_bar() -> None:
    def short(*findings: dict[str, Any]) -> list[str]:
        runs = [ran("plain", a="passed"), ran("unstall", 1.2, *findings, a="passed")]
        return [bar.name for bar in suites.bars({NAME: runs}) if not bar.holds]

    assert short(JUDGED) == []
    assert short(JUDGED, NEW) == ["suites_not_judged"]


def test_a_suite_that_takes_longer_fails_a_bar() -> None:
    runs = [ran("plain", a="passed"), ran("unstall", 1.4, a="passed")]
    bars = suites.bars({NAME: runs})
    assert [bar.name for bar in bars if not bar.holds] == [f"suites_{NAME}_slowdown"]


def test_each_verdict_is_of_a_suite_that_runs_and_says_right_or_false() -> None:
    assert set(VERDICTS) <= {suite.name for suite in suites.SUITES}
    said = [verdict for each in VERDICTS.values() for verdict in each.values()]
    assert all(each.startswith(("right: ", f"{FALSE}: ")) for each in said)
    assert verdict_on(NAME, JUDGED).startswith("right: ")
    assert verdict_on(NAME, NEW) == ""
    assert key_of({**JUDGED, "site": None}) == ("US101", "", "", "")
