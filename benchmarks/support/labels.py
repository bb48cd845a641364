"""Sites that a reader has judged in public repositories, and how a tool's lines compare with them.

One object a line: repo, file, line (the first of the call expression), kind, direct, verdict (`blocks` or
`clean`), impact (`high`, `low`, `trivial`, `none`).
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Place = tuple[str, int]
"""A file relative to its repository, with `/`, and a line."""


@dataclass(frozen=True, slots=True)
class Label:
    repo: str
    file: str
    line: int
    kind: str
    direct: bool
    blocks: bool
    trivial: bool
    what: str = ""
    entry: str = ""

    @property
    def place(self) -> str:
        return f"{self.repo}  {self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Judged:
    label: Label
    told: bool
    """A tool has said something about this very call."""


def labels_of(text: str) -> list[Label]:
    return [_label(json.loads(line)) for line in text.splitlines() if line.strip()]


def folder_of(repos: Path, repo: str) -> Path:
    """Where a repository is checked out: `owner__name`."""
    return repos / repo.replace("/", "__")


def judged(label: Label, told: Mapping[str, Collection[int]], span: tuple[int, int]) -> Judged:
    """`told` are a tool's lines by file."""
    first, last = span
    return Judged(label, any(first <= line <= last for line in told.get(label.file, ())))


def span_of(folder: Path, label: Label) -> tuple[int, int]:
    """The lines of the call that a label means."""
    return spans(folder / label.file).get(label.line, (label.line, label.line))


@cache
def spans(file: Path) -> Mapping[int, tuple[int, int]]:
    """Of each line on which a call begins, that line and the last one of the longest such call."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found: dict[int, tuple[int, int]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            first, last = node.lineno, node.end_lineno or node.lineno
            found[first] = (first, max(last, found.get(first, (0, 0))[1]))
    return found


@dataclass(frozen=True, slots=True)
class Share:
    found: int
    of: int

    @property
    def percent(self) -> float:
        return 100.0 * self.found / self.of if self.of else 0.0

    def text(self) -> str:
        return f"{self.found}/{self.of}" if self.of else "-"


@dataclass(frozen=True, slots=True)
class Score:
    """Of one tool over all labels. Trivial sites are counted apart: to be silent about them is no miss."""

    blocking: Share
    direct: Share
    indirect: Share
    trivial: Share
    clean: Share
    """Clean look-alikes that were flagged."""
    kinds: tuple[tuple[str, Share], ...]
    misses: tuple[Label, ...]
    flagged: tuple[Label, ...]


def score(results: Iterable[Judged]) -> Score:
    every = list(results)
    serious = [each for each in every if each.label.blocks and not each.label.trivial]
    clean = [each for each in every if not each.label.blocks]
    kinds = sorted({each.label.kind for each in serious})
    return Score(
        blocking=_share(serious),
        direct=_share([each for each in serious if each.label.direct]),
        indirect=_share([each for each in serious if not each.label.direct]),
        trivial=_share([each for each in every if each.label.blocks and each.label.trivial]),
        clean=_share(clean),
        kinds=tuple(
            (kind, _share([each for each in serious if each.label.kind == kind])) for kind in kinds
        ),
        misses=tuple(each.label for each in serious if not each.told),
        flagged=tuple(each.label for each in clean if each.told),
    )


def _share(results: Sequence[Judged]) -> Share:
    return Share(sum(each.told for each in results), len(results))


def _label(data: Mapping[str, object]) -> Label:
    return Label(
        repo=str(data["repo"]),
        file=str(data["file"]),
        line=int(str(data["line"])),
        kind=str(data["kind"]),
        direct=bool(data["direct"]),
        blocks=data["verdict"] == "blocks",
        trivial=data["impact"] == "trivial",
        what=str(data.get("what", "")),
        entry=str(data.get("route_or_entry", "")),
    )
