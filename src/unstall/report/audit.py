"""What source shows, for a terminal: a block for each place that can block, the worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from unstall.model.finding import Cause, Entry, Finding, Severity
from unstall.model.report import Report, Verdict
from unstall.report.blocks import WIDTH, Block, Row, hanging, lines_of, paint, table_of
from unstall.report.chain import chain_of, entries_of, shown
from unstall.report.units import counted, table
from unstall.triage.select import STARTUP, delays_start, fails_run

_MOST_ALSO = 6

HIDDEN = {
    "trivial": "trivial (--show-trivial)",
    "import": "at import, before anything is served (--show-trivial)",
    "possible": "possible (--min-confidence possible)",
    "likely": "likely (--min-confidence likely)",
    "ignored": "ignored or not selected",
    "excluded": "in excluded files",
    "elsewhere": "elsewhere in the project",
    "baseline": "known in the baseline",
    "unchanged": "in code that has not changed",
    "other paths": "on no path that was asked for",
}
"""Why findings are hidden, in the order in which it is said."""


ONE_MEND = frozenset({"US404"})
"""Rules of which all sites are mended in one way: a pool is asked everywhere, and everywhere alike."""


@dataclass(frozen=True, slots=True)
class Group:
    """Findings that one look at one function settles, or one mend; the first is shown in full."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Those of the first come first."""
        return tuple(dict.fromkeys(entry for each in self.findings for entry in each.entries))


def render(
    report: Report,
    *,
    colour: bool = False,
    width: int = WIDTH,
    extra: Sequence[str] = (),
    limit: int | None = None,
) -> str:
    """The whole report without a final newline; `extra` are tables to stand before the summary.

    Of each section at most `limit` blocks or lines are shown, and the others counted.
    """
    urgent, notes, startup = sections(report.findings)
    time_outs = time_outs_of(report)
    parts = [lines_of(Block(headline(report), ()), colour, report.verdict, width)]
    parts += [lines_of(block_of(group, time_outs), colour, width=width) for group in urgent[:limit]]
    if left := _left(urgent, limit, "block"):
        parts.append([paint(left, "bold", colour)])
    for title, groups in (
        ("notes", notes),
        ("start-up: delays readiness, and no request", startup),
    ):
        if groups:
            head = f"{title} ({sum(len(group.findings) for group in groups)})"
            rows = [*map(brief, groups[:limit]), *filter(None, [_left(groups, limit, "line")])]
            parts.append(table_of([head, *hanging(rows, width)], colour))
    parts += [table_of(text.split("\n"), colour) for text in extra]
    if rows_ := summary(report):
        parts.append(lines_of(Block("", rows_), colour, width=width))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _left(groups: Sequence[Group], limit: int | None, shown_as: str) -> str:
    """What a limit leaves out, and how to see it; empty if nothing."""
    left = groups[limit:] if limit is not None else ()
    if not left:
        return ""
    findings = sum(len(group.findings) for group in left)
    return f"{counted(findings, 'finding')} more in {counted(len(left), shown_as)} (--limit 0 shows all)"


# --- what is said ---------------------------------------------------------------------------


def sections(
    findings: Sequence[Finding],
) -> tuple[tuple[Group, ...], tuple[Group, ...], tuple[Group, ...]]:
    """What fails a run, what is advice, and what happens at start-up."""
    startup = [each for each in findings if delays_start(each)]
    urgent = [each for each in findings if fails_run(each)]
    notes = [each for each in findings if not delays_start(each) and not fails_run(each)]
    return groups_of(urgent), groups_of(notes), groups_of(startup)


