"""A recording as a profile for speedscope: its schema, its weights, its boxes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from unstall.model.observation import Process, Stretch, Wait
from unstall.model.recording import Recording
from unstall.report.speedscope import SCHEMA, document_of, render
from unstall.testing import DUE_MS, frame, library, look, ns_of, request, stack, stdlib, stretch

PROCESS = Process("1-abc", 1, 0.0, 0, ("python",), "3.11.7", 100_000_000)

QUERY = stack(
    stdlib("asyncio.base_events:BaseEventLoop.run_forever"),
    stdlib("asyncio.events:Handle._run"),
    frame("shop.orders:create", 12),
    library("requests.api:get", 71),
)
TEMPLATE = stack(
    stdlib("asyncio.base_events:BaseEventLoop.run_forever"),
    frame("shop.orders:create", 20),
    library("jinja2.environment:Template.render", 1300),
)


def recorded(*stretches: Stretch) -> Recording:
    return Recording.of((PROCESS, *stretches), "unstall 0.1.0")


def two_steps() -> Stretch:
    """600 ms late: from the beginning to 320 ms in a query, then to 620 ms in a template."""
    return stretch(
        look(QUERY, from_ms=70, wait=Wait("poll", 5, "10.0.0.5:443"), request=request()),
        look(TEMPLATE, from_ms=320, request=request()),
        late_ms=600,
    )


def stacks(document: dict[str, Any], profile: int = 0) -> list[list[str]]:
    frames = document["shared"]["frames"]
    return [
        [frames[n]["name"] for n in sample] for sample in document["profiles"][profile]["samples"]
    ]


def test_the_file_has_the_form_that_the_schema_asks_for() -> None:
    document = json.loads(render(recorded(two_steps()), "run.jsonl"))
    assert document["$schema"] == SCHEMA
    assert document["name"] == "run.jsonl"
    assert document["exporter"] == "unstall 0.1.0"
    frames = document["shared"]["frames"]
    assert all(isinstance(each["name"], str) for each in frames)
    assert all(each.keys() <= {"name", "file", "line", "col"} for each in frames)
    for profile in document["profiles"]:
        assert profile["type"] == "sampled"
        assert profile["unit"] == "nanoseconds"
        assert len(profile["samples"]) == len(profile["weights"])
        assert profile["endValue"] - profile["startValue"] == sum(profile["weights"])
        assert all(0 <= n < len(frames) for sample in profile["samples"] for n in sample)
        assert all(weight >= 0 for weight in profile["weights"])


def test_weights_are_the_time_from_look_to_look_and_add_up_to_the_stall() -> None:
    document = document_of(recorded(two_steps()), "x")
    (profile,) = document["profiles"]
    assert profile["weights"] == [ns_of(320 - DUE_MS), ns_of(620 - 320)]
    assert sum(profile["weights"]) == two_steps().late_ns


def test_a_sample_goes_from_the_request_to_the_system_call_without_the_loops_own_frames() -> None:
    first, second = stacks(document_of(recorded(two_steps()), "x"))
    assert first == [
        "GET /orders/{id}", "shop.orders.create", "requests.api.get", "poll on 10.0.0.5:443",
    ]  # fmt: skip
    assert second == [
        "GET /orders/{id}",
        "shop.orders.create",
        "jinja2.environment.Template.render",
    ]


def test_lines_of_the_application_stay_apart_and_a_librarys_function_is_one_box() -> None:
    frames = document_of(recorded(two_steps()), "x")["shared"]["frames"]
    assert [f["line"] for f in frames if f["name"] == "shop.orders.create"] == [12, 20]
    assert all("line" not in f for f in frames if f["name"].startswith("requests"))


def test_a_frame_that_comes_again_is_written_once() -> None:
    document = document_of(recorded(two_steps(), two_steps()), "x")
    frames = document["shared"]["frames"]
    assert len({tuple(sorted(each.items())) for each in frames}) == len(frames)


def test_each_loop_of_each_process_has_a_profile_of_its_own() -> None:
    elsewhere = replace(two_steps(), process="2-def", thread="portal")
    document = document_of(recorded(two_steps(), replace(two_steps(), loop=2), elsewhere), "x")
    assert [profile["name"] for profile in document["profiles"]] == [
        "pid 1, loop 1 on MainThread: 1 stall",
        "pid 1, loop 2 on MainThread: 1 stall",
        "pid 2, loop 1 on portal: 1 stall",
    ]


def test_a_stall_that_was_told_of_while_it_lasted_is_drawn_once() -> None:
    lasting = replace(two_steps(), ongoing=True, until_ns=ns_of(400))
    document = document_of(recorded(lasting, two_steps()), "x")
    (profile,) = document["profiles"]
    assert profile["endValue"] == two_steps().late_ns


def test_what_nobody_looked_at_is_drawn_as_such() -> None:
    document = document_of(recorded(stretch(late_ms=500)), "x")
    assert stacks(document) == [["(not seen)"]]
    assert document["profiles"][0]["weights"] == [ns_of(500)]


def test_without_a_stall_there_is_no_profile() -> None:
    assert document_of(recorded(), "x")["profiles"] == []
