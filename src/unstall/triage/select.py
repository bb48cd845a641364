"""Which findings are shown, and in which order. What is hidden is counted by why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from unstall.errors import UsageError
from unstall.model.finding import Confidence, Finding, Severity
from unstall.model.path import Blocking, RequestPath
from unstall.model.report import Report, Verdict
from unstall.rules import RULES

_CONFIDENCE = {Confidence.CERTAIN: 2, Confidence.LIKELY: 1, Confidence.POSSIBLE: 0}
_SEVERITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
STARTUP = "start-up"

# What freezes everybody weighs more than what holds one of many threads, and both more than a slow start.
_PLACE = {"loop": 100, "unknown": 30, "thread pool": 20, "executor": 10, "process": 5}
_ELSEWHERE = 1
_COST = {"high": 100, "low": 10, "trivial": 1}
_COST_UNKNOWN = 10


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns match paths relative to the root, with `/`."""

    select: tuple[str, ...] = ()
    """Codes, or their beginnings; empty: all."""
    ignore: tuple[str, ...] = ()
    min_confidence: Confidence = Confidence.LIKELY
    trivial: bool = False
    """Whether single microsecond calls are shown, and at start-up milliseconds and what import does."""
    below: tuple[str, ...] = ()
    """Only sites in these files and folders; empty: all."""
    exclude: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()


def selected(report: Report, by: Selection) -> Report:
    """Only what was asked for, the worst first; the rest is counted in `hidden`."""
    kept: list[Finding] = []
    hidden: Counter[str] = Counter(report.hidden)
    for finding in report.findings:
        why = hidden_by(finding, by)
        if why is None:
            kept.append(finding)
        else:
            hidden[why] += 1
    return judged(replace(report, findings=ranked(kept), hidden=dict(hidden)))


def hidden_by(finding: Finding, by: Selection) -> str | None:
    """Why it is not shown: the broadest reason first; None if it is."""
    file = finding.site.file if finding.site else ""
    if (why := why_not(file, by)) is not None:
        return why
    ignored = [*by.ignore]
    for pattern, codes in by.per_file_ignores:
        if matches(file, pattern):
            ignored += codes
    if not _takes(finding.code, by.select, ignored):
        return "ignored"
    if _CONFIDENCE[finding.confidence] < _CONFIDENCE[by.min_confidence]:
        return str(finding.confidence)
    if by.trivial:
        return None
    return "trivial" if _is_trivial(finding) else "import" if _is_import(finding) else None


def _is_trivial(finding: Finding) -> bool:
    """Microseconds once; before the first request milliseconds, too, for nobody waits for them."""
    return finding.impact == "trivial" or (delays_start(finding) and finding.impact == "low")


def _is_import(finding: Finding) -> bool:
    """No loop serves anybody when an app is imported or made: nothing is blocked but the start."""
    return delays_start(finding) and {each.kind for each in finding.entries} == {"import"}


def is_asked(file: str, by: Selection) -> bool:
    """Whether findings in it could be shown."""
    return why_not(file, by) is None


def why_not(file: str, by: Selection) -> str | None:
    if by.below and not any(matches(file, pattern) for pattern in by.below):
        return "elsewhere"
    return "excluded" if any(matches(file, pattern) for pattern in by.exclude) else None


def judged(report: Report) -> Report:
    """With the verdict that what is left deserves: where nothing is entered, nothing can be said."""
    if report.objections or any(fails_run(finding) for finding in report.findings):
        verdict = Verdict.FINDINGS
    elif report.coverage.get("entries") == 0:
        verdict = Verdict.NOT_ENOUGH_DATA
    else:
        verdict = Verdict.CLEAN
    return replace(report, verdict=verdict)


def fails_run(finding: Finding) -> bool:
    """Notes are advice, and a slow start holds up no request."""
    return finding.severity is not Severity.NOTE and finding.runs_on != STARTUP


def delays_start(finding: Finding) -> bool:
    """It blocks at start-up. A client or pool without limits is made there, and hurts who uses it later."""
    return finding.runs_on == STARTUP and finding.code.startswith(("US1", "US2"))


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By severity, then by impact: what it costs, times the entries, times where it runs."""
    return tuple(sorted(findings, key=_rank))


def weight(finding: Finding) -> int:
    cost = _COST.get(finding.impact or "", _COST_UNKNOWN)
    return cost * max(1, len(finding.entries)) * _PLACE.get(finding.runs_on, _ELSEWHERE)


def _rank(finding: Finding) -> tuple[object, ...]:
    site = finding.site
    return (
        finding.runs_on == STARTUP,
        _SEVERITY[finding.severity],
        -weight(finding),
        -_CONFIDENCE[finding.confidence],
        (site.file, site.line, site.call) if site else ("", 0, ""),
        finding.code,
    )


def lies_on(finding: Finding, path: RequestPath) -> bool:
    """Whether a request on the path comes to it: a blocking call, or what else a rule says of its steps."""
    marks = {each.fingerprint for step in path.steps for each in step.blocking}
    functions = {step.function for step in path.steps}
    return finding.fingerprint in marks or any(
        entry == path.entry or entry.function in functions for entry in finding.entries
    )


def worth_showing(path: RequestPath, by: Selection, shown: Collection[str]) -> RequestPath:
    """The path with those calls alone that are believed enough and dear enough.

    `shown` are fingerprints: what is a finding is part of its path, too.
    """

    def keeps(call: Blocking) -> bool:
        if _CONFIDENCE[call.confidence] < _CONFIDENCE[by.min_confidence]:
            return False
        return call.fingerprint in shown or call.cost != "us" or by.trivial

    steps = tuple(
        replace(step, blocking=tuple(filter(keeps, step.blocking))) for step in path.steps
    )
    return replace(path, steps=steps)


def matches(path: str, pattern: str) -> bool:
    """A file, a folder and all below it, or a name anywhere if there is no `/` in the pattern."""
    pattern = pattern.removeprefix("./").rstrip("/")
    if pattern in ("", "."):
        return True
    if fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}/*"):
        return True
    return "/" not in pattern and any(fnmatchcase(part, pattern) for part in path.split("/"))


def codes_of(given: Sequence[str], where: str) -> tuple[str, ...]:
    """Selectors as they are compared; raises UsageError for one that no rule begins with."""
    return tuple(_code(each.strip().upper(), where) for each in given if each.strip())


def unknown_code(code: str) -> str:
    """Half a sentence about a code that no rule has."""
    codes = [rule.code for rule in RULES]
    family = [each for each in codes if each.startswith(code[:3])]
    near = get_close_matches(code, family or codes, n=1)
    advice = f"did you mean {near[0]}?" if near else "unstall rules lists what there is"
    return f"{code!r}, and no rule's code begins so; {advice}"


def _code(code: str, where: str) -> str:
    if code == "ALL":
        return "US"
    if not any(rule.code.startswith(code) for rule in RULES):
        raise UsageError(f"{where} names {unknown_code(code)}")
    return code


def _takes(code: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    """The longer selector wins, so that `--ignore US1 --select US103` shows US103."""
    chosen = max(_fitting(code, select or ("",)), default=-1)
    return chosen > max(_fitting(code, ignore), default=-1)


def _fitting(code: str, selectors: Sequence[str]) -> Iterator[int]:
    return (len(each) for each in selectors if code.startswith(each))
