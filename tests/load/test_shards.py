"""Parts of a load become the whole again, and what is no part of it is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unstall.errors import UsageError
from unstall.load import Share
from unstall.load.phase import phase_of, unwatched
from unstall.load.scenarios import Loaded
from unstall.load.shards import OF_THE_WHOLE, fingerprint, merged, share_of
from unstall.model.histogram import Histogram
from unstall.model.outcome import Outcome, StreamOutcome
from unstall.model.plan import Plan, Scenario, Threshold
from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict

MS = 1_000_000
PLAN = Plan("shop", scenarios=(Scenario("buy"),), thresholds=(Threshold("buy.p50_ms", "<", 10),))


def stream(name: str, *ms: int) -> StreamOutcome:
    latency = Histogram.of(each * MS for each in ms)
    count = len(ms)
    return StreamOutcome(
        name, count, count, statuses={"200": count}, latency=latency, service=latency,
        lateness=Histogram.of([1] * count),
    )  # fmt: skip


def part(number: int, of: int = 2, ms: int = 5, **given: Any) -> tuple[str, Run]:
    outcome = Outcome((stream("buy", ms, ms + 1), stream("witness", *[1] * 6)))
    phase = phase_of(Loaded(outcome, 17, 10.0), unwatched("http://a"))
    run = Run(
        "unstall", "http://a", PLAN, phases=(phase,), verdict=phase.verdict,
        machine={"shard": f"{number}/{of}", "start": "2026-11-21T15:00:00+00:00"},
    )  # fmt: skip
    return f"shard{number}.json", replace(run, **given)


def test_parts_add_up_without_loss() -> None:
    whole = merged([part(2, ms=40), part(1)])
    (phase,) = whole.phases
    assert phase.outcome["buy"].latency == Histogram.of(ms * MS for ms in (5, 6, 40, 41))
    assert phase.outcome["witness"].due == 12
    assert "shard" not in whole.machine


def test_thresholds_and_the_verdict_are_those_of_the_whole() -> None:
    one, two = part(1), part(2, ms=40)
    assert one[1].verdict is WitnessVerdict.NOT_ENOUGH_DATA, "six witnesses are too few"
    whole = merged([one, two])
    assert whole.verdict is WitnessVerdict.ISOLATED
    assert [(each.held, round(each.value or 0)) for each in whole.thresholds] == [(True, 6)]


def test_an_app_that_ended_under_one_part_has_ended_for_the_whole() -> None:
    file, other = part(2, ms=40)
    ended = replace(other, phases=(replace(other.phases[0], ended="the app ended: bye"),))
    whole = merged([part(1), (file, ended)])
    assert whole.phases[0].ended == whole.phases[0].because == "the app ended: bye"
    assert whole.verdict is WitnessVerdict.NOT_ENOUGH_DATA


def test_what_only_the_app_can_tell_is_told_as_such_and_what_was_said_of_parts_is_not() -> None:
    loop = replace(PLAN, thresholds=(*PLAN.thresholds, Threshold("loop.stalls", "==", 0)))
    whole = merged([part(n, plan=loop, gaps=(OF_THE_WHOLE, "one")) for n in (1, 2)])
    assert len(whole.thresholds) == 1
    assert whole.gaps[0] == "one"
    assert whole.gaps[1].startswith("not held to loop.stalls == 0")


def test_a_part_of_a_run_that_was_interrupted_makes_it_interrupted() -> None:
    assert merged([part(1), part(2, interrupted=True)]).interrupted


def other_plan() -> tuple[str, Run]:
    return part(2, plan=replace(PLAN, seed=9))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "nothing to merge"),
        ([part(1)], "shard 2/2 is missing"),
        ([part(1), part(1)], "are both shard 1/2"),
        ([part(1), part(2, 3)], "the number of shards 3"),
        ([part(1), other_plan()], "shard2.json has the plan"),
        ([part(1), part(2, target="http://b")], "the target http://b"),
        ([part(1), part(2, machine={"shard": "2/2", "start": "2026-11-21T15:00:01+00:00"})],
         "the start 2026-11-21T15:00:01"),
        ([part(1), part(2, machine={})], "shard2.json is no part of a load"),
        ([part(1), part(2, phases=())], "phases: 0"),
    ],
)  # fmt: skip
def test_what_is_no_whole_is_refused(parts: list[tuple[str, Run]], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        merged(parts)
    assert message in str(refused.value)


def test_where_a_plan_lies_does_not_matter_and_what_it_says_does() -> None:
    assert fingerprint(replace(PLAN, file="a")) == fingerprint(replace(PLAN, file="b"))
    assert fingerprint(replace(PLAN, in_flight=3)) != fingerprint(PLAN)


def test_a_share_is_written_as_people_count() -> None:
    assert share_of("1/4") == Share(0, 4)
    assert share_of("4/4") == Share(3, 4)


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "a/b", "1/4/2", "-1/4", "1/99999"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="as in 1/4"):
        share_of(text)
