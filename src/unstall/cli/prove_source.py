"""What the audit knows of the app that a plan starts, for `unstall prove`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from unstall.cli.reading import read_project
from unstall.cli.target import target_of
from unstall.errors import UnstallError
from unstall.model.finding import Confidence, Finding
from unstall.model.plan import Plan
from unstall.prove.ground import folder_of

_ROUTES = ("route", "websocket")
_APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(?:\(\))?")


@dataclass(frozen=True, slots=True)
class Source:
    findings: tuple[Finding, ...] = ()
    routes: tuple[str, ...] = ()
    """`GET /users/{id}`"""
    root: Path | None = None
    gaps: tuple[str, ...] = ()


def source_of(plan: Plan, say: Callable[[str], None]) -> Source:
    """What the audit finds in the app that the plan starts; where it cannot be read, a gap says so."""
    app = app_in(plan.app.command)
    if app is None:
        return Source(gaps=("the command names no package.module:app, so no source was read",))
    try:
        target = target_of(app, folder_of(plan))
        say(f"== reading the source of {app}")
        report = read_project(target)
    except UnstallError as error:
        return Source(gaps=(f"the source was not read: {error}",))
    return Source(
        findings=tuple(filter(_may_hang, report.findings)),
        routes=tuple(path.entry.name for path in report.paths if path.entry.kind in _ROUTES),
        root=target.root,
    )


def installed_in(plan: Plan) -> Path | None:
    """The folder of an app that was installed as a package: its lines are to blame, not its libraries'."""
    name = (app_in(plan.app.command) or "").partition(":")[0].partition(".")[0]
    try:
        spec = find_spec(name) if name else None
    except (ImportError, ValueError):
        return None
    places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return next((place for place in places if "site-packages" in place.parts), None)


def app_in(command: str) -> str | None:
    """`package.module:app`, as servers are told it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return next((word for word in words if _APP.fullmatch(word)), None)


def _may_hang(finding: Finding) -> bool:
    """Waits on the loop that are worth a person's time."""
    return (
        finding.code.startswith("US1")
        and finding.runs_on == "loop"
        and finding.confidence is not Confidence.POSSIBLE
        and finding.impact != "trivial"
    )
