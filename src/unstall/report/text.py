"""A report for a terminal: the verdict, one block for each finding, and what was and was not seen."""

from __future__ import annotations

from collections.abc import Sequence

from unstall.model.finding import Cause, Entry, Evidence, Finding, Hop, Site, Stall
from unstall.model.histogram import Histogram
from unstall.model.report import Report, Verdict
from unstall.report.blocks import Block, Row, lines_of, table_of
from unstall.report.costs import entries_table, path_line, path_table, thread_lines
from unstall.report.units import counted, milliseconds

_MOST_SLOW = 3


def render(report: Report, *, colour: bool = False) -> str:
    """The whole report, in the order it has, without a final newline."""
    parts = [lines_of(verdict_of(report), colour, report.verdict)]
    parts += [lines_of(block_of(finding), colour) for finding in report.findings]
    parts += [table_of(lines, colour) for lines in tables_of(report)]
    parts.append(lines_of(Block("", summary_of(report)), colour))
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def culprit(finding: Finding, *, colour: bool = False) -> str:
    """The block of one finding, without a final newline."""
    return "\n".join(lines_of(block_of(finding), colour))


# --- what is said ---------------------------------------------------------------------------


def verdict_of(report: Report) -> Block:
    """The first line."""
    match report.verdict:
        case Verdict.CLEAN:
            said = f"no stall was seen in {report.target}"
        case Verdict.NOT_ENOUGH_DATA:
            seen = (
                "an event loop ran too briefly to judge"
                if report.lag.count
                else "no event loop ran"
            )
            if report.failures:
                seen = "no stall was seen, but the watch itself failed"
            said = f"{seen} in {report.target}"
        case Verdict.FINDINGS:
            evidence = [each for f in report.findings if not f.latent for each in f.evidence]
            counts = [counted(len(report.findings), "finding")]
            evidence = [each for each in evidence if each.kind == "measured"]
            if stalls := sum(each.count or 0 for each in evidence):
                counts.append(counted(stalls, "stall"))
                counts.append(
                    f"{milliseconds(sum(each.total_ms or 0 for each in evidence))} stolen"
                )
            if victims := report.coverage.get("victims", 0):
                counts.append(counted(victims, "victim"))
            said = f"{', '.join(counts)} in {report.target}"
    return Block(f"{report.verdict}: {said}", ())


def block_of(finding: Finding) -> Block:
    """Where, by which way, why, at what price, and what to do."""
    rows = [Row("site", _site(finding))]
    if finding.entry:
        rows.append(Row("entry", _entry(finding.entry)))
    if finding.reach:
        rows.append(Row("reach", " > ".join(_hop(hop) for hop in finding.reach)))
    rows.append(Row("cause", _cause(finding)))
    rows += [
        Row("price", (_seen if each.kind == "seen" else _price)(each))
        for each in finding.evidence
        if each.count and each.kind not in _OF_RUNS
    ]
    rows += [_of_run(each) for each in finding.evidence if each.kind in _OF_RUNS]
    kinds = ", ".join(dict.fromkeys(each.kind for each in finding.evidence))
    if kinds and kinds != "measured":
        rows.append(Row("evidence", kinds))
    rows.append(Row("remedy", finding.remedy.summary, "bold"))
    rows.append(Row("docs", f"{finding.docs}, fingerprint {finding.fingerprint}", "dim"))
    return Block(f"{finding.code}  {finding.title}", tuple(rows), finding.severity)


def tables_of(report: Report) -> list[list[str]]:
    """What entries cost the loop, and the path of the dearest."""
    costly = report.entries[:1] if report.entries and report.entries[0].held.sum_ns else ()
    return [lines for lines in (entries_table(report.entries), *map(path_table, costly)) if lines]


def summary_of(report: Report) -> tuple[Row, ...]:
    """What the report rests on, and what it does not know."""
    rows = [Row("lag", _lag(report.lag))]
    if seen := _coverage(report.coverage):
        rows.append(Row("coverage", seen))
    if report.startup:
        rows.append(Row("start-up", _startup(report.startup)))
    for number, said in enumerate(thread_lines(report.threads)):
        rows.append(Row("threads" if number == 0 else "", said))
    for number, slow in enumerate(sorted(report.slow, key=lambda s: -s.took_ns)[:_MOST_SLOW]):
        rows.append(Row("slow" if number == 0 else "", path_line(slow).removeprefix("slow ")))
    for number, gap in enumerate(report.gaps):
        rows.append(Row("gaps" if number == 0 else "", gap))
    return tuple(rows)


