"""Variables from a `.env` file."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.errors import UsageError
from unstall.prove.env_file import read_env_file, variables


def test_assignments_are_read_as_apps_read_them() -> None:
    text = (
        "# comment\n\nA=1\nexport B = two words # and a comment\nC='# raw $X \\n'\n"
        'D="line\\nnext \\"q\\""\n'
        'E=\nF=http://h/#x\nnot an assignment\nA=3\nG="two\nlines"\r\nH=#\n'
    )
    assert variables(text) == {
        "A": "3", "B": "two words", "C": "# raw $X \\n", "D": 'line\nnext "q"', "E": "", "F": "http://h/#x",
        "G": "two\nlines", "H": "",
    }  # fmt: skip


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--env-file .* cannot be read"):
        read_env_file(tmp_path / "none")
    bad = tmp_path / "bad"
    bad.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_env_file(bad)
