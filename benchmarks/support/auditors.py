"""The tools that read source, each called as its own help says, and the lines that it names.

Peers live in environments of their own below a cache folder. One that cannot be had is said, not skipped
in silence. Where a peer prints the way to a call, the call's own line counts, in its favour.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
import venv
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support.labels import Place
from benchmarks.support.processes import environment

LIMIT_S = 600.0
_BATCH = 400
_FREEZES = ("US1", "US2")
_HELD = ("loop", "start-up")
"""Places whose findings say that a loop is held up; a site that only holds a thread is no such claim."""
_TEST = re.compile(
    r"(^|/)(tests?|scripts?|examples?|docs?|benchmarks?)/|(^|/)(test_[^/]*|conftest|setup)\.py$"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tool said about one repository."""

    places: tuple[Place, ...] = ()
    """Where it says that a loop is blocked; also the links of chains that it prints to them."""
    findings: int = 0
    """All that it shows outside of tests, scripts, examples and documentation."""
    certain: frozenset[Place] = frozenset()
    took_s: float = 0.0
    trouble: str = ""
    """Why there is nothing to score."""

    def by_file(self) -> Mapping[str, Collection[int]]:
        found: dict[str, set[int]] = {}
        for file, line in self.places:
            found.setdefault(file, set()).add(line)
        return found


Said = Callable[[Path, str], Reading]
"""From a repository's folder and what a tool has written."""


@dataclass(frozen=True, slots=True)
class Auditor:
    name: str
    package: str
    """On the package index; empty: it runs in this environment."""
    command: Callable[[Path, Path], Iterable[Sequence[str]]]
    """From the folder of its programs and the repository: one or several runs."""
    said: Said
    slow: bool = False
    """Left out of a quick run."""
    codes: tuple[int, ...] = field(default=(0, 1))
    """Exit codes of a run that went well."""


def installed(auditor: Auditor, cache: Path) -> Path | None:
    """The folder of its programs; None if it cannot be installed here."""
    if not auditor.package:
        return Path(sys.executable).parent
    folder = cache / auditor.package
    programs = folder / "bin"
    if (folder / "complete").exists():
        return programs
    venv.create(folder, clear=True, with_pip=True)
    command = [str(programs / "python"), "-m", "pip", "install", "-q", auditor.package]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        return None
    (folder / "complete").touch()
    return programs


def reading(auditor: Auditor, programs: Path, repository: Path) -> Reading:
    """One tool over one repository, timed from the outside."""
    began = time.monotonic()
    texts: list[str] = []
    complaints = ""
    for command in auditor.command(programs, repository):
        left = LIMIT_S - (time.monotonic() - began)
        try:
            done = subprocess.run(
                command, cwd=repository, env=environment(), capture_output=True, text=True,
                errors="replace", check=False, timeout=max(1.0, left),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Reading(took_s=LIMIT_S, trouble=f"gave no answer in {LIMIT_S:.0f} s")
        if done.returncode not in auditor.codes:
            said = _last_line(done.stderr) or _last_line(done.stdout) or "it said nothing"
            return Reading(trouble=f"ended with {done.returncode}: {said}")
        texts.append(done.stdout)
        complaints += done.stderr
    took = time.monotonic() - began
    try:
        read = auditor.said(repository, "\n".join(texts))
    except (ValueError, KeyError, TypeError) as error:
        return Reading(trouble=_last_line(complaints) or f"said what is not understood: {error}")
    return Reading(read.places, read.findings, read.certain, took, read.trouble)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:160]


def sources(repository: Path) -> Iterator[Path]:
    """Python files outside of hidden folders and environments."""
    skipped = {"node_modules", "site-packages", "venv", "__pycache__"}
    for file in sorted(repository.rglob("*.py")):
        parts = file.relative_to(repository).parts
        if not skipped.intersection(parts) and not any(part.startswith(".") for part in parts):
            yield file


def lines_in(repository: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in sources(repository) if file.is_file())


def is_shown(file: str) -> bool:
    """Not a test, a script, an example or documentation."""
    return not _TEST.search(file)


# --- unstall ---------------------------------------------------------------------------------------


