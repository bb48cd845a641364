"""The text, as Prometheus's own parsers understand it."""

from __future__ import annotations

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as _openmetrics
from prometheus_client.parser import text_string_to_metric_families as _plain

from tests.export.families import counter, gauge, histogram
from unstall.export.prometheus import render, wants_openmetrics
from unstall.model.metric import BOUNDS_S, Family

NASTY = 'a "quoted" \\ back\nline ü {x="y"} #'


def openmetrics(text: str) -> list[Metric]:
    return list(_openmetrics(text))  # type: ignore[no-untyped-call]


def plain(text: str) -> list[Metric]:
    return list(_plain(text))


PARSERS = {"0.0.4": (plain, False), "OpenMetrics": (openmetrics, True)}


@pytest.mark.parametrize("name", PARSERS)
def test_a_histogram_is_cumulative_with_its_sum_and_count(name: str) -> None:
    parse, asked = PARSERS[name]
    family = histogram(
        "h_seconds", 12.5, {0: 1, 3: 2, 16: 4}, labels=("entry",), values=("GET /x",)
    )
    (found,) = parse("".join(render([family], openmetrics=asked)))
    assert (found.name, found.type, found.documentation) == ("h_seconds", "histogram", "How long.")
    by_bound = {s.labels["le"]: s.value for s in found.samples if s.name == "h_seconds_bucket"}
    assert list(map(float, by_bound)) == [*BOUNDS_S, float("inf")]
    assert (by_bound["0.0005"], by_bound["0.005"], by_bound["60.0"], by_bound["+Inf"]) == (
        1,
        3,
        3,
        7,
    )
    rest = {s.name: s.value for s in found.samples if s.name != "h_seconds_bucket"}
    assert rest == {"h_seconds_count": 7, "h_seconds_sum": 12.5}
    assert all(s.labels["entry"] == "GET /x" for s in found.samples)


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("called", ["c_total", "c"])
def test_a_counter_ends_in_total_whatever_its_family_is_called(name: str, called: str) -> None:
    parse, asked = PARSERS[name]
    (found,) = parse("".join(render([counter(called, ((), 3))], openmetrics=asked)))
    assert found.type == "counter"
    assert [(s.name, s.value) for s in found.samples] == [("c_total", 3)]


@pytest.mark.parametrize("name", PARSERS)
def test_labels_and_help_may_hold_anything(name: str) -> None:
    parse, asked = PARSERS[name]
    family = gauge("g", ((NASTY, ""), 1), labels=("site", "empty"))
    family = Family("g", family.kind, NASTY, family.labels, family.samples)
    (found,) = parse("".join(render([family], openmetrics=asked)))
    assert [s.labels for s in found.samples] == [{"site": NASTY, "empty": ""}]
    assert found.documentation == NASTY


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize("value", [0.0, 3.0, -1.5, 1e300, 0.1, float("inf"), float("-inf")])
def test_numbers_keep_their_value(name: str, value: float) -> None:
    parse, asked = PARSERS[name]
    (found,) = parse("".join(render([gauge("g", ((), value))], openmetrics=asked)))
    assert [s.value for s in found.samples] == [value]


def test_a_number_that_is_none_stays_one() -> None:
    (found,) = plain("".join(render([gauge("g", ((), float("nan")))])))
    assert str(found.samples[0].value) == "nan"


@pytest.mark.parametrize("name", PARSERS)
def test_a_build_is_shown_with_the_value_one(name: str) -> None:
    parse, asked = PARSERS[name]
    family = gauge("app_build_info", (("1.2", "abc"), 1), labels=("version", "commit"))
    (found,) = parse("".join(render([family], openmetrics=asked)))
    assert [(s.name, s.labels, s.value) for s in found.samples] == [
        ("app_build_info", {"version": "1.2", "commit": "abc"}, 1)
    ]


def test_a_family_that_comes_twice_is_shown_once() -> None:
    text = "".join(render([gauge("g", ((), 1)), gauge("g", ((), 2))], openmetrics=True))
    assert [s.value for family in openmetrics(text) for s in family.samples] == [1]


def test_openmetrics_has_an_end() -> None:
    assert "".join(render([], openmetrics=True)) == "# EOF\n"
    assert "".join(render([])) == ""


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            True,
        ),
        ("text/plain;q=1, application/openmetrics-text;q=0.2", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=oops", False),
    ],
)
def test_openmetrics_is_for_who_prefers_it(accept: str, wanted: bool) -> None:
    assert wants_openmetrics(accept) is wanted
