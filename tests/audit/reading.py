"""Small projects as text, and what the engine makes of them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from unstall.audit.audit import blocking
from unstall.audit.names import SourceNames
from unstall.audit.program import Worked, work_out
from unstall.audit.project import Project
from unstall.audit.room import room_to_work
from unstall.audit.source import Parsed, is_test_file, parse
from unstall.audit.types import Types
from unstall.catalog.table import default
from unstall.model.finding import Confidence, Finding

HEAD = """
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI
app = FastAPI()
"""


def parsed(files: Mapping[str, str]) -> list[Parsed]:
    found = []
    for file, text in files.items():
        tree = parse(dedent(text).encode())
        assert isinstance(tree, ast.Module), tree
        found.append(Parsed(file, tree, is_test_file(file), text.count("\n")))
    return found


def names_in(files: Mapping[str, str]) -> SourceNames:
    project = Project(parsed(files), default())
    return SourceNames(project, Types(project))


def expression(text: str) -> ast.expr:
    """As it would stand at the end of a module."""
    node = ast.parse(text, mode="eval").body
    for each in ast.walk(node):
        if isinstance(each, ast.expr):
            each.lineno = each.end_lineno = 100_000
    return node


def types_at_end(source: str, text: str, **others: str) -> tuple[str, ...]:
    """Classes of an expression at the end of a module."""
    files = {"app.py": source} | {f"{name}.py": text_ for name, text_ in others.items()}
    with room_to_work():
        return names_in(files).types_of("app", "", expression(text))


def name_at_end(source: str, text: str, **others: str) -> tuple[str, ...]:
    files = {"app.py": source} | {f"{name}.py": text_ for name, text_ in others.items()}
    return names_in(files).name_of("app", "", expression(text))


def worked(files: Mapping[str, str]) -> Worked:
    return work_out(Path(), parsed(files), [], default())


def found(source: str, **others: str) -> list[Finding]:
    """What blocks in a service; `source` begins with FastAPI's imports and `app`."""
    files = {"app.py": HEAD + dedent(source)} | {f"{n}.py": t for n, t in others.items()}
    done = worked(files)
    told = list(blocking(done))
    assert done.names.project.slips.gaps() == (), "a mistake of the audit's own"
    return told


def confidences(source: str, **others: str) -> dict[str, Confidence]:
    """Of all that costs anything on a loop, by `function call`: also what is only possible."""
    return {
        f"{each.site.function} {each.site.call}": each.confidence
        for each in found(source, **others)
        if each.site and each.impact != "trivial" and each.runs_on == "loop"
    }


def sites(source: str, **others: str) -> list[str]:
    """`function call` of what is shown by default on a loop, sorted."""
    return sorted(
        f"{each.site.function} {each.site.call}"
        for each in found(source, **others)
        if each.site and each.confidence is not Confidence.POSSIBLE and each.impact != "trivial"
        if each.runs_on == "loop"
    )
