"""What has changed since a revision, and which findings that touches."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.sources import ASR, PATH, READ, TEXT, reached
from unstall.errors import UsageError
from unstall.model.finding import Hop
from unstall.triage.changed import changes_in, changes_since, touched
from unstall.triage.spans import Lines

DIFF = """\
diff --git a/shop/a.py b/shop/a.py
--- a/shop/a.py
+++ b/shop/a.py
@@ -3 +3,2 @@ def f():
-    old
+    new
+    newer
@@ -10,2 +11,0 @@ def g():
-    gone
-    gone too
diff --git a/gone.py b/gone.py
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-x
-y
diff --git a/with space.py b/with space.py
--- a/with space.py\t
+++ b/with space.py\t
@@ -1 +1 @@
--- x
+++ y
@@ -9 +9 @@
-x
+y
"""


def test_a_diff_is_read_by_its_hunks() -> None:
    assert changes_in(DIFF) == {
        "shop/a.py": (Lines(3, 4), Lines(11, 12)),
        "with space.py": (Lines(1, 1), Lines(9, 9)),
    }


SOURCE = """\
async def handler():
    a = 1
    return helper()


def helper():
    x = 1
    return open("f")
"""


def left(finding: object, *lines: int, file: str = "a.py") -> int:
    changes = {file: tuple(Lines(line, line) for line in lines)}
    report = replace(READ, findings=(finding,), paths=(PATH,))  # type: ignore[arg-type]
    return len(touched(report, changes, {"a.py": SOURCE}.get).findings)


FINDING = reached(
    "US106", "open", file="a.py", line=8, function="helper",
    reach=(Hop("a.py", 3, "handler", "helper"),), entries=(TEXT,),
)  # fmt: skip


def test_a_change_in_the_function_of_the_site_or_of_a_call_on_the_way_touches() -> None:
    assert left(FINDING, 8) == 1
    assert left(FINDING, 7) == 1
    assert left(FINDING, 1) == 1  # `def` became `async def`


def test_a_change_elsewhere_does_not() -> None:
    assert left(FINDING, 4, 5) == 0
    assert left(FINDING, 8, file="b.py") == 0


def test_a_new_entry_to_old_code_touches() -> None:
    reached_by_asr = replace(FINDING, entries=(TEXT, ASR))
    assert left(reached_by_asr, 30, file="shop/audio.py") == 1
    assert left(FINDING, 30, file="shop/audio.py") == 0


def test_what_is_left_out_is_counted() -> None:
    report = touched(replace(READ, findings=(FINDING,), hidden={}), {}, {"a.py": SOURCE}.get)
    assert (report.hidden, report.verdict) == ({"unchanged": 1}, "clean")


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_git_is_asked_from_the_root_for_what_it_knows_and_what_is_new(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    root = tmp_path / "service"
    root.mkdir()
    for name in ("same.py", "other.py", "größe.py"):
        (root / name).write_text("a\nb\nc\n")
    (tmp_path / "above.py").write_text("a\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    (root / "größe.py").write_text("a\nB\nc\n")
    (root / "other.py").write_text("a\nc\n")
    (tmp_path / "above.py").write_text("b\n")
    (root / "new.py").write_text("a\n")
    changes = changes_since("HEAD", root)
    assert set(changes) == {"größe.py", "other.py", "new.py"}
    assert changes["größe.py"] == (Lines(2, 2),)
    assert changes["other.py"] == (Lines(1, 2),)
    assert 12345 in changes["new.py"][0]
    with pytest.raises(UsageError, match="--changed-from nope: git does not know"):
        changes_since("nope", root)


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("".join(f"line{n}\n" for n in range(20)))
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    (tmp_path / "a.py").write_text("".join(f"line{n}\n" for n in range(20) if n not in (2, 6)))
    (tmp_path / "b.py").write_text("new\n" + "".join(f"line{n}\n" for n in range(20)))
    return tmp_path


@pytest.mark.parametrize(
    "setting",
    ["", "diff.interHunkContext=10", "diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always",
     "diff.context=9", "diff.odd.textconv=sort", "diff.odd.binary=true", "diff.odd.command=false"],
)  # fmt: skip
def test_settings_of_git_change_nothing(setting: str, two_files: Path) -> None:
    if setting:
        git(two_files, "config", *setting.split("="))
    if "odd" in setting:
        (two_files / ".git" / "info" / "attributes").write_text("*.py diff=odd\n")
    changes = changes_since("HEAD", two_files)
    assert changes == {"a.py": (Lines(2, 3), Lines(5, 6)), "b.py": (Lines(1, 1),)}


def test_a_file_that_git_takes_for_binary_is_compared_too(two_files: Path) -> None:
    (two_files / ".gitattributes").write_text("*.py -diff\n")
    assert set(changes_since("HEAD", two_files)) == {"a.py", "b.py", ".gitattributes"}


def test_lines_around_a_hunk_do_not_hide_the_next_file() -> None:
    context = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n\\ No newline at end of file\n"
    diff = "".join(f"--- a/{name}\n+++ b/{name}\n{context}" for name in ("a.py", "b.py"))
    assert changes_in(diff) == {"a.py": (Lines(1, 3),), "b.py": (Lines(1, 3),)}


def test_what_others_changed_since_is_not_this_branch(two_files: Path) -> None:
    git(two_files, "checkout", "-q", "-b", "feature")
    git(two_files, "commit", "-q", "-m", "mine", "a.py")
    git(two_files, "checkout", "-q", "-f", "-b", "trunk", "HEAD~1")
    (two_files / "b.py").write_text("theirs\n")
    git(two_files, "commit", "-q", "-m", "theirs", "b.py")
    git(two_files, "checkout", "-q", "feature")
    assert set(changes_since("trunk", two_files)) == {"a.py"}


def test_without_a_commit_in_common_the_revision_itself_counts(two_files: Path) -> None:
    git(two_files, "checkout", "-q", "-f", "--orphan", "other")
    git(two_files, "commit", "-q", "-m", "again")
    (two_files / "b.py").write_text("b\n")
    assert set(changes_since("HEAD@{0}", two_files)) == {"b.py"}


@pytest.mark.parametrize("revision", ["", "--output=x"])
def test_a_flag_is_no_revision(revision: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a revision"):
        changes_since(revision, tmp_path)