def _unstall(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    yield [
        str(programs / "python"), "-m", "unstall", "audit", str(repository), "--no-import", "--no-cache",
        "--format", "json",
    ]  # fmt: skip


def _of_unstall(repository: Path, text: str) -> Reading:
    shown = json.loads(text)["findings"]
    frozen = [
        each
        for each in shown
        if each["code"].startswith(_FREEZES) and each["runs_on"] in _HELD and each["site"]
    ]
    places = [(each["site"]["file"], each["site"]["line"], each["confidence"]) for each in frozen]
    failing = [
        each for each in shown if each["severity"] != "note" and each["runs_on"] != "start-up"
    ]
    return Reading(
        tuple((file, line) for file, line, _ in places),
        len(failing),
        frozenset((file, line) for file, line, sure in places if sure == "certain"),
    )


# --- peers -----------------------------------------------------------------------------------------


def _ruff(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    yield [
        str(programs / "ruff"), "check", "--isolated", "--no-cache", "--preview", "--select", "ASYNC2",
        "--output-format", "json", str(repository),
    ]  # fmt: skip


def _of_ruff(repository: Path, text: str) -> Reading:
    found = [
        (_relative(repository, each["filename"]), each["location"]["row"])
        for each in json.loads(text)
        if str(each["code"]).startswith("ASYNC2")
    ]
    return _reading(found)


def _flake8(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    """It stops at what this Python cannot parse, so only what it can is given to it."""
    files = [str(file) for file in sources(repository) if _parses(file)]
    for at in range(0, len(files), _BATCH):
        options = ["--enable", "ASYNC2", "--asyncio"]
        yield [str(programs / "flake8-async"), *options, *files[at : at + _BATCH]]


def _of_flake8(repository: Path, text: str) -> Reading:
    found = re.findall(r"^(.+?):(\d+):\d+: ASYNC2\d\d ", text, re.MULTILINE)
    return _reading((_relative(repository, file), int(line)) for file, line in found)


def _hydroid(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    yield [
        str(programs / "hydroid"), str(repository), "--cpu", "--no-cache", "--python", sys.prefix,
        "--format", "json",
    ]  # fmt: skip


def _of_hydroid(repository: Path, text: str) -> Reading:
    found = json.loads(text)["diagnostics"]
    links = [link["location"] for each in found for link in each["chain"][-1:]]
    own = [each["location"] for each in found if not each["chain"]]
    places = tuple((_relative(repository, at["path"]), int(at["line"])) for at in (*links, *own))
    shown = sum(is_shown(_relative(repository, each["location"]["path"])) for each in found)
    return Reading(places, shown)


def _ty_async(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    yield [
        str(programs / "ty-async"),
        str(repository),
        "--async200-stdlib",
        "--async200-transitive",
    ]


def _of_ty_async(repository: Path, text: str) -> Reading:
    found = re.findall(r"^(.+?):(\d+):\d+: ASYNC200\w* (.*)$", text, re.MULTILINE)
    own = [(_relative(repository, file), int(line)) for file, line, _ in found]
    sinks = [
        (_relative(repository, file), int(line))
        for _, _, said in found
        for file, line in re.findall(r"\(([^()\s]+\.py):(\d+):\d+\)", said)
    ]
    return Reading((*own, *sinks), sum(is_shown(file) for file, _ in own))


def _evloop(programs: Path, repository: Path) -> Iterator[Sequence[str]]:
    yield [str(programs / "evloop-lint"), str(repository), "--format", "json"]


def _of_evloop(repository: Path, text: str) -> Reading:
    """Whatever it calls a place has a path and a line."""
    found: list[Place] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            path, line = value.get("path") or value.get("file"), value.get("line")
            if isinstance(path, str) and isinstance(line, int):
                found.append((_relative(repository, path), line))
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(json.loads(text))
    return _reading(found)


def _reading(found: Iterable[Place]) -> Reading:
    places = tuple(found)
    return Reading(places, sum(is_shown(file) for file, _ in places))


def _relative(repository: Path, file: str) -> str:
    full = (repository / file).resolve()
    root = repository.resolve()
    return full.relative_to(root).as_posix() if full.is_relative_to(root) else file


def _parses(file: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return False
    return True


AUDITORS: tuple[Auditor, ...] = (
    Auditor("unstall", "", _unstall, _of_unstall, codes=(0, 1, 3)),
    Auditor("ruff ASYNC", "", _ruff, _of_ruff),
    Auditor("hydroid --cpu", "hydroid-cli", _hydroid, _of_hydroid),
    Auditor("ty-async", "ty-async", _ty_async, _of_ty_async),
    Auditor("evloop-lint", "evloop-lint", _evloop, _of_evloop),
    Auditor("flake8-async", "flake8-async", _flake8, _of_flake8, slow=True),
)
BY_NAME = {auditor.name: auditor for auditor in AUDITORS}
