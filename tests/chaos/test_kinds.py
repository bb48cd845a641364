"""The table of kinds, and what is said of a fault that is none."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from unstall.chaos.kinds import KINDS, spec_of
from unstall.chaos.pieces import Stream
from unstall.errors import UsageError
from unstall.model.plan import Fault, Per

TOXIPROXY = {
    "latency": {"latency", "jitter"},
    "bandwidth": {"rate"},
    "slow_close": {"delay"},
    "timeout": {"timeout"},
    "reset_peer": {"timeout"},
    "slicer": {"average_size", "size_variation", "delay"},
    "limit_data": {"bytes"},
}


@pytest.mark.parametrize("name", TOXIPROXY)
def test_the_kinds_of_toxiproxy_have_its_attributes_and_direction(name: str) -> None:
    assert {each.name for each in KINDS[name].attributes} == TOXIPROXY[name]
    assert KINDS[name].stream is Stream.DOWNSTREAM


def test_every_kind_acts_in_one_way_or_by_the_listener() -> None:
    for kind in KINDS.values():
        ways = bool(kind.delays), bool(kind.cuts), kind.refuses, kind.shuts
        assert sum(ways) == 1, kind.name


def test_the_guide_lists_every_kind_as_the_table_has_it() -> None:
    guide = (Path(__file__).parents[2] / "docs/how-to/chaos.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", guide, re.MULTILINE)
    told = {
        name: (set(re.findall(r"`(\w+)`", attributes)), does) for name, attributes, does in rows
    }
    table = {kind.name: ({a.name for a in kind.attributes}, kind.does) for kind in KINDS.values()}
    assert {name: told.get(name) for name in table} == table


def test_the_seconds_of_a_fault_are_those_of_a_hang() -> None:
    spec = spec_of(Fault("DB", "hang", seconds=15, probability=0.05))
    assert spec.attributes == {"seconds": 15}
    assert (spec.name, spec.per, spec.probability) == ("hang_downstream", Per.EXCHANGE, 0.05)


def test_what_is_not_given_has_its_default() -> None:
    assert spec_of(Fault("DB", "latency", attributes={"latency": 5})).attributes == {
        "latency": 5, "jitter": 0,
    }  # fmt: skip


def test_a_kind_of_connections_is_thrown_for_connections() -> None:
    assert spec_of(Fault("DB", "refuse")).per is Per.CONNECTION


def test_a_direction_may_be_asked_for() -> None:
    assert spec_of(Fault("DB", "hang", seconds=1, stream="upstream")).stream is Stream.UPSTREAM


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"kind": "hnag"}, "there is no kind of fault 'hnag'; did you mean 'hang'?"),
        (
            {"kind": "zzz"},
            "there is no kind of fault 'zzz'; there are latency, jitter, bandwidth, ",
        ),
        (
            {"kind": "latency", "attributes": {"latancy": 5}},
            "'latency' has no 'latancy'; did you mean 'latency'?",
        ),
        (
            {"kind": "latency", "seconds": 5},
            "'latency' has no 'seconds'; there are latency, jitter",
        ),
        ({"kind": "refuse", "seconds": 5}, "'refuse' has no 'seconds'; leave it out"),
        ({"kind": "hang"}, "'hang' needs seconds, in s: give it"),
        ({"kind": "hang", "seconds": -1}, "seconds is -1 of 'hang': give 0 or more"),
        ({"kind": "hang", "seconds": math.nan}, "seconds is nan of 'hang': give 0 or more"),
        ({"kind": "hang", "seconds": 1e308}, "seconds is 1e+308 of 'hang': give 1e+15 or less"),
        (
            {"kind": "refuse", "probability": 5},
            "probability is 5 of 'refuse': give one from 0 to 1, for example 0.05",
        ),
        (
            {"kind": "refuse", "probability": math.nan},
            "probability is nan of 'refuse': give one from 0 to 1, for example 0.05",
        ),
        (
            {"kind": "down", "probability": 0.5},
            "probability is 0.5 of 'down', which takes the whole",
        ),
        ({"kind": "refuse", "bad": -1}, "bad is -1 of 'refuse': give 0 or more"),
        ({"kind": "refuse", "after": -1}, "after is -1 of 'refuse': give 0 or more"),
        (
            {"kind": "refuse", "after": 2, "until": 1},
            "until is 1 of 'refuse', and it begins after 2 s: give seconds greater than that",
        ),
        (
            {"kind": "refuse", "stream": "sideways"},
            "stream is 'sideways' of 'refuse': give downstream",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(fault: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as told:
        spec_of(Fault("DB", **fault))
    assert str(told.value).startswith(sentence)
