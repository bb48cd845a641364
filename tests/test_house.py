"""What holds the house together: metadata, locks, targets and unfinished work."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from unstall.version import VERSION

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

PINNED = re.compile(r"([a-z0-9-]+)(\[[a-z0-9,-]+\])?==[\w.+!]+( ; [^/@]+)?")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b")
STUB = re.compile(r"\braise NotImplementedError\b")
A_HOME = re.compile(r"(?<![\w.~)}-])/(?:home|root|Users|work)/\w")
A_REGISTRY = re.compile(
    r"py" r"pi\.org|python" r"hosted|index" r"-url|arti" r"factory|jf" r"rog", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?<![\w.~)}])/(?:home|opt|root|srv|tmp|Users|work)/")


def test_the_version_is_the_same_wherever_it_is_written() -> None:
    assert PYPROJECT["project"]["version"] == VERSION == metadata.version("unstall")


def test_the_core_depends_on_nothing() -> None:
    assert PYPROJECT["project"]["dependencies"] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_holds_exact_versions_and_no_addresses(lock: Path) -> None:
    lines = [line.split("#")[0].rstrip() for line in lock.read_text().splitlines()]
    assert [line for line in lines if line and not PINNED.fullmatch(line)] == []
    assert "://" not in lock.read_text()


def test_the_demo_lock_is_a_part_of_the_dev_lock() -> None:
    assert _pins("demo") <= _pins("dev")


def test_every_declared_requirement_is_locked() -> None:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    declared = [*project["optional-dependencies"].values(), *groups.values()]
    names = {_name(entry) for entries in declared for entry in entries if isinstance(entry, str)}
    assert names <= {pin.split("==")[0] for pin in _pins("dev")}


def test_the_makefile_names_no_address_and_no_machine() -> None:
    text = (ROOT / "Makefile").read_text()
    assert "://" not in text
    assert not MACHINE_PATH.search(text)


def test_no_file_names_somebodys_folder_or_a_registry() -> None:
    told = {path: path.read_text(errors="replace") for path in _kept()}
    assert len(told) > 100
    assert [str(path) for path, text in told.items() if A_HOME.search(text)] == []
    assert [str(path) for path, text in told.items() if A_REGISTRY.search(text)] == []


def test_somebodys_folder_is_known_when_it_is_seen() -> None:
    for text in ("cd %shome/eve/app", "'%sroot/x'", "--out=%sUsers/eve", "%swork/main/x"):
        assert A_HOME.search(text.replace("%s", "/"))
    for text in ("~/home/x", "src/work/x", "GET /homes/1", "/home", "a/root/b"):
        assert not A_HOME.search(text)


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.MULTILINE)) - {"venv"}
    apart = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, env=apart, capture_output=True, text=True, check=True
    )
    assert {line.split()[0] for line in shown.stdout.splitlines()[1:]} == targets


def test_nothing_is_left_unfinished() -> None:
    assert [str(path) for path in _sources() if UNFINISHED.search(path.read_text())] == []
    no_tests = (
        path for path in _sources() if "tests" not in path.parts
    )  # these hold programs as text
    assert [str(path) for path in no_tests if STUB.search(path.read_text())] == []


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9-]", requirement)[0].lower()


def _pins(lock: str) -> set[str]:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return set(re.findall(r"^[a-z0-9-]+==[^ \n]+", text, re.MULTILINE))


def _kept() -> Iterator[Path]:
    """Every file that is or would be committed."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    yield from (ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file())


def _sources() -> Iterator[Path]:
    for folder in ("src", "tests", "reference", "benchmarks"):
        yield from (ROOT / folder).rglob("*.py")
