"""Reads a project of a few files, for the tests of entrances."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from unstall.audit.entrances import entrances
from unstall.audit.ir import Entrance, Function
from unstall.audit.names import SourceNames, declared
from unstall.audit.project import Project
from unstall.audit.source import Parsed, find, parse_file
from unstall.audit.types import Types
from unstall.catalog.table import default


def write(root: Path, **files: str) -> None:
    """By path without the suffix: `**{"app/main": "…"}`."""
    for name, text in files.items():
        path = root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def read(root: Path) -> tuple[SourceNames, Mapping[str, Function]]:
    parsed = [p for file in find(root) if isinstance(p := parse_file(root, file), Parsed)]
    project = Project(parsed, default())
    types = Types(project)
    return SourceNames(project, types), declared(project, types)


def entrances_of(root: Path, **files: str) -> dict[str, Entrance]:
    """The entrances of a project of these files, by kind and name."""
    write(root, **files)
    names, functions = read(root)
    found = entrances(names, functions)
    for entrance in found:
        assert entrance.function in functions or ":" not in entrance.function
    return {f"{e.kind} {e.name}": e for e in found}


def steps_of(entrance: Entrance) -> list[str]:
    """`dependency get_db in thread pool`, indented by depth."""
    return [
        f"{'  ' * step.depth}{step.kind} {step.function.rpartition(':')[2]} in {step.place}"
        for step in entrance.steps
    ]
