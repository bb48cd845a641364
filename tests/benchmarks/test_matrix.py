"""The public matrix is only worth what its judge and its cases are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import matrix
from benchmarks.cases.case import Group, marked
from benchmarks.cases.table import BY_NAME, CASES
from benchmarks.support.peers import PEERS, TOOLS, Word
from benchmarks.support.scores import score
from benchmarks.support.staging import Told

CASE = BY_NAME["time_sleep"]
CLEAN = BY_NAME["asyncio_sleep"]
INNOCENT = BY_NAME["regex_in_a_thread"]
(LINE,) = marked(CASE)
SENT, BEGUN, ENDED = 1_000_000_000, 1_010_000_000, 1_510_000_000


# --- the cases --------------------------------------------------------------------------------------


def test_there_are_as_many_cases_as_the_study_had() -> None:
    groups = Counter(case.group for case in CASES)
    clean = groups.pop(Group.CLEAN)
    assert len(BY_NAME) == len(CASES)
    assert groups.total() >= 55
    assert clean >= 24


def test_every_blocking_case_says_what_is_right_about_it() -> None:
    blocking = [case for case in CASES if case.group is not Group.CLEAN]
    assert [case.name for case in blocking if case.cause is None or not case.rule] == []
    assert [case.name for case in blocking if not marked(case)] == ["regex_in_a_thread"]


def test_a_mark_is_the_line_of_the_call() -> None:
    file, _, number = LINE.rpartition(":")
    text = Path(matrix.__file__).parents[1].joinpath(file).read_text().splitlines()[int(number) - 1]
    assert text.strip() == "time.sleep(SLOW_S)  # stalls"


def test_every_peer_can_be_installed() -> None:
    assert set(PEERS) | {"bare"} == set(TOOLS)


# --- the judge --------------------------------------------------------------------------------------


def told(tool: str = "aiocop", *words: Word, **parts: Any) -> Told:
    given = {"sent_ns": SENT, "spans": ((BEGUN, ENDED),), "status": 200, **parts}
    return Told("time_sleep", tool, "asyncio", words=words, **given)


def word(
    ms: float = 520, label: str = "waits", line: str = LINE, route: str = "", **parts: Any
) -> Word:
    at_ns = BEGUN + round(ms * 1e6)
    return Word(at_ns, "said", label, (line,) if line else (), (route,) if route else (), **parts)


def stalled(**parts: Any) -> dict[str, Any]:
    """What `unstall run` says of a stall that is over, in all ways right."""
    file, _, number = LINE.rpartition(":")
    right = {
        "from_ns": BEGUN, "until_ns": ENDED, "held_ms": 490.0, "cause": "waiting", "because": "seen",
        "site": {"file": file, "line": int(number), "function": "time_sleep", "call": "time.sleep"},
        "entry": {"kind": "route", "name": "GET /time_sleep/{item}", "function": "f"},
    }  # fmt: skip
    return right | parts


def of_unstall(*stalls: dict[str, Any], first_ms: float = 130) -> Told:
    words = (word(first_ms, "waiting", ongoing=True), word(520, "waiting"))
    return told("unstall", *words, stalls=stalls, codes=("US101",))


def marks(case: Any, seen: Told) -> str:
    found = score(case, seen)
    names = ("caught", "line", "cause", "route", "live")
    return " ".join(name for name in names if getattr(found, name))


def test_what_is_right_in_all_ways_has_all_marks() -> None:
    seen = of_unstall(stalled())
    assert marks(CASE, seen) == "caught line cause route live"
    assert score(CASE, seen).rule
    assert score(CASE, seen).noise == 0


ELSEWHERE = {"file": "benchmarks/cases/threads.py", "line": 1, "function": "f", "call": "f"}


@pytest.mark.parametrize(
    ("wrong", "left"),
    [
        ({"site": ELSEWHERE}, "caught cause route live"),
        ({"site": None}, "caught cause route live"),
        ({"cause": "cpu"}, "caught line route live"),
        ({"entry": None}, "caught line cause live"),
        ({"entry": {"name": "GET /bystander"}}, "caught line cause live"),
    ],
)
def test_what_is_wrong_in_one_way_lacks_one_mark(wrong: dict[str, Any], left: str) -> None:
    assert marks(CASE, of_unstall(stalled(**wrong))) == left


def test_a_first_word_is_live_within_a_fifth_of_a_second_of_the_threshold() -> None:
    assert score(CASE, of_unstall(stalled(), first_ms=299)).live
    assert not score(CASE, of_unstall(stalled(), first_ms=301)).live


def test_a_word_after_the_call_is_not_live_however_soon() -> None:
    short = replace(of_unstall(stalled(), first_ms=150), spans=((BEGUN, BEGUN + 120_000_000),))
    assert not score(CASE, short).live


def test_the_longest_stall_is_judged_and_another_line_beside_it_is_noise() -> None:
    beside = stalled(until_ns=BEGUN + 150_000_000, site=ELSEWHERE)
    found = score(CASE, of_unstall(beside, stalled()))
    assert (found.line, found.noise) == (True, 1)


def test_where_nobody_is_at_fault_a_named_line_is_wrong() -> None:
    assert not score(INNOCENT, of_unstall(stalled(cause="gil"))).line
    assert marks(INNOCENT, of_unstall(stalled(cause="gil", site=None, entry=None))).startswith(
        "caught line cause route"
    )


def test_silence_is_a_miss() -> None:
    assert marks(CASE, told()) == ""
    assert marks(CASE, told("unstall")) == ""


def test_one_right_word_is_enough_for_a_peer() -> None:
    seen = told("aiocop", word(label="computes", line="elsewhere.py:1"), word(label="waits"))
    assert marks(CASE, seen) == "caught line cause"


def test_what_a_peer_said_before_the_call_is_not_about_it() -> None:
    assert marks(CASE, told("aiocop", word(-5))) == ""


def test_who_names_every_request_in_flight_names_none() -> None:
    assert score(CASE, told("loopguard", word(route="time_sleep/7"))).route
    both = replace(word(), routes=("bystander", "time_sleep/7"))
    assert not score(CASE, told("loopguard", both)).route


def test_who_names_no_lines_is_not_right_about_a_line() -> None:
    assert not score(INNOCENT, told("loopguard", word(line=""))).line
    assert score(INNOCENT, told("aiocop", word(line="", label="computes"))).line


def test_a_tool_that_raises_before_the_call_is_live() -> None:
    raised = replace(told("blockbuster", word(2)), spans=((BEGUN, BEGUN + 1_000_000),))
    assert score(CASE, raised).live


def test_every_word_about_clean_code_is_an_accusation_but_starvation() -> None:
    assert score(CLEAN, told("aiocop", word(), spans=())).noise == 1
    assert score(CLEAN, told("unstall", spans=(), stalls=(stalled(),))).noise == 1
    starved = told("unstall", word(label="starved"), spans=(), stalls=(stalled(cause="starved"),))
    assert (score(CLEAN, starved).noise, score(CLEAN, starved).starved) == (0, 1)
    assert score(CLEAN, told("aiocop", spans=())).noise == 0


def test_clean_code_that_a_tool_breaks_is_accused() -> None:
    assert score(CLEAN, told("blockbuster", spans=(), status=500)).noise == 1


def test_a_case_that_did_not_run_is_void_and_not_a_miss() -> None:
    assert "did not run" in score(CASE, told(spans=(), status=422)).trouble


# --- the bars ---------------------------------------------------------------------------------------


def bar(name: str, *seen: Told) -> bool:
    scores = [score(BY_NAME[each.case], each) for each in seen]
    return next(bar.holds for bar in matrix.bars(scores) if bar.name == name)


def test_a_bar_holds_for_what_is_right_only() -> None:
    right, miss = of_unstall(stalled()), told("unstall")
    void = replace(right, trouble="no server")
    wrong = of_unstall(stalled(cause="cpu"))
    assert bar("matrix_ran", right)
    assert not bar("matrix_ran", right, void)
    assert bar("matrix_slow_caught", right)
    assert not bar("matrix_slow_caught", right, miss)
    assert bar("matrix_right_cause_and_line", *[right] * 50, wrong)
    assert not bar("matrix_right_cause_and_line", *[right] * 40, wrong)


def test_latent_cases_are_no_part_of_the_bars() -> None:
    fast = replace(told("unstall"), case="file_read_fast")
    assert [bar.name for bar in matrix.bars([score(BY_NAME["file_read_fast"], fast)])] == [
        "matrix_ran"
    ]


LATENT = BY_NAME["os_stat_fast"]


def test_test_mode_is_judged_by_latent_and_clean_cases() -> None:
    (line,) = marked(LATENT)
    right = Told("os_stat_fast", "trap", "asyncio", sent_ns=SENT, spans=((BEGUN, ENDED),),
                 words=(word(label="waiting", line=line),), status=200)  # fmt: skip
    beside = replace(
        right, words=(*right.words, word(label="waiting", line="benchmarks/cases/x.py:1"))
    )
    silent = replace(right, words=())
    clean = replace(right, case=CLEAN.name, spans=(), words=())
    accused = replace(clean, words=right.words)

    def held(*seen: Told) -> dict[str, bool]:
        scores = [score(BY_NAME[each.case], each) for each in seen]
        return {bar.name: bar.holds for bar in matrix.trap_bars(scores)}

    assert all(held(right, clean).values())
    assert not held(silent)["trap_latent_caught"]
    assert not held(beside)["trap_noise"]
    assert not held(accused)["trap_noise"]


# --- the whole of it --------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.slow
def test_a_few_cases_run_and_are_told_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "matrix.json"
    chosen = [
        "--only",
        "time_sleep",
        "--only",
        "asyncio_sleep",
        "--tool",
        "unstall",
        "--tool",
        "aiocop",
    ]
    matrix.main(["--quick", *chosen, "--json", str(file)])
    said = capsys.readouterr().out
    scores = {(each["case"], each["tool"]): each for each in json.loads(file.read_text())["scores"]}
    assert len(scores) == 4
    assert [each["trouble"] for each in scores.values()] == [""] * 4
    ours = scores["time_sleep", "unstall"]
    assert (ours["caught"], ours["line"], ours["cause"], ours["route"]) == (True,) * 4
    assert scores["time_sleep", "aiocop"]["line"]
    assert not scores["asyncio_sleep", "aiocop"]["noise"]
    assert "BAR matrix_slow_caught 1 of 1 ok" in said
