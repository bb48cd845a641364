"""What has changed since a git revision, and which findings that touches."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unstall.errors import UsageError
from unstall.model.finding import Finding
from unstall.model.report import Report
from unstall.triage.select import judged
from unstall.triage.spans import Lines, Read, Spans, spans_by_file

Changes = Mapping[str, tuple[Lines, ...]]
"""Lines that are new or beside what was removed, by file relative to the root."""

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_WHOLE = Lines(1, 1 << 60)


def changes_since(revision: str, root: Path) -> Changes:
    """Since this branch left `revision`, or since the revision itself where they have no commit in common.

    Of files that git knows and of those it does not ignore, whatever the user's settings of git are. Raises
    UsageError.
    """
    if not revision or revision.startswith("-"):
        raise UsageError(f"--changed-from is {revision!r}: give a revision, as in origin/main")
    common = _run(root, "merge-base", revision, "HEAD").stdout.strip()
    diff = _git(
        root, revision, "diff", "--relative", "--unified=0", "--inter-hunk-context=0", "--text",
        "--no-textconv", "--no-color", "--no-ext-diff", "--no-renames", "--src-prefix=a/",
        "--dst-prefix=b/", common or revision, "--",
    )  # fmt: skip
    new = _git(root, revision, "ls-files", "--others", "--exclude-standard", "-z")
    return {**changes_in(diff), **{name: (_WHOLE,) for name in new.split("\0") if name}}


def changes_in(diff: str) -> dict[str, tuple[Lines, ...]]:
    """From a unified diff. A removal touches the lines on both its sides."""
    found: dict[str, tuple[Lines, ...]] = {}
    file: str | None = None
    old = new = 0  # lines of a hunk still to come: their text may look like anything
    for line in diff.split("\n"):
        if old > 0 or new > 0:
            old -= line[:1] not in ("+", "\\")
            new -= line[:1] not in ("-", "\\")
        elif line.startswith("+++ "):
            name = line[4:].rstrip("\t").strip('"')
            file = name[2:] if name.startswith("b/") else None
        elif hunk := _HUNK.match(line):
            removed, first, count = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
            old, new = removed, count
            if file is not None:
                lines = Lines(first, first + count - 1) if count else Lines(first, first + 1)
                found[file] = (*found.get(file, ()), lines)
    return found


def touched(report: Report, changes: Changes, read: Read) -> Report:
    """Only findings of which the site, a call on the way or an entry lies in a changed function."""
    spans = spans_by_file(read)
    entrances = {path.entry.function: (path.file, path.line) for path in report.paths}
    kept = tuple(
        finding
        for finding in report.findings
        if any(_is_in(place, changes, spans) for place in _places(finding, entrances))
    )
    others = len(report.findings) - len(kept)
    hidden = report.hidden | ({"unchanged": others} if others else {})
    return judged(replace(report, findings=kept, hidden=hidden))


def _places(
    finding: Finding, entrances: Mapping[str, tuple[str, int]]
) -> Iterator[tuple[str, int]]:
    for each in (finding.site, *finding.reach):
        if each is not None:
            yield each.file, each.line
    for entry in finding.entries:
        if entry.function in entrances:
            yield entrances[entry.function]


def _is_in(place: tuple[str, int], changes: Changes, spans: Callable[[str], Spans]) -> bool:
    file, line = place
    lines = changes.get(file)
    if not lines:
        return False
    around = [each.whole for each in spans(file).around(line)[:1]] or [Lines(line, line)]
    return any(each.overlaps(change) for each in around for change in lines)


def _git(root: Path, revision: str, *arguments: str) -> str:
    done = _run(root, *arguments)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise UsageError(f"--changed-from {revision}: git does not know what changed ({said[0]})")
    return done.stdout


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ("git", "-c", "core.quotePath=false", *arguments)
    try:
        return subprocess.run(
            command, cwd=root, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as error:
        raise UsageError(
            f"--changed-from needs git, which does not run here ({error.strerror})"
        ) from None
