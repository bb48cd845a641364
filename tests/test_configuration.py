"""What a project says about its audit, and what it says wrongly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unstall.configuration import AuditSettings, audit_settings, confidence_of
from unstall.errors import UsageError
from unstall.model.finding import Confidence


def settings_of(folder: Path, text: str, name: str = "pyproject.toml") -> AuditSettings:
    (folder / name).write_text(text)
    return audit_settings(folder)


def test_every_setting_is_read(tmp_path: Path) -> None:
    found = settings_of(
        tmp_path,
        """
        [tool.unstall.audit]
        select = ["US1", "US403"]
        ignore = ["US112"]
        min-confidence = "certain"
        exclude = ["scripts/*"]
        per-file-ignores = { "app/jobs.py" = ["US106"] }
        baseline = ".unstall-baseline.json"
        """,
    )
    assert found == AuditSettings(
        select=("US1", "US403"),
        ignore=("US112",),
        min_confidence=Confidence.CERTAIN,
        exclude=("scripts/*",),
        per_file_ignores=(("app/jobs.py", ("US106",)),),
        baseline=Path(".unstall-baseline.json"),
        file=tmp_path / "pyproject.toml",
    )


def test_without_a_word_the_defaults_hold(tmp_path: Path) -> None:
    assert audit_settings(tmp_path) == AuditSettings()
    assert settings_of(tmp_path, "[project]\nname = 'unstalled'\n") == AuditSettings()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_no_settings(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "unstall.toml")
    assert audit_settings(tmp_path) == AuditSettings()


def test_a_file_of_its_own_needs_no_prefix_and_wins(tmp_path: Path) -> None:
    settings_of(tmp_path, "[tool.unstall.audit]\nselect = ['US2']\n")
    assert settings_of(tmp_path, "[audit]\nselect = ['US1']\n", "unstall.toml").select == ("US1",)


def test_a_plan_and_lanes_may_stand_beside_it(tmp_path: Path) -> None:
    text = "[app]\ncommand = 'x'\n[[fault]]\nkind = 'hang'\n[lanes.io]\nthreads = 2\n"
    assert settings_of(tmp_path, text, "unstall.toml").select == ()


def test_the_nearest_file_above_is_read_but_none_beyond_the_repository(tmp_path: Path) -> None:
    settings_of(tmp_path, "[tool.unstall.audit]\nselect = ['US1']\n")
    inner = tmp_path / "repo" / "app"
    inner.mkdir(parents=True)
    assert audit_settings(inner).select == ("US1",)
    (tmp_path / "repo" / ".git").mkdir()
    assert audit_settings(inner) == AuditSettings()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.unstall.audit]\nselekt = []", "'selekt' is no setting of .*did you mean 'select'?"),
        ("[tool.unstall.audit]\nxyz = 1", "'xyz' is no setting of .*there are select, ignore"),
        ("[tool.unstall.aduit]\nx = 1", "'aduit' is no setting of .*did you mean 'audit'?"),
        ("[tool.unstall]\naudit = 1", "audit in .* is 1, which is no table"),
        ("[tool]\nunstall = 1", "tool.unstall in .* is 1, which is no table"),
        ("[tool.unstall.audit]\nselect = 'US1'", "select in .* is 'US1': give a list of texts"),
        ("[tool.unstall.audit]\nignore = [1]", r"ignore in .* is \[1\]: give a list of texts"),
        ("[tool.unstall.audit]\nmin-confidence = 'sure'", "is 'sure': give certain, likely, possible"),
        ("[tool.unstall.audit]\nper-file-ignores = ['x']", "give a table"),
        ("[tool.unstall.audit]\nbaseline = 3", "baseline in .* is 3: give the name of a file"),
        ("[tool.unstall.audit\n", "is no TOML"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        settings_of(tmp_path, text)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"# \xff unstall")
    with pytest.raises(UsageError, match="is not UTF-8"):
        audit_settings(tmp_path)


def test_a_confidence_is_a_word_of_three() -> None:
    assert confidence_of("likely", "--min-confidence") is Confidence.LIKELY
    with pytest.raises(UsageError, match="--min-confidence is 'Likely'"):
        confidence_of("Likely", "--min-confidence")
