"""Findings that are known: silent, counted, and gone when they are gone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.sources import PROBE, QUERY, READ, reached
from unstall.errors import UsageError
from unstall.model.report import Verdict
from unstall.triage import baseline

TWIN = reached(line=95)


def test_a_known_finding_is_silent_wherever_its_lines_move() -> None:
    moved = replace(READ, findings=(reached(line=500), PROBE), hidden={"trivial": 1})
    left = baseline.apply(moved, baseline.of([QUERY]))
    assert left.findings == (PROBE,)
    assert left.hidden == {"trivial": 1, "baseline": 1}
    assert left.verdict is Verdict.FINDINGS


def test_when_all_is_known_the_run_is_clean() -> None:
    left = baseline.apply(replace(READ, findings=(QUERY,)), baseline.of([QUERY]))
    assert (left.findings, left.verdict) == ((), Verdict.CLEAN)


def test_twins_are_counted() -> None:
    assert TWIN.fingerprint == QUERY.fingerprint
    known = baseline.of([QUERY, TWIN])
    third = reached(line=99)
    left = baseline.apply(replace(READ, findings=(QUERY, TWIN, third)), known)
    assert left.findings == (third,)
    assert left.hidden["baseline"] == 2
    assert baseline.gone(known, [QUERY]) == 1


def test_what_is_gone_is_dropped_and_what_is_hidden_stays() -> None:
    known = baseline.of([QUERY, TWIN, PROBE])
    other = reached(call="another")
    written = baseline.updated(known, shown=[other], everything=[QUERY, other])
    assert set(written) == {QUERY.fingerprint, other.fingerprint}
    assert written[QUERY.fingerprint].count == 1
    assert baseline.gone(known, [QUERY, other]) == 2


def test_what_is_written_can_be_read_and_is_the_same_text_always(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    known = baseline.of([QUERY, PROBE, TWIN])
    baseline.write(file, known)
    assert baseline.read(file) == known
    assert file.read_text() == baseline.text_of(baseline.of([PROBE, TWIN, QUERY]))
    assert len(file.read_text().splitlines()) == 4
    assert str(QUERY.site.line if QUERY.site else "") not in file.read_text()


def test_an_empty_one_is_one_too(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    baseline.write(file, {})
    assert baseline.read(file) == {}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is no baseline"),
        ("[]", "is no baseline"),
        ("{}", "is no baseline"),
        ('{"version": 1, "findings": [{"code": "US1"}]}', "is no baseline"),
        ('{"version": 1, "findings": [{"fingerprint": "a", "count": 0}]}', "count is 0"),
        ('{"version": 1, "findings": 3}', "is no baseline"),
        ('{"version": 1, "findings": {"a": 1}}', "a finding is 'a'"),
        ('{"version": 1, "findings": [{"fingerprint": ["a"]}]}', "a fingerprint is .'a'."),
        ("[" * 100_000, "is no baseline"),
        ('{"version": 2, "findings": []}', "by a later unstall .version 2."),
    ],
)
def test_what_is_no_baseline_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=sentence):
        baseline.read(file)


def test_one_that_is_not_there_or_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="make it with --update-baseline"):
        baseline.read(tmp_path / "none.json")
    with pytest.raises(UsageError, match="cannot be written"):
        baseline.write(tmp_path / "no" / "folder.json", {})


def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "baseline.json"
    baseline.write(file, baseline.of([QUERY]))

    def full(path: Path, text: str, encoding: str) -> int:
        path.write_bytes(text.encode(encoding)[:9])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(UsageError, match="No space left"):
            baseline.write(file, baseline.of([PROBE]))
    assert baseline.read(file) == baseline.of([QUERY])
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_and_its_rights_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "real.json", tmp_path / "link.json"
    file.touch(0o640)
    link.symlink_to(file)
    baseline.write(link, {})
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert baseline.read(file) == {}


def test_it_is_json() -> None:
    (row,) = json.loads(baseline.text_of(baseline.of([QUERY])))["findings"]
    assert row == {
        "fingerprint": QUERY.fingerprint,
        "count": 1,
        "code": "US103",
        "file": "shop/repo.py",
        "function": "Repo.load",
        "call": "sqlalchemy.orm.Session.execute",
    }
