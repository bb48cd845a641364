"""How large a lane is: code, file, environment, and what cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from unstall import Lane
from unstall.errors import UsageError
from unstall.lanes.limits import Backend, Limits, limits_of, tables_from


def limits(
    code: Mapping[str, object] | None = None,
    file: Mapping[str, object] | None = None,
    name: str = "billing",
    **environ: str,
) -> Limits:
    code = {"threads": 8} if code is None else code
    tables = {} if file is None else {name: file}
    return limits_of(name, Backend.THREADS, code, tables, environ)


def test_code_alone_is_taken_as_it_is() -> None:
    code = {"threads": 3, "queue": 5, "deadline": 2, "queue_timeout": 0.5}
    assert limits(code) == Limits(3, 5, 2_000_000_000, 500_000_000)


def test_twice_as_many_may_wait_as_there_are_slots_unless_something_is_said() -> None:
    assert limits({"threads": 3}) == Limits(3, 6)
    assert limits({"threads": 3, "queue": 0}) == Limits(3, 0)


def test_the_environment_wins_over_the_file_and_that_over_code() -> None:
    code: dict[str, object] = {"threads": 1, "queue": 1, "deadline": 1.0}
    file = {"threads": 2, "queue": 2}
    assert limits(code, file, UNSTALL_LANE_BILLING_THREADS="3") == Limits(3, 2, 1_000_000_000)


def test_a_time_limit_can_be_lifted_from_outside() -> None:
    code: dict[str, object] = {"threads": 1, "deadline": 1.0}
    assert limits(code, UNSTALL_LANE_BILLING_DEADLINE="none").deadline_ns is None
    assert limits(code, {"deadline": "none"}).deadline_ns is None


def test_an_empty_variable_says_nothing() -> None:
    assert limits(UNSTALL_LANE_BILLING_THREADS=" ").workers == 8


def test_a_name_with_other_signs_is_written_with_underscores() -> None:
    found = limits(name="legacy-sdk.v2", UNSTALL_LANE_LEGACY_SDK_V2_THREADS="3")
    assert found.workers == 3


def test_a_variable_of_a_lane_with_a_longer_name_is_not_ours() -> None:
    assert limits(name="io", UNSTALL_LANE_IO_SLOW_THREADS="3").workers == 8


@pytest.mark.parametrize(
    ("code", "environ", "says"),
    [
        ({"threads": 0}, {}, "threads of the lane 'billing' is 0: give a whole number from 1 to"),
        ({"threads": -1}, {}, "is -1"),
        ({"threads": 2.5}, {}, "is 2.5"),
        ({"threads": True}, {}, "is True"),
        ({"threads": 1, "queue": -1}, {}, "queue of the lane 'billing' is -1: .* from 0 to"),
        ({"threads": 1, "deadline": -2.0}, {}, "deadline .* is -2.0: give seconds greater than 0"),
        ({"threads": 1, "deadline": 0}, {}, "deadline .* is 0"),
        ({"threads": 1, "deadline": math.nan}, {}, "is nan"),
        ({"threads": 1, "deadline": math.inf}, {}, "is inf"),
        ({"threads": 1, "queue_timeout": "soon"}, {}, "is 'soon'"),
        ({"threads": 1}, {"UNSTALL_LANE_BILLING_THREADS": "many"}, "BILLING_THREADS is 'many'"),
        ({"threads": 1}, {"UNSTALL_LANE_BILLING_DEADLINE": "-1"}, "BILLING_DEADLINE is -1.0"),
        ({"threads": 1}, {"UNSTALL_LANE_BILLING_THREAD": "1"}, "THREAD is no setting of a lane: there"),
        ({"threads": 1}, {"UNSTALL_LANE_BILLING_PROCESSES": "2"}, "PROCESSES is set, but .* has threads"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_place(
    code: dict[str, object], environ: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        limits_of("billing", Backend.THREADS, code, {}, environ)


@pytest.mark.parametrize("name", ["", "7up", "two words", "a/b"])
def test_a_name_that_no_label_can_carry_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a lane"):
        limits(name=name)


def test_two_kinds_at_once_are_refused() -> None:
    with pytest.raises(UsageError, match="has threads and processes: give one of them"):
        Lane("billing", threads=1, processes=1)


def test_a_lane_cannot_be_resized_to_nothing_or_to_another_kind() -> None:
    with Lane("billing", threads=2) as lane:
        with pytest.raises(UsageError, match="is 0"):
            lane.resize(threads=0)
        with pytest.raises(UsageError, match="has threads"):
            lane.resize(processes=2)
        assert lane.statistics().workers == 2


# --- the file -------------------------------------------------------------------------------


def test_the_nearest_file_with_lanes_counts(tmp_path: Path) -> None:
    inner = tmp_path / "service" / "app"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.unstall.lanes.billing]\nthreads = 12\n")
    (inner / "pyproject.toml").write_text("[project]\nname = 'app'\n")
    assert tables_from(inner) == {"billing": {"threads": 12}}


@pytest.mark.parametrize("table", ["[lanes.billing]", "[tool.unstall.lanes.billing]"])
def test_a_file_of_our_own_wins_over_pyproject(tmp_path: Path, table: str) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.unstall.lanes.billing]\nthreads = 12\n")
    (tmp_path / "unstall.toml").write_text(f"{table}\nthreads = 5\n")
    assert tables_from(tmp_path) == {"billing": {"threads": 5}}


def test_a_file_is_found_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unstall.toml").write_text("[lanes.billing]\nqueue = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNSTALL_LANE_BILLING_THREADS", "5")
    with Lane("billing", threads=2, queue=9) as lane:
        statistics = lane.statistics()
    assert (statistics.workers, statistics.queue) == (5, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[lanes.billing\n", r"unstall.toml is no TOML \("),
        ("lanes = 3\n", "which is no table of lanes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "unstall.toml").write_text(text)
    with pytest.raises(UsageError, match=says):
        tables_from(tmp_path)


def test_a_setting_that_no_lane_has_is_refused() -> None:
    with pytest.raises(UsageError, match=r"size in lanes\.billing is no setting of a lane"):
        limits(file={"size": 3})
    with pytest.raises(UsageError, match="which is no table"):
        limits_of("billing", Backend.THREADS, {"threads": 1}, {"billing": 3}, {})
