"""`# unstall: ignore[US103] reason until=2027-01-31`: findings that somebody answers for.

A waiver stands on a line of the finding's statement, alone on the line above it, or at the head of a
function around it. Without a reason it waives nothing.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from unstall.model.finding import Finding, Site
from unstall.model.report import Report, Waived
from unstall.triage.select import unknown_code
from unstall.triage.spans import Read, Spans, spans_by_file

MARK = "unstall:"
_WAIVER = re.compile(r"#\s*unstall:\s*ignore\b(?:\s*\[(?P<codes>[^\]]*)\])?(?P<rest>[^#]*)")
_UNTIL = re.compile(r"\buntil\s*=\s*(\S*)")
_FORM = "# unstall: ignore[US103] why it may stay"
_SpansOf = Callable[[str], Spans]


@dataclass(frozen=True, slots=True)
class Waiver:
    file: str
    line: int
    codes: tuple[str, ...]
    reason: str
    until: date | None = None
    alone: bool = False
    """Nothing but the comment stands on the line: it speaks for the line below."""

    def holds(self, today: date) -> bool:
        return self.until is None or today <= self.until


@dataclass(frozen=True, slots=True)
class Waivers:
    """All of a project."""

    waivers: tuple[Waiver, ...] = ()
    objections: tuple[str, ...] = ()
    """What is wrong with those that waive nothing, each as a sentence."""


def waivers_in(files: Iterable[str], read: Read, known: Iterable[str]) -> Waivers:
    """`known` are the codes of rules."""
    waivers: list[Waiver] = []
    objections: list[str] = []
    codes = frozenset(known)
    for file in files:
        text = read(file)
        if text is None or MARK not in text:
            continue
        for line, comment, alone in _comments(text):
            for found in _WAIVER.finditer(comment):
                waiver, wrong = _waiver(file, line, found, alone, codes)
                if wrong:
                    objections.append(f"{file}:{line}: {wrong}")
                else:
                    waivers.append(waiver)
    return Waivers(tuple(waivers), tuple(objections))


def waived(
    report: Report, by: Waivers, read: Read, today: date
) -> tuple[Report, tuple[Waiver, ...]]:
    """The report without what is waived, and the waivers that nothing needed."""
    spans = spans_by_file(read)
    used: set[Waiver] = set()
    expired: dict[Waiver, None] = {}
    kept: list[Finding] = []
    given: list[Waived] = []
    for finding in report.findings:
        found = [each for each in by.waivers if _speaks_for(each, finding, spans)]
        used.update(found)
        holding = next((each for each in found if each.holds(today)), None)
        if holding is None:
            kept.append(finding)
            expired.update(dict.fromkeys(found))
            continue
        until = holding.until.isoformat() if holding.until else None
        given.append(Waived(finding, holding.reason, holding.file, holding.line, until))
    changed = replace(
        report,
        findings=tuple(kept),
        waived=(*report.waived, *given),
        objections=(*report.objections, *by.objections),
        remarks=(*report.remarks, *map(_ended, expired)),
    )
    return changed, tuple(each for each in by.waivers if each not in used)


def unused(waiver: Waiver) -> str:
    return f"{waiver.file}:{waiver.line}: the waiver of {', '.join(waiver.codes)} waives nothing: remove it"


def _ended(waiver: Waiver) -> str:
    return (
        f"{waiver.file}:{waiver.line}: the waiver of {', '.join(waiver.codes)} ended on {waiver.until}: "
        "mend what it waived, or give it a later day"
    )


def _speaks_for(waiver: Waiver, finding: Finding, spans: _SpansOf) -> bool:
    site = finding.site
    if site is None or site.file != waiver.file or finding.code not in waiver.codes:
        return False
    return any(
        first <= waiver.line <= last or (waiver.alone and waiver.line == first - 1)
        for first, last in _heard(site, spans(site.file))
    )


def _heard(site: Site, spans: Spans) -> Iterator[tuple[int, int]]:
    """The lines on which a waiver may stand for the site."""
    statement = spans.statement(site.line)
    yield statement.first, statement.last
    yield (
        site.line,
        site.line,
    )  # inside a statement of many lines, the line above the call will do, too
    for function in spans.around(site.line):
        yield function.head.first, function.head.last


def _waiver(
    file: str, line: int, found: re.Match[str], alone: bool, known: frozenset[str]
) -> tuple[Waiver, str]:
    """The waiver, and what is wrong with it: empty if nothing is."""
    codes = tuple(
        each.strip().upper() for each in (found["codes"] or "").split(",") if each.strip()
    )
    rest = found["rest"]
    day = _UNTIL.search(rest)
    until, wrong = _day(day[1]) if day else (None, "")
    reason = " ".join(_UNTIL.sub(" ", rest).split()).strip("-:; ")
    waiver = Waiver(file, line, codes, reason, until, alone)
    strange = next((code for code in codes if code not in known), None)
    if not codes:
        return waiver, f"a waiver names its rules: write {_FORM}"
    if strange is not None:
        return waiver, f"a waiver names {unknown_code(strange)}"
    if wrong:
        return waiver, wrong
    if not any(char.isalnum() for char in reason):
        return waiver, f"a waiver needs a reason, and waives nothing without one: write {_FORM}"
    return waiver, ""


def _day(text: str) -> tuple[date | None, str]:
    try:
        return date.fromisoformat(text), ""
    except ValueError:
        return None, f"until={text} is no day: write until=2027-01-31"


def _comments(text: str) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it stands alone, of each comment; what cannot be read ends them."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                alone = not token.line[: token.start[1]].strip()
                yield token.start[0], token.string, alone
    except (tokenize.TokenError, SyntaxError):
        return
