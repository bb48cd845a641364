"""A plan's scenarios, sent by one process or by several: the same requests, added up exactly."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.load.tiny_server import Seen, always, never, serving
from unstall.clock import NS_PER_S, SystemClock
from unstall.errors import TargetError, UsageError
from unstall.load import Loaded, Share, run_scenarios
from unstall.load import workers as workers_module
from unstall.load.scenarios import check, seconds_of
from unstall.model.outcome import Progress
from unstall.model.plan import Arrivals, Example, Scenario, Stage, WitnessPlan

BUY = Scenario("buy", "PUT", "/buy/${seq}/${uuid}", stages=(Stage(100, 0.3), Stage(200, 0.2)))
LOOK = Scenario("look", path="/look", stages=(Stage(50, 0.4),), arrivals=Arrivals.CONSTANT)
WITNESS = WitnessPlan("/livez", 20)


async def loaded(seen: Seen, scenarios: list[Scenario] | None = None, **given: Any) -> Loaded:
    default: dict[str, Any] = {"seed": 3, "in_flight": 500, "drain_s": 10.0}
    return await run_scenarios(
        seen.url,
        [BUY, LOOK] if scenarios is None else scenarios,
        WITNESS,
        **(default | given),
    )


def paths(seen: Seen) -> list[str]:
    return sorted(head.split()[1] for head in seen.heads)


@pytest.mark.live
def test_all_scenarios_and_the_witness_run_side_by_side() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            before = SystemClock().monotonic_ns()
            done = await loaded(seen)
        assert [each.name for each in done.outcome.streams] == ["buy", "look", "witness"]
        assert done.seconds == 0.5
        assert before < done.from_ns < SystemClock().monotonic_ns()
        assert done.outcome["look"].statuses == {"200": 20}
        assert done.outcome["witness"].statuses == {"200": 10}
        assert not done.interrupted

    asyncio.run(play())


@pytest.mark.live
@pytest.mark.slow
def test_several_processes_send_what_one_does() -> None:
    async def play(**given: Any) -> tuple[Loaded, list[str]]:
        async with serving(always) as seen:
            return await loaded(seen, **given), paths(seen)

    one, paths_of_one = asyncio.run(play())
    two, paths_of_two = asyncio.run(play(processes=2))
    assert paths_of_two == paths_of_one
    for stream in one.outcome.streams:
        assert two.outcome[stream.name].due == stream.due
        assert [(each.at, each.due) for each in two.outcome[stream.name].seconds] == [
            (each.at, each.due) for each in stream.seconds
        ]
        assert two.outcome[stream.name].latency.count == stream.latency.count


@pytest.mark.live
def test_shards_together_send_what_one_machine_does() -> None:
    async def play(*shares: Share) -> list[str]:
        async with serving(always) as seen:
            for share in shares:
                await loaded(seen, share=share)
        return paths(seen)

    assert asyncio.run(play(Share(0, 2), Share(1, 2))) == asyncio.run(play(Share()))


@pytest.mark.live
def test_a_run_begins_when_it_was_told_to() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            at = SystemClock().monotonic_ns() + NS_PER_S // 3
            done = await loaded(seen, [LOOK], start_ns=at)
        assert done.from_ns == at
        assert done.outcome["look"].due == 20

    asyncio.run(play())


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_is_stopped_tells_what_it_has(processes: int) -> None:
    async def play() -> None:
        stop = asyncio.Event()
        told: list[Progress] = []

        def enough(progress: Progress) -> None:
            told.append(progress)
            if progress.sent > 20:
                stop.set()

        async with serving(never) as seen:
            endless = replace(LOOK, stages=(Stage(50, 3_600),))
            done = await loaded(
                seen, [endless], stop=stop, processes=processes, progress=enough, progress_s=0.05
            )
        look = done.outcome["look"]
        assert done.interrupted
        assert done.seconds < 3_600
        assert look.sent == look.unanswered == look.latency.count > 3
        assert told[-1].in_flight > 3

    asyncio.run(play())


@pytest.mark.live
@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers_module, "WORKER", "unstall.load.no_such_worker")

    async def play() -> None:
        async with serving(always) as seen:
            await loaded(seen, processes=2)

    with pytest.raises(TargetError, match=r"process \d of the load ended with code 1"):
        asyncio.run(play())


@pytest.mark.live
@pytest.mark.slow
def test_what_a_worker_refuses_is_said_as_it_is() -> None:
    async def play() -> None:
        async with serving(always) as seen:
            await loaded(seen, [replace(LOOK, path="/${sec}")], processes=2)

    with pytest.raises(UsageError, match=r"did you mean \$\{seq\}\?"):
        asyncio.run(play())


@pytest.mark.parametrize(
    ("scenarios", "given", "message"),
    [
        ([], {}, "there is no scenario"),
        ([Scenario("witness", stages=LOOK.stages)], {}, "'witness', which is taken"),
        ([Scenario("loop", stages=LOOK.stages)], {}, "'loop', which is taken"),
        ([Scenario("idle")], {}, "'idle' has no stages"),
        ([LOOK, LOOK], {}, "two streams have the name 'look'"),
        ([LOOK], {"processes": 0}, "give 1 to 64"),
        ([replace(LOOK, call="x")], {}, "name a function"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    scenarios: list[Scenario], given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        asyncio.run(loaded(Seen("http://127.0.0.1:9"), scenarios, **given))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (replace(LOOK, path="/a b"), "the path of scenario 'look' is '/a b'"),
        (replace(LOOK, body="${int"), "the body of scenario 'look' holds '${int'"),
        (replace(LOOK, headers={"X y": "1"}), "has a header 'X y'"),
        (replace(LOOK, examples=(Example("/x", {"X": "1\n2"}),)), "has a line break in it"),
    ],
)
def test_what_makes_no_request_is_told_before_anything_is_started(
    scenario: Scenario, message: str
) -> None:
    with pytest.raises(UsageError) as refused:
        check([scenario], WITNESS)
    assert message in str(refused.value)


def test_the_path_of_the_witness_is_checked_with_the_others() -> None:
    with pytest.raises(UsageError, match="the path of scenario 'witness' is '/a b'"):
        check([LOOK], WitnessPlan("/a b"))
    check([LOOK, BUY], WITNESS)
    assert seconds_of([LOOK, BUY], WITNESS) == 0.5
