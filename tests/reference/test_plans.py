"""The plans beside the incident: readable, carried out here, and saying which verdict they lead to."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference.incident.app import app
from unstall.model.report import WitnessVerdict
from unstall.plans import read_plan
from unstall.prove.environment import addresses
from unstall.prove.ground import check, ground_of

INCIDENT = Path(__file__).parents[2] / "reference/incident"
PLANS = {
    "blocking": WitnessVerdict.FROZEN,
    "shared_pool": WitnessVerdict.DEGRADED,
    "lane": WitnessVerdict.ISOLATED,
}


def test_there_is_a_plan_for_each_verdict() -> None:
    assert {file.stem for file in INCIDENT.glob("*.toml")} == set(PLANS)


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_can_be_carried_out_and_asks_for_routes_that_are_there(name: str) -> None:
    file = INCIDENT / f"{name}.toml"
    plan = read_plan(file)
    check(plan)
    ground = ground_of(plan, {})
    assert addresses("INCIDENT_DOWNSTREAM", ground.env) == (("127.0.0.1", 9001),)
    paths = app.openapi()["paths"]
    assert {plan.app.ready, plan.witness.path, *(s.path for s in plan.scenarios)} <= set(paths)
    assert f"says: {PLANS[name]}." in file.read_text().splitlines()[0]


def test_the_bystander_needs_what_it_is_to_show_and_calls_nobody() -> None:
    plans = [read_plan(INCIDENT / f"{name}.toml") for name in PLANS]
    assert {plan.witness.path for plan in plans} == {"/healthz"}
    assert all(plan.faults == plans[0].faults for plan in plans)
