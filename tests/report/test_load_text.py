"""A load on a terminal: one table, the verdict, and what decided."""

from __future__ import annotations

from dataclasses import replace

from unstall.load.phase import phase_of, unwatched
from unstall.load.scenarios import Loaded
from unstall.model.histogram import Histogram
from unstall.model.outcome import LATENESS_BOUND_NS, Outcome, StreamOutcome
from unstall.model.plan import Plan
from unstall.model.proof import Judged, Run
from unstall.report.load_text import text

MS = 1_000_000
BUY = StreamOutcome(
    "buy", due=100, sent=98, dropped=2, timed_out=3, unanswered=1, resent=1,
    statuses={"200": 90, "404": 1, "503": 2}, errors={"refused": 1},
    latency=Histogram.of([5 * MS] * 97 + [2_000 * MS]), service=Histogram.of([4 * MS] * 93),
    lateness=Histogram.of([1] * 98),
)  # fmt: skip
WITNESS = StreamOutcome(
    "witness", due=20, sent=20, statuses={"200": 20}, latency=Histogram.of([MS] * 20),
    service=Histogram.of([MS] * 20), lateness=Histogram.of([1] * 20),
)  # fmt: skip


def run(*streams: StreamOutcome) -> Run:
    loaded = Loaded(Outcome(streams or (BUY, WITNESS)), 0, 4.0)
    phase = phase_of(loaded, unwatched("http://a"))
    return Run("unstall", "http://a", Plan(), phases=(phase,), verdict=phase.verdict)


def test_everything_of_a_load_fits_on_a_screen() -> None:
    assert text(run()).splitlines() == [
        "http://a: 30.0 requests a second due, 4 s",
        "  scenario  due  answered  errors  dropped     p50     p95     p99  service p99",
        "  buy       100        93       9        2  5.0 ms  5.0 ms  2.00 s       4.0 ms",
        "  witness    20        20       0        0  1.0 ms  1.0 ms  1.0 ms       1.0 ms",
        "  buy: 1 with status 404, 2 with status 503, 1 refused, 3 timed out, 1 unanswered, 1 sent once more",
        "  buy: 2 requests never left, because as many as in_flight allows were open; no latency holds them",
        "  isolated: the witness waited 1.0 ms at p99, and 0 of 20 of its requests got no answer",
    ]


def test_a_clean_load_has_nothing_between_table_and_verdict() -> None:
    assert len(text(run(WITNESS)).splitlines()) == 4


def test_latencies_of_a_late_generator_are_not_told() -> None:
    late = replace(BUY, lateness=Histogram.of([2 * LATENESS_BOUND_NS] * 98))
    lines = text(run(late, WITNESS)).splitlines()
    assert lines[2].split()[-4:] == ["-"] * 4
    assert "left 50 ms late or more" in lines[-1]


def test_thresholds_and_gaps_stand_below() -> None:
    judged = (
        Judged("buy.p95_ms < 9", "healthy", 5.0, True),
        Judged("buy.p99_ms < 9", "healthy", 2_000.0, False),
        Judged("loop.stalls == 0", "healthy", None, False),
    )
    lines = text(replace(run(), thresholds=judged, gaps=("nobody looked",))).splitlines()
    assert lines[-6:] == [
        "",
        "  held          buy.p95_ms < 9: 5",
        "  missed        buy.p99_ms < 9: 2000",
        "  not measured  loop.stalls == 0",
        "",
        "  nobody looked",
    ]


def test_repeats_and_interruptions_are_told() -> None:
    often = replace(run(), plan=Plan(repeat=3), interrupted=True)
    assert text(often).startswith(
        "http://a: 30.0 requests a second due, 4 s, repeat 1, interrupted"
    )


def test_what_the_app_said_last_is_told_without_its_secrets() -> None:
    made = run()
    phase = replace(made.phases[0], because="the app ended: GET /callback?token=hunter2")
    assert text(replace(made, phases=(phase,))).endswith(": the app ended: GET /callback?token=…")


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in text(replace(run(replace(BUY, name="a\x1b[31m")), target="b\x1b[0m"))
