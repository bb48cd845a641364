"""The plan of the case study: it can be carried out, and asks each stage for what it has."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tally.demo.plan import PLAN, changed, plan_for, plans
from tally.demo.told import PODS
from tally.model import event_of
from tally.settings import STAGES, Limits, Settings
from tally.stages import create_app, shared
from unstall.load.templates import Scope, compiled, rendered
from unstall.plans import read_plan
from unstall.prove.ground import check, folder_of, ground_of

URLS = ",".join(f"http://127.0.0.1:{9_000 + pod}" for pod in range(PODS))
PATHS = {"/v1/events", "/v1/metrics", "/readyz"}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `tally demo` sets it for its plan."""
    monkeypatch.setenv("TALLY_DEMO_KEY", "key")


@pytest.mark.usefixtures("key")
def test_it_can_be_carried_out_and_one_of_the_pods_is_ill() -> None:
    plan = read_plan(plans() / PLAN)
    check(plan)
    ground = ground_of(plan, {"BILLING_URL": URLS})
    assert len(ground.upstreams["BILLING_URL"]) == PODS
    assert [fault.bad for fault in plan.faults] == [1]


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_has_what_it_asks_for(stage: str, tmp_path: Path) -> None:
    plan = read_plan(plans() / PLAN)
    asked = {(each.method, each.path.partition("?")[0]) for each in plan.scenarios}
    asked |= {("GET", plan.witness.path), ("GET", plan.app.ready)}
    app = create_app(Settings("postgresql://127.0.0.1:1/none", stage=stage, spool=tmp_path))
    there = {
        (method, route.path)  # type: ignore[attr-defined]
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
    }
    assert asked <= there
    assert {path for _, path in asked} == PATHS


def test_every_event_is_new_and_one_that_tally_takes() -> None:
    events = [event_of(text, 1, shared.now(), Limits()) for text in itertools.islice(bodies(), 3)]
    assert len({event.event_id for event in events}) == len(events)
    assert 700 < len(next(bodies())) < 2_000


def test_the_same_numbers_are_new_events_in_the_next_phase() -> None:
    now = shared.now()
    one, other = (
        event_of(next(bodies(lambda wall=wall: wall)), 1, now, Limits()).event_id  # type: ignore[misc]
        for wall in (now.timestamp(), now.timestamp() - 10)
    )
    assert one != other


def bodies(wall_s: Callable[[], float] = time.time) -> Iterator[bytes]:
    (ingest,) = [each for each in read_plan(plans() / PLAN).scenarios if each.name == "ingest"]
    parts = compiled(ingest.body or "", Scope("ingest", 7, wall_s=wall_s), "event.json")
    return (rendered(parts, number) for number in itertools.count(1))


def test_as_it_stands_it_is_played_in_its_place(tmp_path: Path) -> None:
    assert plan_for(None, None, tmp_path) == plans() / PLAN
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("key")
def test_other_figures_change_nothing_else(tmp_path: Path) -> None:
    before, after = read_plan(plans() / PLAN), read_plan(plan_for(3.0, 20.0, tmp_path))
    ingest, query = after.scenarios
    assert [(s.rate, s.seconds) for s in ingest.stages] == [(20, 3)]
    assert [(s.rate, s.seconds) for s in query.stages] == [(before.scenarios[1].stages[0].rate, 3)]
    assert (after.faults, after.witness) == (before.faults, before.witness)
    assert ingest.body == before.scenarios[0].body
    assert folder_of(after) == folder_of(before)
    check(after)


def test_a_number_is_changed_only_in_its_table() -> None:
    text = "[[a]]\nrate = 1\n[b]\nrate = 2\n[[a]]\nrate = 3\n"
    assert changed(text, "[[a]]", "rate", 9) == "[[a]]\nrate = 9\n[b]\nrate = 2\n[[a]]\nrate = 9\n"
    assert changed(text, "[[a]]", "rate", 9, most=1).endswith("[[a]]\nrate = 3\n")
