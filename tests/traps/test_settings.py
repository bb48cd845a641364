"""`[tool.unstall.trap]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.configuration import TrapSettings, trap_settings
from unstall.errors import UsageError


def read(folder: Path, text: str) -> TrapSettings:
    (folder / "pyproject.toml").write_text(f"[tool.unstall.trap]\n{text}\n")
    return trap_settings(folder)


def test_without_a_file_there_is_nothing_to_say(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert trap_settings(tmp_path) == TrapSettings()


def test_every_setting_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, 'ignore = ["US1"]\nthreshold-ms = 50\nbaseline = "known.json"')
    assert found.ignore == ("US1",)
    assert found.threshold_ms == 50.0
    assert found.baseline == Path("known.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("threshold = 50", "did you mean 'threshold-ms'"),
        ("threshold-ms = -1", "give milliseconds"),
        ('threshold-ms = "fast"', "give milliseconds"),
        ('ignore = "US1"', "give a list of texts"),
        ("baseline = 3", "give the name of a file"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text)
