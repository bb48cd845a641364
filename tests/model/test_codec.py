"""Values survive the way to JSON and back, and nothing else gets in."""

from __future__ import annotations

import dataclasses
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.model.strategies import values_of
from unstall.model import finding, observation, place
from unstall.model.codec import dump, load
from unstall.model.finding import Cause, Stall, Step
from unstall.model.histogram import Histogram
from unstall.model.observation import Doubts, Look, Losses, Process, Pulse, Wait
from unstall.model.place import Frame, Owner, Stack


def _classes(module: ModuleType) -> list[type[Any]]:
    own = (
        each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__
    )
    return [each for each in own if dataclasses.is_dataclass(each) and isinstance(each, type)]


CLASSES = [Histogram, *_classes(place), *_classes(observation), *_classes(finding)]


def test_no_class_is_forgotten() -> None:
    assert {Frame, Stack, Look, Doubts, Process, Stall, Step} < set(CLASSES)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_a_value_survives_the_way_to_json_and_back(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(values_of(cls))
    assert load(cls, json.loads(json.dumps(dump(value)))) == value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_is_frozen_and_has_slots(cls: type[Any]) -> None:
    assert cls.__dataclass_params__.frozen
    assert hasattr(cls, "__slots__")


def test_a_field_at_its_default_is_left_out() -> None:
    assert dump(Wait("poll")) == {"syscall": "poll"}
    assert dump(Wait("poll", fd=0)) == {"syscall": "poll", "fd": 0}


def test_an_enum_is_written_as_its_value() -> None:
    assert dump(Frame("a.py", 1, "f", "a", Owner.APP)) == {
        "file": "a.py",
        "line": 1,
        "function": "f",
        "module": "a",
        "owner": "app",
    }


def test_a_field_that_a_later_version_added_is_ignored() -> None:
    assert load(Wait, {"syscall": "poll", "colour": "blue"}) == Wait("poll")


def test_a_float_may_be_written_as_an_integer() -> None:
    process = {
        "process": "1-a",
        "pid": 1,
        "started": 5,
        "started_ns": 0,
        "command": ["x"],
        "python": "3.11.9",
        "threshold_ns": 1,
    }
    assert load(Process, process).started == 5


@pytest.mark.parametrize(
    ("cls", "data"),
    [
        pytest.param(Wait, {}, id="a field is missing"),
        pytest.param(Wait, {"syscall": 1}, id="a number for a text"),
        pytest.param(Wait, {"syscall": "poll", "fd": "3"}, id="a text for a number"),
        pytest.param(Wait, {"syscall": "poll", "fd": True}, id="a truth for a number"),
        pytest.param(Wait, {"syscall": None}, id="null where none is allowed"),
        pytest.param(Wait, ["poll"], id="a list for an object"),
        pytest.param(Wait, None, id="null for an object"),
        pytest.param(Stack, {"frames": "abc"}, id="a text for a list"),
        pytest.param(Stack, {"frames": {}}, id="an object for a list"),
        pytest.param(Losses, {"process": "1", "dropped": [1]}, id="a list for a table"),
        pytest.param(Losses, {"process": "1", "dropped": "abc"}, id="a text for a table"),
        pytest.param(Histogram, {"buckets": [[1, 2, 3]]}, id="a triple for a pair"),
        pytest.param(Histogram, {"buckets": [["1", 2]]}, id="a text in a pair"),
        pytest.param(Histogram, {"buckets": ["12"]}, id="a text for a pair"),
        pytest.param(
            Frame,
            {"file": "a", "line": 1, "function": "f", "module": "a", "owner": "them"},
            id="an owner nobody knows",
        ),
    ],
)
def test_what_does_not_describe_a_value_is_refused(cls: type[Any], data: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        load(cls, data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["process", "dropped", "lag", "buckets", "loop", "from_ns"]), inner
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_value_or_one_of_three_errors(data: Any) -> None:
    for cls in (Pulse, Losses, Stall):
        try:
            assert isinstance(load(cls, data), cls)
        except (KeyError, TypeError, ValueError):
            pass


def test_a_cause_is_read_by_its_word() -> None:
    assert load(Cause, "gil") is Cause.GIL
