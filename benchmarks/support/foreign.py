"""Test suites of other projects: brought from the package index, and run in environments of their own.

A suite runs as its project runs it, with its configuration. What watches it comes by `PYTHONPATH`, so the
environment is the same in all runs.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tarfile
import time
import venv
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.machine import ROOT
from benchmarks.support.processes import environment

LIMIT_S = 900.0
PEER = "blockbuster"
_PLUGIN = "unstall.integrations.pytest_plugin"


@dataclass(frozen=True, slots=True)
class Suite:
    package: str
    version: str
    needs: tuple[str, ...]
    """What its tests import, beside the package."""
    arguments: tuple[str, ...] = ()
    """For pytest: which tests run, and which cannot here."""
    left_out: str = ""
    """What the arguments leave out, and why."""
    plugins: tuple[str, ...] = ()
    brings_peer: bool = False
    """Its own tests run under blockbuster where that is installed, with exceptions of their own."""

    @property
    def name(self) -> str:
        return f"{self.package}-{self.version}"


@dataclass(frozen=True, slots=True)
class Home:
    """Where a suite lives."""

    folder: Path
    python: Path
    peer: Path
    """A folder with blockbuster and nothing else."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a suite."""

    way: str
    outcomes: Mapping[str, str]
    """Test to passed, failed, error or skipped."""
    wall_s: float
    cpu_s: float
    """Of the run and its children."""
    findings: tuple[Mapping[str, Any], ...] = ()
    gaps: tuple[str, ...] = ()
    trouble: str = ""
    said: str = field(default="", compare=False)


# --- how it gets here -------------------------------------------------------------------------------


def housed(suite: Suite, cache: Path) -> Home:
    """Downloaded, unpacked and installed once. Raises RuntimeError with the complaint of pip."""
    place = cache / f"{suite.name}-py{sys.version_info.major}.{sys.version_info.minor}"
    home = Home(place / "sources", place / "environment" / "bin" / "python", place / "peer")
    if (place / "complete").exists():
        return home
    place.mkdir(parents=True, exist_ok=True)
    _unpack(_sdist(suite, place), home.folder)
    venv.create(place / "environment", clear=True, with_pip=True)
    _pip(home.python, "install", str(home.folder), *suite.needs)
    _pip(home.python, "install", "--target", str(home.peer), PEER)
    (place / "complete").touch()
    return home


def _sdist(suite: Suite, place: Path) -> Path:
    wanted = f"{suite.package}=={suite.version}"
    python = Path(sys.executable)
    _pip(python, "download", "--no-deps", "--no-binary", suite.package, "-d", str(place), wanted)
    return next(place.glob("*.tar.gz"))


def _unpack(archive: Path, folder: Path) -> None:
    """Without the folder that all of an sdist is in."""
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
        for member in members:
            member.name = member.name.partition("/")[2]
        tar.extractall(folder, [each for each in members if each.name], filter="data")


def _pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments, "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"pip {' '.join(arguments[:1])} failed: {done.stderr.strip()[-1500:]}")


# --- how it runs ------------------------------------------------------------------------------------


def ran(suite: Suite, home: Home, way: str, folder: Path) -> Ran:
    """`way` is plain, unstall or blockbuster; `folder` is for what the run leaves behind."""
    results, report = folder / "results.xml", folder / "report.json"
    command = [
        str(home.python), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={results}",
        *(word for each in suite.plugins for word in ("-p", each)),
        *_watcher(suite, way, folder, report), *suite.arguments,
    ]  # fmt: skip
    began, before = time.monotonic(), _children_cpu_s()
    try:
        done = subprocess.run(
            command, cwd=home.folder, env=_environment(suite, home, way), capture_output=True,
            text=True, errors="replace", check=False, timeout=LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ran(way, {}, LIMIT_S, 0.0, trouble=f"did not end in {LIMIT_S:.0f} s")
    wall, cpu = time.monotonic() - began, _children_cpu_s() - before
    if not results.exists():
        return Ran(way, {}, wall, cpu, trouble=(done.stderr or done.stdout).strip()[-1500:])
    found = json.loads(report.read_text()) if report.exists() else {"findings": [], "gaps": []}
    if way == "unstall" and not report.exists():
        return Ran(way, {}, wall, cpu, trouble=f"it wrote no report: {done.stdout[-1500:]}")
    return Ran(
        way, outcomes_of(results.read_text(encoding="utf-8")), wall, cpu,
        tuple(found["findings"]), tuple(found["gaps"]), said=done.stdout,
    )  # fmt: skip


def _watcher(suite: Suite, way: str, folder: Path, report: Path) -> Sequence[str]:
    """An update of the baseline fails no test, so that what else changes is seen."""
    if way == "unstall":
        known = ("--unstall-baseline", str(folder / "known.json"), "--unstall-update-baseline")
        return ("-p", _PLUGIN, "--unstall", "--unstall-json", str(report), *known)
    if way == PEER and not suite.brings_peer:
        return ("-p", "benchmarks.support.blockbusting")
    return ()


def _environment(suite: Suite, home: Home, way: str) -> dict[str, str]:
    given = {"plain": [], "unstall": [ROOT / "src"], PEER: [home.peer, ROOT]}[way]
    paths = os.pathsep.join(str(each) for each in given)
    return {**environment(), "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def outcomes_of(xml: str) -> dict[str, str]:
    """From a JUnit report. Tests of one name are numbered."""
    found: dict[str, str] = {}
    for case in ET.fromstring(xml).iter("testcase"):
        test = f"{case.get('classname')}::{case.get('name')}"
        while test in found:
            test += "'"
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[test] = "+".join(sorted(kinds)) or "passed"
    return found
