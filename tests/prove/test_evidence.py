"""Findings with their proof, and without where there is none."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from tests.prove.phases import CALM, HANG, UPSTREAMS, healthy, held, ill, report, witness
from unstall.model.finding import (
    Cause,
    Confidence,
    Entry,
    Evidence,
    Finding,
    Hop,
    Remedy,
    Severity,
    is_proved,
)
from unstall.model.latent import SEVERAL
from unstall.model.plan import Fault
from unstall.model.proof import Phase
from unstall.prove.evidence import merged, same_place
from unstall.testing import entry, site

FROZEN = witness(*[2.0] * 10, *[900.0] * 10, *[1_900.0] * 20, *[2.0] * 10)
"""Slow from the second 1 to the second 3."""
STALLS = (held(1_050, 2_000), held(3_100, 800, number=1))


def source(**changes: object) -> Finding:
    """The same call, read: under the name that it has in the source, with all its entries."""
    finding = Finding(
        code="US102",
        title="a synchronous HTTP call on the event loop",
        severity=Severity.ERROR,
        confidence=Confidence.LIKELY,
        entry=entry(),
        site=site("requests.api.get"),
        cause=Cause.WAITING,
        remedy=Remedy("await an async client"),
        reach=(Hop("shop/orders.py", 20, "create", "pay", "loop"),),
        evidence=(Evidence("reached"),),
        entries=(entry(), Entry("route", "GET /bill", "shop.bills:get")),
        impact="high",
    )
    return replace(finding, **changes)  # type: ignore[arg-type]


def kinds(finding: Finding) -> list[str]:
    return [each.kind for each in finding.evidence]


def frozen(**changes: object) -> list[Phase]:
    before = healthy()
    phase = ill(FROZEN, report(STALLS), before=before)
    return [before, replace(phase, **changes)]  # type: ignore[arg-type]


# --- proved


def test_two_like_calls_in_one_function_are_two_findings_each_with_its_own_proof() -> None:
    before = healthy()
    first = ill(FROZEN, report([held(1_050, 2_000, at=site(line=8))]), before=before)
    other = replace(HANG, upstream="OTHER_URL")
    longer = held(1_050, 2_050, at=site(line=9), peer="10.0.0.8:80", number=1)
    second = ill(FROZEN, report([longer]), before=before)
    second = replace(second, name=other.title, fault=other)
    findings = merged([before, first, second], (), {**UPSTREAMS, "OTHER_URL": ["10.0.0.8:80"]})
    proofs = {f.site.line: [e.fault for e in f.evidence if e.fault] for f in findings if f.site}
    assert proofs == {8: [HANG.title], 9: [other.title]}


def test_two_like_calls_that_stall_in_one_phase_are_priced_apart() -> None:
    before = healthy()
    stalls = [held(1_050, 2_000, at=site(line=8)), held(3_100, 800, at=site(line=9), number=1)]
    findings = merged([before, ill(FROZEN, report(stalls), before=before)], (), UPSTREAMS)
    told = {
        f.site.line: [(e.kind, e.count, e.max_ms) for e in f.evidence] for f in findings if f.site
    }
    assert told == {
        8: [("proved", 1, 2_000.0), ("measured", 1, 2_000.0)],
        9: [("proved", 1, 800.0), ("measured", 1, 800.0)],
    }


def test_what_computes_goes_over_many_lines_and_is_one_finding() -> None:
    stalls = [
        replace(held(1_050, 900, at=site("f", line=8)), cause=Cause.CPU),
        replace(held(3_100, 800, at=site("f", line=9), number=1), cause=Cause.CPU),
    ]
    (finding,) = merged([healthy(FROZEN, report(stalls))], (), UPSTREAMS)
    assert finding.evidence[0].count == 2


def test_a_stall_that_a_witness_waited_through_is_proved_with_fault_victims_time_and_peer() -> None:
    (finding,) = merged(frozen(), (), UPSTREAMS)
    proof, measured = finding.evidence
    assert (proof.kind, measured.kind) == ("proved", "measured")
    assert proof.fault == "hang BILLING_URL"
    assert proof.victims == 6
    assert (proof.max_ms, proof.total_ms, proof.count) == (2_000.0, 2_800.0, 2)
    assert proof.peer == "10.0.0.9:443"
    assert proof.because == (
        "2 stalls up to 2.00 s; witness p99 1.90 s, and witness p99 2.0 ms when healthy"
    )


def test_without_a_healthy_phase_to_compare_with_the_witness_alone_decides() -> None:
    assert is_proved(merged(frozen()[1:], (), UPSTREAMS)[0])


@pytest.mark.parametrize("peer", [None, "pipe", "/run/x.sock"])
def test_a_wait_on_nobody_in_particular_may_be_for_the_upstream(peer: str | None) -> None:
    before = healthy()
    phase = ill(FROZEN, report([held(1_050, 2_000, peer=peer)]), before=before)
    assert is_proved(merged([before, phase], (), UPSTREAMS)[0])


def test_a_fault_that_is_played_twice_is_one_proof_and_two_faults_are_two() -> None:
    before, phase = frozen()
    again = replace(phase, repeat=1)
    other = replace(phase, fault=Fault("BILLING_URL", "latency"), name="latency BILLING_URL")
    (finding,) = merged([before, phase, replace(before, repeat=1), again, other], (), UPSTREAMS)
    assert [e.fault for e in finding.evidence if e.kind == "proved"] == [
        "hang BILLING_URL", "latency BILLING_URL",
    ]  # fmt: skip


def unproved(phases: list[Phase]) -> None:
    findings = merged(phases, (), UPSTREAMS)
    assert findings
    assert not any(map(is_proved, findings))
    assert all("measured" in kinds(each) for each in findings)


def test_a_wait_on_somebody_else_is_not_blamed_on_this_fault() -> None:
    before = healthy()
    unproved(
        [before, ill(FROZEN, report([held(1_050, 2_000, peer="10.0.0.5:5432")]), before=before)]
    )
    unproved([before, ill(FROZEN, report([held(1_050, 2_000, peer="10.9.9.9:1")]), before=before)])


def test_a_stall_as_long_without_the_fault_is_not_blamed_on_it() -> None:
    before = healthy(CALM, report([held(1_050, 1_500)]))
    unproved([before, ill(FROZEN, report(STALLS), before=before)])


def test_a_stall_that_no_witness_felt_is_not_proved() -> None:
    before = healthy()
    late = report([held(4_050, 900)])  # the witnesses of the second 4 were served at once
    unproved([before, ill(FROZEN, late, before=before)])
    unproved([before, ill(FROZEN, report([held(1_050, 2_000, victims=0)]), before=before)])
    early = report([held(-1_900, 1_000)])  # before the load
    unproved([before, ill(FROZEN, early, before=before)])


def test_a_short_stall_beside_a_long_one_of_somebody_else_is_not_proved() -> None:
    before = healthy()
    long, short = held(1_050, 2_000), held(2_200, 300, at=site("time.sleep", line=99), number=1)
    findings = merged([before, ill(FROZEN, report([long, short]), before=before)], (), UPSTREAMS)
    assert {f.site.line: is_proved(f) for f in findings if f.site} == {31: True, 99: False}


@pytest.mark.parametrize("cause", [Cause.CPU, Cause.STARVED, Cause.GC, Cause.GIL, Cause.UNKNOWN])
def test_no_upstream_makes_a_loop_compute(cause: Cause) -> None:
    before = healthy()
    stalls = [replace(each, cause=cause) for each in STALLS]
    unproved([before, ill(FROZEN, report(stalls), before=before)])


def test_a_phase_whose_bystanders_were_served_or_that_was_not_judged_proves_nothing() -> None:
    before = healthy()
    unproved([before, ill(CALM, report(STALLS), before=before)])
    unproved([healthy(FROZEN), ill(FROZEN, report(STALLS), before=healthy(FROZEN))])


def test_a_healthy_phase_proves_nothing() -> None:
    unproved([healthy(FROZEN, report(STALLS))])


# --- with the source


def test_what_was_read_and_what_froze_are_one_finding() -> None:
    (finding,) = merged(frozen(), [source()], UPSTREAMS)
    assert kinds(finding) == ["proved", "measured", "reached"]
    assert finding.confidence is Confidence.CERTAIN
    assert finding.site == site("requests.get")
    assert finding.entries == source().entries
    assert finding.impact == "high"


def test_one_call_reached_from_two_entries_is_one_finding_with_one_price_and_one_proof() -> None:
    before = healthy()
    bill = Entry("route", "GET /bill", "shop.bills:get")
    other = replace(held(3_200, 700, number=1), entry=bill)
    phase = ill(FROZEN, report([STALLS[0], other]), before=before)
    (finding,) = merged([before, phase], [source()], UPSTREAMS)
    assert kinds(finding) == ["proved", "measured", "reached"]
    assert finding.evidence[0].count == finding.evidence[1].count == 2
    assert finding.entry == entry()
    assert len(merged([before, phase], [], UPSTREAMS)) == 2, "nobody knows that they are one"


def test_the_same_line_matches_whatever_the_call_is_named_and_the_same_call_whatever_its_line() -> (
    None
):
    assert same_place(source(), source(site=site("x.y", function="f")))
    assert same_place(source(), source(site=site("requests.api.get", line=99)))
    assert not same_place(source(), source(site=site("requests.api.get", file="b.py")))
    assert not same_place(source(), source(site=site("requests.post", line=99)))
    assert not same_place(source(), source(code="US201"))
    assert not same_place(source(), source(site=None))


def test_two_like_calls_that_were_read_are_each_joined_with_what_was_seen_on_their_line() -> None:
    before = healthy()
    stalls = [held(1_050, 2_000, at=site(line=8)), held(3_100, 800, at=site(line=9), number=1)]
    phase = ill(FROZEN, report(stalls), before=before)
    read = [source(site=site("requests.api.get", line=line)) for line in (9, 8, 7)]
    findings = merged([before, phase], read, UPSTREAMS)
    assert {f.site.line: kinds(f) for f in findings if f.site} == {
        8: ["proved", "measured", "reached"],
        9: ["proved", "measured", "reached"],
        7: ["reached"],
    }


def test_one_call_that_was_read_on_another_line_is_not_two_that_were_seen() -> None:
    before = healthy()
    get = partial(site, "requests.get")
    stalls = [held(1_050, 2_000, at=get(line=8)), held(3_100, 800, at=get(line=9), number=1)]
    phase = ill(FROZEN, report(stalls), before=before)
    findings = merged([before, phase], [source(site=get(line=99))], UPSTREAMS)
    assert [(f.site.line, "reached" in kinds(f)) for f in findings if f.site] == [
        (8, True), (9, False),
    ]  # fmt: skip


def test_a_call_seen_fast_stays_beside_a_like_one_that_stalled_on_another_line() -> None:
    seen = source(latent=True, entries=(), evidence=(Evidence("seen", count=3),), site=site(line=8))
    before = healthy(CALM, report(more=[seen]))
    findings = merged([before, ill(FROZEN, report(STALLS), before=before)], (), UPSTREAMS)
    assert [kinds(each) for each in findings] == [["proved", "measured"], ["seen"]]


def test_other_calls_of_the_source_stay_as_they_are() -> None:
    elsewhere = source(site=site("requests.api.get", file="b.py"))
    proved, left = merged(frozen(), [elsewhere], UPSTREAMS)
    assert is_proved(proved)
    assert left == elsewhere


# --- exercised


def calm(asked: dict[str, int], **changes: object) -> list[Phase]:
    before = healthy()
    phase = ill(CALM, report(asked=asked), before=before)
    return [before, replace(phase, **changes)]  # type: ignore[arg-type]


FOR_BILLING = (Evidence("seen", count=3, peer="10.0.0.9:443"),)


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(Evidence("reached"), id="read, and whom it asks is not known"),
        pytest.param(Evidence("seen", count=3), id="seen without a peer"),
        pytest.param(Evidence("seen", count=3, peer="10.0.0.5:5432"), id="another upstream"),
        pytest.param(Evidence("seen", count=3, peer="10.9.9.9:1"), id="somebody else"),
        pytest.param(Evidence("seen", count=3, peer=SEVERAL), id="now this one, now that one"),
    ],
)
def test_a_call_that_is_not_known_to_ask_the_ill_upstream_was_not_exercised(
    evidence: Evidence,
) -> None:
    (finding,) = merged(calm({"GET /bill": 100}), [source(evidence=(evidence,))], UPSTREAMS)
    assert kinds(finding) == [evidence.kind]


def test_a_route_that_was_asked_under_the_fault_without_effect_is_marked_so() -> None:
    asked = calm({"GET /bill": 100, "GET /else": 9})
    (finding,) = merged(asked, [source(evidence=FOR_BILLING)], UPSTREAMS)
    assert kinds(finding) == ["seen", "exercised"]
    exercised = finding.evidence[1]
    assert exercised.count == 100
    assert exercised.fault == "hang BILLING_URL"
    assert exercised.because is not None
    assert exercised.because.startswith(
        "asked under hang BILLING_URL: GET /bill; no stall here, and "
    )
    assert finding.confidence is Confidence.LIKELY


def test_a_call_that_was_seen_to_be_fast_for_that_upstream_is_marked_so() -> None:
    seen = source(
        latent=True,
        entries=(),
        evidence=(Evidence("seen", count=3, peer="10.0.0.9:443"),),
        site=site(),
    )
    phases = calm({"POST /orders": 100})
    phases[0] = replace(phases[0], report=report(more=[seen]))
    (finding,) = merged(phases, (), UPSTREAMS)
    assert kinds(finding) == ["seen", "exercised"]
    elsewhere = replace(seen, evidence=(Evidence("seen", count=3, peer="10.0.0.5:5432"),))
    phases[0] = replace(phases[0], report=report(more=[elsewhere]))
    assert kinds(merged(phases, (), UPSTREAMS)[0]) == ["seen"]


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(calm({}), id="nothing was asked"),
        pytest.param(calm({"GET /else": 100}), id="another route was asked"),
        pytest.param(calm({"GET /bill": 40}), id="asked too seldom to have met the fault surely"),
        pytest.param(frozen(), id="bystanders were frozen"),
        pytest.param([healthy(CALM, report(asked={"GET /bill": 100}))], id="only healthy"),
    ],
)
def test_what_was_not_tried_is_not_marked(phases: list[Phase]) -> None:
    assert HANG.title == "hang BILLING_URL"
    unseen = source(site=site("x.y", file="b.py"), evidence=FOR_BILLING)
    finding = merged(phases, [unseen], UPSTREAMS)[-1]
    assert kinds(finding) == ["seen"]


def test_a_request_that_was_refused_before_its_endpoint_tried_nothing() -> None:
    phases = calm({"GET /bill": 100})
    (cost,) = phases[1].report.entries
    refused = replace(cost, pieces=())
    phases[1] = replace(phases[1], report=replace(phases[1].report, entries=(refused,)))
    assert kinds(merged(phases, [source(evidence=FOR_BILLING)], UPSTREAMS)[0]) == ["seen"]


def test_a_call_that_stalled_there_although_nobody_felt_it_is_measured_and_not_exercised() -> None:
    before = healthy()
    phase = ill(CALM, report(STALLS, asked={"POST /orders": 100}), before=before)
    (finding,) = merged([before, phase], [source()], UPSTREAMS)
    assert kinds(finding) == ["measured", "reached"]


# --- over phases


def test_what_stalled_in_several_phases_is_one_finding_with_the_sum() -> None:
    before = healthy(CALM, report([held(100, 300, number=5)]))
    (finding,) = merged([before, ill(FROZEN, report(STALLS), before=before)], (), UPSTREAMS)
    measured = next(each for each in finding.evidence if each.kind == "measured")
    assert measured.count == 3


def test_a_call_seen_fast_when_healthy_and_stalled_under_the_fault_is_told_once() -> None:
    seen = source(latent=True, entries=(), evidence=(Evidence("seen", count=3),), site=site())
    before = healthy(CALM, report(more=[seen]))
    findings = merged([before, ill(FROZEN, report(STALLS), before=before)], (), UPSTREAMS)
    assert [kinds(each) for each in findings] == [["proved", "measured"]]


def test_the_proved_come_first_and_then_the_dearest() -> None:
    before = healthy()
    slower = [
        held(3_950, 1_000, at=site(line=77, function="g"), peer="10.0.0.5:5432", number=n)
        for n in (2, 3)
    ]
    cheaper = held(3_960, 110, at=site(line=78, function="h"), peer="10.0.0.5:5432", number=4)
    phase = ill(FROZEN, report([cheaper, *slower, *STALLS]), before=before)
    findings = merged([before, phase], [source(site=site("a.b", file="c.py"))], UPSTREAMS)
    assert [each.site.line for each in findings if each.site] == [31, 77, 78, 31]
    assert [is_proved(each) for each in findings] == [True, False, False, False]
