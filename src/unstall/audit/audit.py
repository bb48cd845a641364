"""The audit: a folder in, a report out. Source alone decides; what import saw makes it exact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unstall.audit import rules
from unstall.audit.imported import Imported
from unstall.audit.judge import entry_of, findings
from unstall.audit.packages import Packages
from unstall.audit.paths import request_paths
from unstall.audit.program import Worked, read, work_out
from unstall.audit.room import room_to_work
from unstall.audit.settled import Settle, settled
from unstall.audit.slips import Slips
from unstall.catalog.table import Table, default
from unstall.model.finding import Confidence, Finding, Severity
from unstall.model.report import Report, Verdict

_CONFIDENCE = list(Confidence)
_IMPACT = ("high", "low", "trivial", None)


def audit(
    root: Path,
    *,
    app: str | None = None,
    imported: Imported | None = None,
    only: frozenset[str] = frozenset(),
    table: Table | None = None,
    settle: Settle | None = None,
    packages: Packages | None = None,
    entrances: Sequence[str] = (),
) -> Report:
    """Everything that can block a loop below `root`; `only`: codes of rules, empty for all.

    Beside source and import: `settle` is asked what calls on request paths call where neither tells;
    `packages` says where the source of installed packages lies, which calls that no row knows are followed
    into; `entrances` are functions that run on a loop although nothing in the source says so.

    Raises UsageError if one of these is not there.
    """
    table = table or default()
    slips = Slips()
    with room_to_work(), slips.kept("", "the project"):
        return _audited(root, app, imported, only, table, settle, packages, entrances)
    nothing = {"entries": 0}
    return Report(
        "audit", app or str(root), Verdict.NOT_ENOUGH_DATA, coverage=nothing, gaps=slips.gaps()
    )


def _audited(
    root: Path,
    app: str | None,
    imported: Imported | None,
    only: frozenset[str],
    table: Table,
    settle: Settle | None,
    packages: Packages | None,
    entrances: Sequence[str],
) -> Report:
    """On its own, so that the trees are gone before somebody looks for garbage again."""
    parsed, unread = read(root, whole=imported is not None or bool(entrances))
    alone = app is not None
    worked = work_out(root, parsed, unread, table, imported, None, packages, entrances, alone=alone)
    if settle is not None and (known := settled(worked, table, settle)):
        worked = work_out(
            root, parsed, unread, table, imported, known, packages, entrances, alone=alone
        )
    return _report(root, app, only, worked, table, imported)


def _report(
    root: Path,
    app: str | None,
    only: frozenset[str],
    worked: Worked,
    table: Table,
    imported: Imported | None,
) -> Report:
    told = rules.beyond(worked, table, imported)
    known = {(each.code, each.site) for each in told}  # more is known of it than of the call alone
    alone = (each for each in blocking(worked) if (each.code, each.site) not in known)
    found = ranked((*alone, *told))
    chosen = tuple(f for f in found if not only or f.code in only)
    shown = any(f.confidence is not Confidence.POSSIBLE for f in chosen)
    paths = request_paths(worked.walk, worked.judged, worked.entrances, chosen)
    return Report(
        tool="audit",
        target=app or str(root),
        verdict=Verdict.FINDINGS if shown else Verdict.CLEAN,
        findings=chosen,
        coverage=coverage(worked),
        gaps=(
            *(f"{each.file} was not analysed: {each.why}" for each in worked.program.unread),
            *worked.gaps,
            *worked.names.project.slips.gaps(),
        ),
        paths=paths,
    )


def blocking(worked: Worked) -> tuple[Finding, ...]:
    """What blocks a loop: US1xx and US2xx."""
    reached = worked.reached, worked.surely
    return findings(worked.walk, worked.judged, worked.entrances, worked.found, *reached)


def ranked(found: Sequence[Finding]) -> tuple[Finding, ...]:
    """The dearest first: start-up last, then by confidence, cost and how many entries it touches."""
    return tuple(sorted(found, key=_rank))


def _rank(finding: Finding) -> tuple[bool, int, int, int, str, int, str]:
    site = finding.site
    return (
        finding.severity is Severity.NOTE,
        _CONFIDENCE.index(finding.confidence),
        _IMPACT.index(finding.impact),
        -len(finding.entries),
        site.file if site else "",
        site.line if site else 0,
        finding.code,
    )


def coverage(worked: Worked) -> dict[str, int]:
    """How much was seen: calls are those of functions that some entrance reaches."""
    unknown = {
        id(outside.seen.node)
        for node, many in worked.judged.unknown.items()
        if node in worked.found
        for outside in many
    }
    return {
        "entries": len({(entry_of(e), e.place) for e in worked.entrances if not e.doubt}),
        "functions": len({node.function for node in worked.found}),
        "calls": worked.judged.calls,
        "unknown_calls": len(unknown),
    }