def _site(finding: Finding) -> str:
    if finding.site is not None:
        return _place(finding.site)
    if finding.runs_on != "loop":
        return "in a thread"
    if finding.cause in (Cause.STARVED, Cause.GIL):
        return "no line on the loop is to blame"
    if finding.cause is Cause.SATURATED:
        return "no function stands out"
    return "was not seen"


def _place(site: Site) -> str:
    calling = f", calling {site.call}" if site.call else ""
    return f"{site.file}:{site.line} in {site.function}{calling}"


def _entry(entry: Entry) -> str:
    name = "" if entry.function.endswith(f":{entry.name}") else f" {entry.name}"
    return f"{entry.kind}{name} ({entry.function})"


def _hop(hop: Hop) -> str:
    return f"{hop.file}:{hop.line} in {hop.function}"


def _cause(finding: Finding) -> str:
    """The longest stall's evidence; what its clause does not say already is added."""
    said = str(finding.cause)
    for each in finding.evidence:
        if each.kind in _OF_RUNS:
            continue
        because = each.because or ""
        said += f": {because}" if because else ""
        if each.syscall and each.syscall not in because:
            said += f", in {each.syscall}"
        if each.peer and each.peer not in because:
            said += f", on {each.peer}"
    return said if finding.confidence == "certain" else f"{said} ({finding.confidence})"


_OF_RUNS = {"proved": "proof", "exercised": "exercised"}
"""Kinds of evidence that only a run with faults brings, by the label they stand under."""


def _of_run(evidence: Evidence) -> Row:
    said = evidence.because or ""
    if evidence.kind == "proved":
        victims = f", {counted(evidence.victims, 'victim')}" if evidence.victims else ""
        said = f"under {evidence.fault or 'a fault'}{victims}: {said}"
    return Row(_OF_RUNS[evidence.kind], said)


def _price(evidence: Evidence) -> str:
    times = [
        f"{name} {milliseconds(value)}"
        for name, value in (
            ("p50", evidence.p50_ms),
            ("p99", evidence.p99_ms),
            ("max", evidence.max_ms),
        )
        if value is not None
    ]
    said = counted(evidence.count or 0, "stall")
    said += f" ({', '.join(times)})" if times else ""
    if evidence.total_ms is not None:
        said += f", {milliseconds(evidence.total_ms)} stolen from the loop"
        if evidence.share is not None:
            said += f" ({evidence.share:.2%} of its time)"
    if evidence.victims is not None:
        more = "at least " if evidence.victims_at_least else ""
        said += f", {more}{counted(evidence.victims, 'victim')}"
        if evidence.victims and evidence.stolen_ms:
            said += f", who lost up to {milliseconds(evidence.stolen_ms)} together"
    if evidence.request_id is not None:
        said += f"; the longest for request {evidence.request_id}"
    return said


def _seen(evidence: Evidence) -> str:
    """Of a call that is fast now."""
    longest = "" if evidence.max_ms is None else f", {milliseconds(evidence.max_ms)} at most"
    return f"seen {counted(evidence.count or 0, 'time')}{longest}"


def _lag(lag: Histogram) -> str:
    quantiles = (("p50", lag.quantile_ns(0.5)), ("p99", lag.quantile_ns(0.99)))
    said = [f"{name} {milliseconds(ns / 1e6)}" for name, ns in quantiles if ns is not None]
    if not said:
        return "no heartbeat was recorded"
    return f"{', '.join(said)}, max {milliseconds(lag.max_ns / 1e6)}"


_COUNTED = {
    "processes": "process",
    "loops": "loop",
    "requests": "request",
    "entries": "entry",
    "calls": "call",
    "unknown_calls": "unknown call",
}


def _coverage(coverage: dict[str, int]) -> str:
    said = [counted(coverage[key], word) for key, word in _COUNTED.items() if key in coverage]
    if "watched_ms" in coverage:
        said.append(f"{coverage['watched_ms'] / 1e3:.1f} s watched")
    return ", ".join(said)


def _startup(stalls: Sequence[Stall]) -> str:
    longest = max(stalls, key=lambda stall: stall.held_ns)
    at = f" at {longest.site.file}:{longest.site.line}" if longest.site else ""
    return (
        f"{counted(len(stalls), 'stall')} at start-up, the longest "
        f"{milliseconds(longest.held_ns / 1e6)}{at}: not counted"
    )
