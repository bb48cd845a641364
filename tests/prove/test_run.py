"""A plan, carried out without processes: the order of things, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.prove.phases import CALM, witness
from tests.prove.playing import PAID, PLAN, Notes, World, listening
from unstall.errors import TargetError, UsageError
from unstall.model.finding import is_proved
from unstall.model.observation import Process, Stretch, Wait
from unstall.model.outcome import Outcome
from unstall.model.plan import Fault, Plan, Threshold
from unstall.model.proof import Run
from unstall.model.recording import Recording
from unstall.model.report import WitnessVerdict
from unstall.prove.app import App
from unstall.prove.run import Wishes, prove
from unstall.report.run_figures import culprits, headline
from unstall.testing import look, ns_of, stretch
from unstall.triage.gate import Gate, gate_of

HANG = "hang BILLING_URL"
FROZEN = witness(*[2.0] * 10, *[1_900.0] * 20, *[2.0] * 20)


@pytest.fixture
def billing() -> Iterator[str]:
    with listening() as port:
        yield f"http://user:hidden@127.0.0.1:{port}/v1"


def played(
    world: World, billing: str, plan: Plan = PLAN, notes: Notes | None = None, **wishes: object
) -> Run:
    asked = Wishes({"BILLING_URL": billing, "OTHER": "1"}, **wishes)  # type: ignore[arg-type]
    return asyncio.run(prove(plan, notes or Notes(), asked, world.tools))


def froze(peer: str) -> Stretch:
    """Two seconds in a wait for that peer, from the second 1 of the phase on."""
    seen = stretch(
        look(wait=Wait("poll", peer=peer), from_ms=100, until_ms=1_900, times=9),
        late_ms=2_000, in_flight=4, served_before=10,
    )  # fmt: skip
    by = ns_of(6_000)
    looks = tuple(replace(o, first_ns=o.first_ns + by, last_ns=o.last_ns + by) for o in seen.looks)
    return replace(
        seen, last_tick_ns=by, due_ns=seen.due_ns + by, until_ns=seen.until_ns + by, looks=looks
    )


# --- the order of things


def test_each_phase_has_a_fresh_app_a_warm_up_and_its_fault_during_the_load_only(
    billing: str,
) -> None:
    world, notes = World(), Notes()
    run = played(world, billing, notes=notes)
    assert world.log == [
        "chaos begins",
        "app starts", "load 1 s healthy", "load 5 s healthy", "clear BILLING_URL", "app ends",
        "app starts", "load 1 s healthy", f"put {HANG}", f"load 5 s {HANG}", "clear BILLING_URL", "app ends",
        "chaos ends",
    ]  # fmt: skip
    assert notes.began == ["healthy 5 s", f"{HANG} 5 s"]
    assert notes.heard == ["unstall: watching"] * 2
    assert notes.ended == list(run.phases)
    assert [phase.name for phase in run.phases] == ["healthy", HANG]


def test_phases_are_repeated_in_turn_each_time_with_arrivals_of_its_own(billing: str) -> None:
    world = World()
    run = played(world, billing, replace(PLAN, repeat=2, seed=7))
    assert [(p.name, p.repeat) for p in run.phases] == [
        ("healthy", 0), (HANG, 0), ("healthy", 1), (HANG, 1),
    ]  # fmt: skip
    assert [seed for seconds, _, seed in world.asked if seconds == 5] == [7, 7, 8, 8]


def test_the_app_finds_its_upstream_at_the_proxy_and_the_rest_as_it_was(billing: str) -> None:
    world = World()
    plan = replace(PLAN, app=replace(PLAN.app, env={"MODE": "test"}))
    played(world, billing, plan, root=Path("/srv"))
    assert {each["BILLING_URL"] for each in world.envs} == {"http://user:hidden@127.0.0.1:41000/v1"}
    assert world.envs[0]["OTHER"] == "1"
    assert world.envs[0]["MODE"] == "test"
    assert world.envs[0]["UNSTALL_ROOT"] == "/srv"


def test_the_plan_s_env_wins_over_what_is_set(billing: str) -> None:
    world = World()
    plan = replace(PLAN, app=replace(PLAN.app, env={"BILLING_URL": billing}))
    asyncio.run(prove(plan, Notes(), Wishes({"BILLING_URL": "http://127.0.0.1:1"}), world.tools))
    assert list(world.proxies[0].backends) == [
        ("127.0.0.1", int(billing.rpartition(":")[2].split("/")[0]))
    ]


def test_further_upstreams_of_the_plan_get_a_proxy_that_does_nothing(billing: str) -> None:
    world = World()
    plan = replace(
        PLAN, upstreams=("OTHER_URL",), app=replace(PLAN.app, env={"OTHER_URL": billing})
    )
    run = played(world, billing, plan)
    assert [proxy.name for proxy in world.proxies] == ["OTHER_URL", "BILLING_URL"]
    assert [each.upstream for each in run.phases[1].exchanges] == ["OTHER_URL", "BILLING_URL"]


def test_the_witness_asks_for_readiness_unless_the_plan_says_otherwise(billing: str) -> None:
    world = World()
    played(world, billing)
    played(world, billing, replace(PLAN, witness=replace(PLAN.witness, path="/livez")))
    assert {path for _, path, _ in world.asked[:4]} == {"/readyz"}
    assert {path for _, path, _ in world.asked[4:]} == {"/livez"}


def test_a_plan_without_faults_is_one_healthy_phase_whose_verdict_counts(billing: str) -> None:
    run = played(World(felt={"healthy": FROZEN}), billing, replace(PLAN, faults=()))
    assert [phase.name for phase in run.phases] == ["healthy"]
    assert run.verdict is WitnessVerdict.FROZEN


# --- what comes of it


def test_the_verdict_the_culprit_and_its_proof(billing: str) -> None:
    world = World(felt={HANG: FROZEN}, seen={HANG: [froze("127.0.0.1:41000")]})
    run = played(world, billing)
    assert run.verdict is WitnessVerdict.FROZEN
    assert "24 of 500 exchanges with BILLING_URL met the fault" in run.phases[1].because
    (finding,) = run.findings
    proof = finding.evidence[0]
    assert (proof.kind, proof.fault, proof.victims) == ("proved", HANG, 4)
    port = billing.rpartition(":")[2].removesuffix("/v1")
    assert proof.peer == f"127.0.0.1:{port}", (
        "told by the address in the environment, not the proxy's"
    )
    assert Run.from_json(run.to_json()) == run


def test_an_app_that_freezes_when_healthy_is_frozen_and_its_line_named(billing: str) -> None:
    peer = f"127.0.0.1:{billing.rpartition(':')[2].partition('/')[0]}"
    world = World(
        felt=dict.fromkeys(("healthy", HANG), FROZEN),
        seen={title: [froze(peer)] for title in ("healthy", HANG)},
    )
    run = played(world, billing)
    healthy, ill = run.phases
    assert (healthy.verdict, ill.verdict) == (WitnessVerdict.FROZEN, WitnessVerdict.NOT_ENOUGH_DATA)
    assert "too little apart to blame the fault" in ill.because
    assert run.verdict is WitnessVerdict.FROZEN
    assert gate_of(run) is Gate.SHUT
    assert headline(run) == "frozen: bystanders of shop were frozen even without a fault"
    (culprit,) = culprits(run)
    assert culprit.site is not None
    assert not is_proved(culprit)


def test_a_calm_service_is_isolated_and_accused_of_nothing(billing: str) -> None:
    run = played(World(), billing)
    assert (run.verdict, run.findings, run.gaps) == (WitnessVerdict.ISOLATED, (), ())


def test_a_fault_that_nobody_met_is_not_enough_data(billing: str) -> None:
    run = played(World(felt={HANG: FROZEN}, hit=0), billing)
    assert run.verdict is WitnessVerdict.NOT_ENOUGH_DATA


def test_a_witness_that_asks_the_upstream_itself_proves_nothing_of_it(billing: str) -> None:
    world = World(felt={HANG: FROZEN}, readiness_asks=True)
    run = played(world, billing)
    said = "the witness /readyz asks BILLING_URL itself, so it is no bystander of it"
    assert [phase.verdict for phase in run.phases] == [
        WitnessVerdict.ISOLATED, WitnessVerdict.NOT_ENOUGH_DATA,
    ]  # fmt: skip
    assert run.phases[1].because.startswith(said)
    (gap,) = run.gaps
    assert gap.startswith(said)


def test_a_worker_that_stood_still_for_the_upstream_forbids_isolated(billing: str) -> None:
    run = played(World(seen={HANG: [froze("127.0.0.1:41000")]}), billing)
    assert run.verdict is WitnessVerdict.DEGRADED
    assert "but a loop stood still for 2.00 s, with 4 victims" in run.phases[1].because


def test_loop_lag_stands_by_the_second_of_the_load(billing: str) -> None:
    run = played(World(), billing)
    assert [(at, lag.count) for at, lag in run.phases[0].lag] == [(0, 50)]


def test_thresholds_are_held_against_every_phase(billing: str) -> None:
    plan = replace(PLAN, thresholds=(Threshold("witness.p99_ms", "<", 50),))
    run = played(World(felt={HANG: FROZEN}), billing, plan)
    assert [(each.phase, each.held) for each in run.thresholds] == [
        ("healthy", True),
        (HANG, False),
    ]


def test_a_scenario_that_was_never_answered_well_was_not_exercised(billing: str) -> None:
    refused = replace(PAID, statuses={"422": 250})
    world = World()
    whole = world.load

    async def load(*args: object, **named: object) -> object:
        loaded = await whole(*args, **named)  # type: ignore[arg-type]
        return replace(loaded, outcome=Outcome((loaded.outcome["witness"], refused)))

    world.load = load  # type: ignore[assignment, method-assign]
    (told,) = played(world, billing).unexercised
    assert told.route == "POST /pay"
    assert told.why == "no request was answered well, even healthy: 250 times 422"


@pytest.mark.parametrize(
    ("felt", "verdict"),
    [(CALM, WitnessVerdict.NOT_ENOUGH_DATA), (witness(*[2.0] * 20, unanswered=30), WitnessVerdict.FROZEN)],
)  # fmt: skip
def test_an_app_that_dies_under_a_fault_is_told_and_never_isolated(
    billing: str, felt: Outcome, verdict: WitnessVerdict
) -> None:
    def die(world: World, title: str) -> None:
        world.child.running = title == "healthy"

    run = played(World(felt={HANG: felt}, during=die), billing)
    assert run.gaps[0] == f"{HANG}: the app ended while it was asked: bye"
    assert run.phases[1].verdict is run.verdict is verdict
    assert run.phases[1].because.endswith("; the app ended while it was asked: bye")
    assert [bool(phase.ended) for phase in run.phases] == [False, True]


def test_an_app_that_dies_without_a_fault_has_frozen_nobody(billing: str) -> None:
    def die(world: World, title: str) -> None:
        world.child.running = False

    lost = witness(*[2.0] * 20, unanswered=30)
    run = played(World(felt={"healthy": lost, HANG: lost}, during=die), billing)
    assert {phase.verdict for phase in run.phases} == {WitnessVerdict.NOT_ENOUGH_DATA}
    assert run.verdict is WitnessVerdict.NOT_ENOUGH_DATA
    assert run.phases[0].because == run.phases[0].ended == "the app ended while it was asked: bye"


def test_what_is_not_this_machine_or_checks_a_name_is_a_gap(billing: str) -> None:
    with listening() as port:
        plan = replace(
            PLAN, upstreams=("A",), app=replace(PLAN.app, env={"A": f"https://127.0.0.1:{port}"})
        )
        run = played(World(), billing, plan)
    assert len(run.gaps) == 1
    assert "is reached with TLS" in run.gaps[0]


# --- interrupted


def test_an_interrupted_run_tells_what_it_has_and_ends_everything(billing: str) -> None:
    def interrupt(world: World, title: str) -> None:
        if title == HANG:
            task = next(t for t in asyncio.all_tasks() if "prove" in repr(t.get_coro()))
            task.cancel()

    world = World(felt={HANG: FROZEN}, during=interrupt)
    run = played(world, billing)
    assert run.interrupted
    assert [phase.name for phase in run.phases] == ["healthy", HANG]
    assert run.gaps == (
        f"the run was interrupted in the phase {HANG!r}: it is shorter than planned",
    )
    assert world.log[-3:] == ["clear BILLING_URL", "app ends", "chaos ends"]


def test_a_run_interrupted_before_any_load_has_no_phase(billing: str) -> None:
    world = World()

    async def play() -> Run:
        wishes = Wishes({"BILLING_URL": billing})
        task = asyncio.ensure_future(prove(PLAN, Notes(), wishes, world.tools))
        while "app starts" not in world.log:
            await asyncio.sleep(0)
        task.cancel()
        return await task

    run = asyncio.run(play())
    assert run.interrupted
    assert run.phases == ()
    assert run.verdict is WitnessVerdict.NOT_ENOUGH_DATA
    assert world.log[-2:] == ["app ends", "chaos ends"]


# --- what cannot be carried out

WRONG = {
    "no command": (replace(PLAN, app=replace(PLAN.app, command="")), "has no command in \\[app\\]"),
    "no scenario": (replace(PLAN, scenarios=()), "there is no scenario"),
    "no port": (
        replace(PLAN, app=replace(PLAN.app, command="serve shop:app")), "nothing says where that listens",
    ),
    "no folder": (replace(PLAN, app=replace(PLAN.app, folder="nowhere")), "which is no folder"),
    "remote": (
        replace(PLAN, app=replace(PLAN.app, url="http://shop.example.com")),
        "http://shop.example.com is not on this machine.*--allow-remote shop.example.com",
    ),
    "kind": (replace(PLAN, faults=(Fault("BILLING_URL", "hnag"),)), "'hnag'; did you mean 'hang'"),
    "metric": (
        replace(PLAN, thresholds=(Threshold("witness.p98_ms", "<", 1),)), "'p98_ms'; did you mean",
    ),
    "upstream": (
        replace(PLAN, faults=(Fault("BILING_URL", "hang", seconds=1),)),
        "BILING_URL is not set.*did you mean BILLING_URL",
    ),
    "bad": (
        replace(PLAN, faults=(Fault("BILLING_URL", "hang", seconds=1, bad=2),)),
        "makes 2 addresses ill, and BILLING_URL names 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_plan_that_cannot_be_carried_out_is_one_sentence_before_anything_starts(
    what: str, billing: str
) -> None:
    plan, said = WRONG[what]
    world = World()
    with pytest.raises(UsageError, match=said) as told:
        played(world, billing, plan)
    assert world.log == []
    assert "\n" not in str(told.value)
    assert "hidden" not in str(told.value)


def test_a_remote_target_may_be_named_on_purpose(billing: str) -> None:
    plan = replace(PLAN, app=replace(PLAN.app, url="http://shop.example.com"))
    assert played(World(), billing, plan, allow_remote=("shop.example.com",)).phases
    with pytest.raises(UsageError, match="not on this machine"):
        played(World(), billing, plan, allow_remote=("other.example.com",))


def test_an_upstream_where_nobody_answers_is_said_before_anything_starts() -> None:
    with listening() as port:
        pass
    world = World()
    with pytest.raises(
        TargetError, match=f"BILLING_URL points at 127.0.0.1:{port}, where nobody answers"
    ):
        played(world, f"127.0.0.1:{port}")
    assert world.log == []


def test_one_dead_address_of_several_is_a_gap(billing: str) -> None:
    with listening() as port:
        pass
    run = played(World(), f"{billing},http://127.0.0.1:{port}")
    assert run.gaps == (f"BILLING_URL points at 127.0.0.1:{port}, where nobody answers",)


def test_a_calm_phase_whose_requests_may_have_missed_the_fault_says_so(billing: str) -> None:
    rare = replace(PAID, due=20, sent=20, statuses={"200": 20})
    world = World()
    whole = world.load

    async def load(*args: object, **named: object) -> object:
        loaded = await whole(*args, **named)  # type: ignore[arg-type]
        return replace(loaded, outcome=Outcome((loaded.outcome["witness"], rare)))

    world.load = load  # type: ignore[assignment, method-assign]
    (gap,) = played(world, billing).gaps
    assert gap.startswith(
        f"{HANG}: 1 of 1 scenario may never have met the fault (pay: a chance of 37%)"
    )


def test_an_app_without_an_event_loop_is_told(billing: str) -> None:
    world = World()
    kept = Recording(processes=(Process("1-abc", 1, 0.0, 0, ("serve",), "3.13", ns_of(100)),))
    start = world.start

    @asynccontextmanager
    async def blind(*args: Any, **named: Any) -> AsyncIterator[App]:
        async with start(*args, **named) as app:
            yield app
        kept.save(named["record"])

    world.start = blind  # type: ignore[method-assign]
    assert "no event loop was watched in the app" in "; ".join(played(world, billing).gaps)
    assert not any("no event loop" in gap for gap in played(World(), billing).gaps)