def groups_of(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """In the order of their first findings."""
    found: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        site = finding.site
        if site is not None and finding.code in ONE_MEND:
            place: tuple[object, ...] = (site.call, sentence(finding), finding.confidence)
        else:
            place = (*_place(finding), finding.entries)
        found.setdefault((finding.code, finding.runs_on, finding.severity, *place), []).append(
            finding
        )
    return tuple(Group(tuple(each)) for each in found.values())


def headline(report: Report) -> str:
    match report.verdict:
        case Verdict.CLEAN:
            said = f"nothing that must be mended was found in {report.target}"
        case Verdict.NOT_ENOUGH_DATA:
            said = f"neither a route nor an async function was found in {report.target}"
        case Verdict.FINDINGS:
            said = f"{counts(report.findings) or 'waivers to correct'} in {report.target}"
    return f"{report.verdict}: {said}"


def counts(findings: Sequence[Finding]) -> str:
    """`12 errors in 6 places, 1 warning, 3 notes, 1 at start-up`; a place is a function."""
    seen = Counter(map(_level, findings))
    places = Counter(level for level, _ in {(_level(each), _place(each)) for each in findings})
    said = []
    for level in (*Severity, STARTUP):
        words = f"{seen[level]} at {STARTUP}" if level == STARTUP else counted(seen[level], level)
        if seen[level]:
            some_share = places[level] < seen[level]
            said.append(words + (f" in {counted(places[level], 'place')}" if some_share else ""))
    return ", ".join(said)


def _place(finding: Finding) -> tuple[object, ...]:
    """The function; what has no site is a place of its own."""
    return (finding.site.file, finding.site.function) if finding.site else (id(finding),)


def _level(finding: Finding) -> str:
    """What it counts as: at start-up it holds up no request, however severe."""
    if delays_start(finding):
        return STARTUP
    return str(finding.severity if fails_run(finding) else Severity.NOTE)


def block_of(group: Group, time_outs: Mapping[str, str]) -> Block:
    finding = group.first
    rows = []
    if finding.site is not None:
        rows.append(Row("chain", shown(chain_of(finding))))
    if len(group.findings) > 1:
        rows.append(Row("also", _also(group)))
    if len(group.entries) > 1 or finding.site is None:
        rows.append(Row("entries", entered(group)))
    if time_out := time_outs.get(finding.fingerprint):
        rows.append(Row("time-out", "none" if time_out == "no time-out" else time_out))
    rows.append(Row("remedy", finding.remedy.summary, "bold"))
    if finding.confidence != "certain":
        rows.append(Row("believed", f"{finding.confidence}, not certain", "dim"))
    head = f"{place_of(finding)}  {finding.code} {finding.title}"
    return Block(head, tuple(row for row in rows if row.text), finding.severity, sentence(finding))


def sentence(finding: Finding) -> str:
    """What happens there: the rule's own words if it has any."""
    for evidence in finding.evidence:
        if evidence.because:
            return evidence.because
    call = finding.site.call if finding.site and finding.site.call else "this"
    doing = "computes" if finding.cause is Cause.CPU else "waits"
    match finding.runs_on:
        case "loop":
            return f"{call} {doing} on the event loop: until it is done, this worker answers nobody"
        case "thread pool":
            return f"{call} {doing} in one of the threads that all plain def routes and dependencies share"
        case "start-up":
            return f"{call} {doing} before the first request is answered"
        case place:
            return f"{call} {doing} ({place})"


def entered(group: Group, most: int = 3) -> str:
    """Its entries in a line, as `entries_of` has them for one finding."""
    return entries_of(replace(group.first, entries=group.entries), most)


def brief(group: Group) -> str:
    """A line for a finding of which the first page should not be full."""
    finding = group.first
    entries = entered(group, most=1)
    there = " there" if len(set(map(_place, group.findings))) == 1 else ""
    more = f", and {len(group.findings) - 1} more{there}" if len(group.findings) > 1 else ""
    own = next((each.because for each in finding.evidence if each.because), None)
    call = finding.site.call if finding.site else ""
    said = f"{place_of(finding)}  {finding.code} {own or call or finding.title}{more}"
    return f"{said}  ({entries})" if entries else said


def place_of(finding: Finding) -> str:
    return f"{finding.site.file}:{finding.site.line}" if finding.site else "the project"


def time_outs_of(report: Report) -> dict[str, str]:
    """What bounds each call, by the finding's fingerprint."""
    return {
        blocking.fingerprint: blocking.time_out
        for path in report.paths
        for step in path.steps
        for blocking in step.blocking
        if blocking.fingerprint and blocking.time_out
    }


def summary(report: Report) -> tuple[Row, ...]:
    """What the report rests on, and what it does not show."""
    said: list[tuple[str, Iterable[str]]] = [
        ("coverage", [_coverage(report.coverage)] if report.coverage else []),
        ("hidden", [hidden(report.hidden)] if any(report.hidden.values()) else []),
        ("waived", [counted(len(report.waived), "finding")] if report.waived else []),
        ("waivers", report.objections),
        ("remarks", report.remarks),
        ("gaps", report.gaps),
    ]
    return tuple(
        Row(label if number == 0 else "", text)
        for label, texts in said
        for number, text in enumerate(texts)
    )


def hidden(counted_by: Mapping[str, int]) -> str:
    known = [key for key in HIDDEN if counted_by.get(key)]
    others = [key for key in counted_by if key not in HIDDEN and counted_by[key]]
    return ", ".join(f"{counted_by[key]} {HIDDEN.get(key, key)}" for key in (*known, *others))


def _coverage(coverage: Mapping[str, int]) -> str:
    words = (("files", "file"), ("entries", "entry"), ("calls", "call"))
    said = [counted(coverage[key], word) for key, word in words if key in coverage]
    if unknown := coverage.get("unknown_calls"):
        said.append(f"{counted(unknown, 'unknown call')} on request paths (--unknown lists them)")
    return ", ".join(said)


def also(group: Group) -> list[str]:
    """Where else it is: what is said of the first is left out."""
    sites = [each.site for each in group.findings if each.site]
    first, *others = sites
    said = []
    for site in sorted(others, key=lambda each: (each.file != first.file, each.file, each.line)):
        where = f"line {site.line}" if site.file == first.file else f"{site.file}:{site.line}"
        same = site.call == first.call and site.function != first.function
        said.append(where if same else f"{where} {site.call}")
    return said


def _also(group: Group) -> str:
    said = also(group)
    site = group.first.site
    inside = f" in {site.function}" if site and len(set(map(_place, group.findings))) == 1 else ""
    left = len(said) - _MOST_ALSO
    more = [f"and {left} more{inside}"] if left > 0 else []
    return ", ".join([*said[:_MOST_ALSO], *more])


# --- tables that are asked for ----------------------------------------------------------------


def statistics(report: Report, unused: Sequence[str] = ()) -> str:
    """Findings by rule, and waivers that waive nothing."""
    found: dict[str, list[Finding]] = {}
    for finding in report.findings:
        found.setdefault(finding.code, []).append(finding)
    rows = [
        (
            f"{code} {each[0].title}",
            str(len(each)),
            *(str(sum(_level(one) == level for one in each)) for level in (*Severity, STARTUP)),
            str(len({entry for one in each for entry in one.entries})),
        )
        for code, each in sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    ]
    heads = ("by rule", "findings", "errors", "warnings", "notes", STARTUP, "entries")
    lines = table(heads, rows)
    return "\n".join([*lines, *(f"  {text}" for text in unused)])


def unknown_calls(report: Report) -> str:
    """Calls on request paths whose target is not known, each with what would settle it."""
    found: dict[str, set[str]] = {}
    for path in report.paths:
        for step in path.steps:
            for call in step.unknown:
                found.setdefault(call, set()).add(path.entry.name)
    if not found:
        return "unknown calls on request paths: none"
    lines = [
        f"  {call}  ({min(entries)}{f' and {len(entries) - 1} more' if len(entries) > 1 else ''})"
        for call, entries in sorted(found.items())
    ]
    return "\n".join([f"unknown calls on request paths ({len(found)})", *lines])
