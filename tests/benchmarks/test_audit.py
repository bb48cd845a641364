"""The comparison of readers of source is only worth what its judge is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import audit
from benchmarks.support.auditors import AUDITORS, BY_NAME, Reading, is_shown, reading, sources
from benchmarks.support.labels import (
    Judged,
    Label,
    Share,
    folder_of,
    judged,
    labels_of,
    score,
    span_of,
)

LABEL = Label("a/b", "app.py", 3, "file", direct=True, blocks=True, trivial=False)
SOURCE = "x = 1\n\ndata = load(\n    first(),\n    second,\n)\ny = 2\n"


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    folder = tmp_path / "a__b"
    folder.mkdir()
    (folder / "app.py").write_text(SOURCE)
    return tmp_path


def line(**changes: Any) -> str:
    row = {
        "repo": "a/b", "commit": "0", "file": "app.py", "line": 3, "kind": "file", "direct": True,
        "verdict": "blocks", "impact": "high", "what": "load", "route_or_entry": "GET /",
    }  # fmt: skip
    return json.dumps(row | changes)


def test_labels_are_read_from_json_lines() -> None:
    first, second, third = labels_of(
        "\n".join([line(), line(verdict="clean", impact="none"), "", line(impact="trivial")])
    )
    assert first == replace(LABEL, what="load", entry="GET /")
    assert (second.blocks, second.trivial) == (False, False)
    assert third.trivial


def test_a_tool_may_name_any_line_of_the_call_and_no_other(repos: Path) -> None:
    span = span_of(folder_of(repos, "a/b"), LABEL)
    assert span == (3, 6)
    told = {n: judged(LABEL, {"app.py": {n}}, span).told for n in range(1, 8)}
    assert [n for n, was in told.items() if was] == [3, 4, 5, 6]
    assert not judged(LABEL, {"other.py": {3}}, span).told


def test_a_label_on_no_call_is_its_own_line(repos: Path) -> None:
    assert span_of(folder_of(repos, "a/b"), replace(LABEL, line=7)) == (7, 7)
    assert span_of(folder_of(repos, "a/b"), replace(LABEL, file="gone.py")) == (3, 3)


def test_trivial_sites_are_neither_found_nor_missed() -> None:
    indirect = replace(LABEL, direct=False, kind="db")
    clean = replace(LABEL, blocks=False)
    trivial = replace(LABEL, trivial=True)
    result = score(
        [
            Judged(LABEL, True), Judged(LABEL, False), Judged(indirect, True),
            Judged(trivial, False), Judged(clean, True), Judged(clean, False),
        ]
    )  # fmt: skip
    assert result.blocking == Share(2, 3)
    assert (result.direct, result.indirect) == (Share(1, 2), Share(1, 1))
    assert result.trivial == Share(0, 1)
    assert result.clean == Share(1, 2)
    assert result.kinds == (("db", Share(1, 1)), ("file", Share(1, 2)))
    assert result.misses == (LABEL,)
    assert result.flagged == (clean,)


def test_tests_and_scripts_are_not_what_a_user_reads_first() -> None:
    hidden = ["tests/a.py", "x/test/b.py", "scripts/c.py", "test_d.py", "x/conftest.py", "setup.py"]
    assert not any(map(is_shown, hidden))
    assert all(map(is_shown, ["app/main.py", "latest/x.py", "app/contest.py"]))


def test_environments_and_hidden_folders_are_not_read(repos: Path) -> None:
    folder = folder_of(repos, "a/b")
    for name in (".venv/x.py", "venv/y.py", "lib/site-packages/z.py"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    assert [file.name for file in sources(folder)] == ["app.py"]


# --- what each tool prints --------------------------------------------------------------------------


def read(tool: str, text: str, repos: Path) -> Reading:
    return BY_NAME[tool].said(folder_of(repos, "a/b"), text)


def test_of_unstall_only_what_holds_the_loop_counts(repos: Path) -> None:
    def finding(code: str, place: str, **changes: Any) -> Mapping[str, Any]:
        site = {"file": "app.py", "line": 3, "function": "f", "call": "c"}
        return {"code": code, "runs_on": place, "site": site, "confidence": "certain",
                "severity": "error"} | changes  # fmt: skip

    found = [
        finding("US103", "loop"),
        finding("US204", "loop", confidence="likely"),
        finding("US103", "start-up", severity="note"),
        finding("US302", "loop"),
        finding("US103", "thread pool"),
    ]
    result = read("unstall", json.dumps({"findings": found}), repos)
    assert result.places == (("app.py", 3),) * 3
    assert result.certain == {("app.py", 3)}
    assert result.findings == 4


def test_of_ruff_and_flake8_only_blocking_rules_count(repos: Path) -> None:
    file = str(folder_of(repos, "a/b") / "app.py")
    rows = [
        {"filename": file, "location": {"row": n}, "code": code}
        for n, code in ((3, "ASYNC230"), (4, "ASYNC100"))
    ]
    assert read("ruff ASYNC", json.dumps(rows), repos).places == (("app.py", 3),)
    text = (
        f"{file}:5:1: ASYNC210 Sync HTTP call\napp.py:6:1: ASYNC119 yield\napp.py:7:2: ASYNC251 x\n"
    )
    assert read("flake8-async", text, repos).places == (("app.py", 5), ("app.py", 7))


def test_of_chains_the_call_at_their_end_counts(repos: Path) -> None:
    def at(line: int) -> Mapping[str, Any]:
        return {"path": "app.py", "line": line, "column": 1}

    found = [
        {"location": at(1), "chain": [{"location": at(2)}, {"location": at(3)}]},
        {"location": at(7), "chain": []},
    ]
    result = read("hydroid --cpu", json.dumps({"diagnostics": found}), repos)
    assert set(result.places) == {("app.py", 3), ("app.py", 7)}
    text = "app.py:1:5: ASYNC200T blocking sync call open reachable from async function via f (app.py:3:4)"
    assert set(read("ty-async", text, repos).places) == {("app.py", 1), ("app.py", 3)}


def test_a_tool_that_fails_is_void_and_not_silent(repos: Path) -> None:
    broken = replace(
        BY_NAME["ruff ASYNC"], command=lambda programs, repository: [["false"]], codes=(0,)
    )
    result = reading(broken, Path(), folder_of(repos, "a/b"))
    assert result.trouble == "ended with 1: it said nothing"
    crashed = replace(
        broken,
        command=lambda programs, repository: [["sh", "-c", "echo Oops >&2; exit 1"]],
        codes=(0, 1),
    )
    assert reading(crashed, Path(), folder_of(repos, "a/b")).trouble == "Oops"


def test_a_quick_run_leaves_out_what_is_slow(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text(line())
    given = ["--labels", str(labels), "--repos", str(tmp_path)]
    every = audit.chosen(audit.options_of(given))
    assert every == list(AUDITORS)
    quick = audit.chosen(audit.options_of([*given, "--quick"]))
    assert [each.name for each in every if each not in quick] == ["flake8-async"]


@pytest.mark.parametrize("missing", ["labels", "repos"])
def test_labels_and_repositories_must_be_there(
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("LABELS", "REPOS"):
        monkeypatch.setenv(f"UNSTALL_AUDIT_{name}", str(tmp_path))
    with pytest.raises(SystemExit):
        audit.options_of([f"--{missing}", str(tmp_path / "none")])
    assert f"--{missing} is " in capsys.readouterr().err


def test_bars_hold_only_what_holds() -> None:
    good = score([Judged(LABEL, True), Judged(replace(LABEL, direct=False), True)])
    assert all(bar.holds for bar in audit.bars(good, certain=0, seconds=1.0))
    assert not any(
        bar.holds
        for bar in audit.bars(
            score(
                [
                    Judged(LABEL, False), Judged(replace(LABEL, direct=False), False),
                    Judged(replace(LABEL, blocks=False), True),
                ]
            ),
            certain=1,
            seconds=9.0,
        )
    )  # fmt: skip


def test_certain_accusations_of_clean_code_are_counted_apart(repos: Path) -> None:
    clean = replace(LABEL, blocks=False)
    sure = Reading((("app.py", 4),), 1, frozenset({("app.py", 4)}))
    folders = {"a/b": folder_of(repos, "a/b")}
    assert audit.certainly_flagged({"a/b": [sure]}, [clean], folders) == 1
    assert (
        audit.certainly_flagged({"a/b": [replace(sure, certain=frozenset())]}, [clean], folders)
        == 0
    )
