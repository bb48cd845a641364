"""Files that options name: refused before anything runs for them, and not touched by the look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unstall.cli.files import check_output, check_outputs
from unstall.errors import UsageError


def test_a_file_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    new, old, pipe, link = (tmp_path / name for name in ("new", "old", "pipe", "link"))
    old.write_text("kept")
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "later")
    for file in (new, old, pipe, link):
        check_output("--json", file)
    assert old.read_text() == "kept"
    assert {each.name for each in tmp_path.iterdir()} == {"old", "pipe", "link"}
    check_output("--json", None)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_a_folder_that_takes_no_file_is_told_before_the_run() -> None:
    with pytest.raises(UsageError, match=r"^--json /proc/x cannot be written \(.*\): name another"):
        check_output("--json", Path("/proc/x"))


def test_what_can_be_no_file_is_refused(tmp_path: Path) -> None:
    for file in (tmp_path, tmp_path / "no" / "x"):
        with pytest.raises(UsageError, match="is no file that can be written"):
            check_output("--html", file)


def test_two_reports_in_one_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x"
    check_outputs({"--json": file, "--html": tmp_path / "y", "--junit": None})
    with pytest.raises(UsageError, match=r"--json and --html both name .*: give each a file"):
        check_outputs({"--json": file, "--html": tmp_path / "." / "x"})
