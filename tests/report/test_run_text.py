"""A run on a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.support.runs import HANG, SLOW, Service, calm, frozen, run
from unstall.model.finding import (
    Cause,
    Confidence,
    Entry,
    Evidence,
    Finding,
    Remedy,
    Severity,
    Site,
)
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome
from unstall.model.plan import Fault
from unstall.model.proof import WITNESS, Run
from unstall.model.report import Report, Verdict, WitnessVerdict
from unstall.report.run_figures import fault_of, figures_of
from unstall.report.run_text import text
from unstall.triage.regression import compare

ONE = (("checkout", 50.0),)


def lines(said: str, part: str) -> list[str]:
    return [line for line in said.splitlines() if part in line]


def test_the_verdict_comes_first_and_everything_fits_the_page() -> None:
    said = text(frozen(), compare(calm(), frozen()))
    assert said.startswith("frozen: 1 of 2 faults froze bystanders of shop:app\n")
    assert max(map(len, said.splitlines())) <= 100
    assert not re.search(r"[ ]$", said, re.MULTILINE)


def test_a_phase_is_a_row_with_its_figures() -> None:
    made = run(rates=ONE, faults=((HANG, Service(stalls=((2.0, 3.0),))),))
    (phase,) = [each for each in figures_of(made) if each.fault]
    (row,) = lines(text(made), "frozen")[1:2]
    stream = phase.streams[0]
    assert row.split() == [
        "hang", "BILLING_URL", str(stream.due), str(stream.answered), str(stream.errors),
        *_words(stream.p50_ms, stream.p95_ms, stream.p99_ms),
        *_words(phase.witness.p99_ms if phase.witness else None, phase.lag_p99_ms),
        "1", str(phase.victims), "frozen",
    ]  # fmt: skip


def _words(*values: float | None) -> list[str]:
    from unstall.report.run_figures import time_of

    return [word for value in values for word in time_of(value).split()]


def test_of_several_kinds_of_requests_each_has_its_row() -> None:
    said = text(frozen())
    assert len(lines(said, "    checkout ")) == len(lines(said, "    browse ")) == 3


def test_repeats_are_one_row_with_their_number_and_the_worst_verdict() -> None:
    made = run(rates=ONE, faults=((HANG, Service()),), repeats=3)
    bad = run(rates=ONE, faults=((HANG, Service(stalls=((2.0, 3.0),))),)).phases[1]
    mixed = replace(made, phases=(*made.phases[:5], replace(bad, repeat=2)))
    said = text(mixed)
    (row,) = lines(said, "hang BILLING")[:1]
    assert " ×3 " in row
    assert "frozen in 1 of 3 repeats" in said
    due = sum(phase.outcome["checkout"].due for phase in mixed.phases[3:])
    assert row.split(" ×3 ")[1].split()[0] == str(due)
    assert row.endswith(" frozen")


def test_a_long_name_of_a_phase_is_cut_and_its_number_is_not() -> None:
    fault = replace(HANG, name="the billing service of the second region hangs for a while")
    made = run(rates=ONE, faults=((fault, Service(stalls=((1.0, 9.9),))),), repeats=2)
    said = text(made)
    assert lines(said, "the billing")[0].split(" ×2 ")[0].endswith("…")
    assert max(map(len, said.splitlines())) <= 100


def test_why_is_said_of_every_phase_with_what_was_ill() -> None:
    said = " ".join(text(frozen()).split())
    assert "hang BILLING_URL (3 s, 5 % of exchanges, 1 bad address), frozen: the witness" in said
    assert "latency REDIS_URL (latency 40, jitter 10), isolated: the witness" in said
    assert "healthy, isolated: the witness" in said


def test_the_culprit_stands_with_its_proof() -> None:
    said = " ".join(text(frozen()).split())
    assert "site shop/billing.py:31 in Billing.charge, calling requests.get" in said
    assert "proof under hang BILLING_URL, 412 victims: 3 stalls up to 3.01 s; witness p99" in said
    assert (
        "cause waiting: the loop's thread was in poll on 127.0.0.1:9000 at 9 of 9 looks price"
        in said
    )


def test_a_calm_run_accuses_nobody() -> None:
    said = text(calm())
    assert said.startswith("isolated: none of 2 faults was felt by bystanders of shop:app\n")
    assert "US102" not in said
    assert "gate      1 threshold held" in said


def test_thresholds_are_held_missed_or_unknown_with_what_was_seen() -> None:
    said = text(frozen())
    assert "  gate      2 of 5 thresholds missed, 1 could not be measured" in said
    assert "  held      checkout.p95_ms < 150 in healthy: 31.2" in said
    assert "  missed    checkout.p95_ms < 150 in hang BILLING_URL: 2817" in said
    assert "  unknown   pool.wait_p99_ms < 5 in latency REDIS_URL: there was nothing" in said


def test_regressions_come_with_both_figures_and_their_interval() -> None:
    said = text(frozen(), compare(calm(), frozen()))
    (row,) = lines(said, "worse     hang BILLING_URL: checkout.p95_ms")
    assert re.search(r"_ms \d+ ms to 2\.\d\d s \(", row)
    assert "regressions" in said
    assert "figures, as healthy: browse.p99_ms, for" in " ".join(said.split())


def test_routes_that_were_not_asked_and_gaps_are_told() -> None:
    said = text(frozen())
    assert "not asked DELETE /orders/{id}: its parameter `id` has no example" in said
    assert "gaps      3 looks were seen and not kept" in said


def test_where_nobody_watched_no_stall_is_not_none() -> None:
    made = run(rates=ONE)
    bare = replace(made.phases[0], report=Report("", "", Verdict.NOT_ENOUGH_DATA), lag=())
    (row,) = lines(text(replace(made, phases=(bare,))), "  healthy  ")
    assert row.split()[-4:] == ["-", "-", "-", "isolated"]


def test_a_generator_that_was_late_is_said_beside_its_latencies() -> None:
    made = run(rates=ONE)
    (phase,) = made.phases
    streams = [
        replace(each, lateness=Histogram.of([80_000_000] * 50)) for each in phase.outcome.streams
    ]
    late = replace(phase, outcome=Outcome(tuple(streams)))
    said = " ".join(text(replace(made, phases=(late,))).split())
    assert "the load generator was up to 80 ms late itself (p99)" in said
    assert "generator" not in text(made)


def test_a_run_cut_short_before_its_first_phase_is_still_a_page() -> None:
    nothing = Run("unstall 0.1.0", "shop:app", calm().plan, interrupted=True)
    assert text(nothing) == (
        "not-enough-data: too little was seen of shop:app (interrupted) to judge"
    )


def test_without_faults_it_is_the_load_that_is_judged() -> None:
    assert text(run()).startswith("isolated: load alone was not felt by bystanders of shop:app\n")
    slow = run(Service(stalls=((1.0, 4.0),)))
    assert slow.verdict is WitnessVerdict.FROZEN
    assert text(slow).startswith("frozen: load alone froze bystanders of shop:app\n")


def test_what_could_steer_a_terminal_is_not_passed_on() -> None:
    evil = replace(frozen(), target="\x1b]0;owned\x07", gaps=("\x1b[2J",))
    fault = Fault("A\x1b[31m", "hang")
    said = text(replace(evil, phases=run(faults=((fault, Service()),)).phases))
    assert "\x1b" not in said


def test_colour_changes_no_letter() -> None:
    plain, painted = text(frozen()), text(frozen(), colour=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", painted) == plain
    assert painted != plain


def test_a_fault_in_words() -> None:
    assert fault_of(None) == ""
    assert fault_of(Fault("DB", "refuse")) == "refuse DB"
    assert fault_of(SLOW) == "latency REDIS_URL: latency 40, jitter 10"
    timed = replace(HANG, after=2.0, until=8.0, bad=2)
    assert fault_of(timed) == (
        "hang BILLING_URL: 3 s, 5 % of exchanges, 2 bad addresses, from 2 s, until 8 s"
    )


def seen(*evidence: Evidence, latent: bool = True) -> Finding:
    return Finding(
        "US102", "a synchronous HTTP call on the event loop", Severity.WARNING, Confidence.CERTAIN,
        Entry("route", "GET /stock", "shop:stock"), Site("shop/stock.py", 9, "stock", "requests.api.get"),
        Cause.WAITING, Remedy("await an async client"), latent=latent,
        evidence=(Evidence("seen", count=40), *evidence),
    )  # fmt: skip


def test_a_call_that_was_fast_is_told_below_whose_fault_it_was_and_what_was_tried() -> None:
    found = frozen()
    tried = seen(Evidence("exercised", count=40, fault="hang STOCK_URL"))
    said = text(replace(found, findings=(tried, *found.findings)))
    row = "  seen      US102 shop/stock.py:9 requests.api.get, GET /stock: on the loop, and fast; "
    (at,) = lines(said, row.rstrip())
    assert "exercised under hang STOCK_URL" in " ".join(said.split())
    assert said.index("proved") < said.index(at) < said.index("  gate ")
    assert "  seen " not in text(found)


def test_of_many_such_calls_the_rest_is_counted() -> None:
    found = replace(calm(), findings=(seen(),) * 7)
    assert len(lines(text(found), "shop/stock.py:9")) == 5
    assert "and 2 more calls: --json has all" in text(found)


def test_a_call_that_stalled_is_not_told_twice() -> None:
    stalled = seen(Evidence("measured", count=1))
    assert "on the loop, and fast" not in text(replace(calm(), findings=(stalled,)))


def test_a_calm_witness_was_not_slowed_though_a_loop_was_held() -> None:
    made = run(faults=((HANG, Service()),))
    healthy, ill = made.phases
    held = replace(ill, verdict=WitnessVerdict.DEGRADED)
    said = text(replace(made, phases=(healthy, held), verdict=WitnessVerdict.DEGRADED))
    assert said.startswith("degraded: the one fault held a loop of shop:app\n")


def test_a_witness_without_an_answer_has_no_time() -> None:
    made = run(rates=ONE)
    (phase,) = made.phases
    streams = [
        replace(each, statuses={}, unanswered=each.sent) if each.name == WITNESS else each
        for each in phase.outcome.streams
    ]
    mute = replace(made, phases=(replace(phase, outcome=Outcome(tuple(streams))),))
    (row,) = lines(text(mute), "  healthy  ")
    assert " no answer " in row
    assert "no answer" not in text(made)
