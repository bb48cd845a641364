"""What is asked of an app that has no plan, before anybody knows its routes."""

from __future__ import annotations

import asyncio

import pytest

from unstall.errors import MissingExtra, UsageError
from unstall.model.plan import Fault
from unstall.prove.first_look import NOBODYS_PATH, Wanted, fault_of, look, skeleton
from unstall.prove.ground import folder_of


@pytest.mark.parametrize(
    ("text", "seconds", "attributes"),
    [
        ("hang:3", 3.0, {}),
        ("latency:500", None, {"latency": 500.0}),
        ("bandwidth:8", None, {"rate": 8.0}),
        ("reset_peer", None, {}),
        ("refuse", None, {}),
    ],
)
def test_the_number_behind_a_kind_is_its_first_attribute(
    text: str, seconds: float | None, attributes: dict[str, float]
) -> None:
    fault = fault_of(text, "A_URL", 0.05)
    kind = text.partition(":")[0]
    assert fault == Fault("A_URL", kind, seconds=seconds, attributes=attributes, probability=0.05)


def test_an_upstream_that_is_down_is_down_for_all() -> None:
    assert fault_of("down", "A_URL", 0.05).probability == 1


@pytest.mark.parametrize("text", ["hang:", "hang:x", "refuse:1"])
def test_a_number_that_is_none_or_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--fault is '{text}'"):
        fault_of(text, "A_URL", 0.05)


def test_every_fault_is_for_every_upstream_and_has_a_name_of_its_own() -> None:
    plan = skeleton(Wanted("shop:app", ("A_URL", "B_URL"), ("hang:3", "refuse")))
    assert [fault.title for fault in plan.faults] == [
        "hang A_URL", "refuse A_URL", "hang B_URL", "refuse B_URL",
    ]  # fmt: skip
    plan = skeleton(Wanted("shop:app", ("A_URL",), ("latency:100", "latency:500", "refuse")))
    assert [fault.title for fault in plan.faults] == [
        "latency:100 A_URL", "latency:500 A_URL", "refuse A_URL",
    ]  # fmt: skip


def test_uvicorn_of_this_interpreter_serves_it_from_here_with_a_witness_that_touches_nothing() -> (
    None
):
    plan = skeleton(Wanted("shop:app"))
    assert " -m uvicorn shop:app --port {port} " in plan.app.command
    assert plan.witness.path == plan.app.ready == NOBODYS_PATH
    assert folder_of(plan).samefile(".")


def test_without_uvicorn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstall.prove.first_look.find_spec", lambda _: None)
    wanted = Wanted("shop:app")
    with pytest.raises(MissingExtra, match=r"uvicorn is not installed.*'unstall\[prove\]'"):
        asyncio.run(look(skeleton(wanted), wanted, {}))
