"""A run as one HTML page that needs nothing else: to be opened from a disk, an artifact or a mail."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape

from unstall.export.page import table_markup
from unstall.export.tables import Cell, Table
from unstall.model.finding import Finding, is_proved
from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict
from unstall.report import run_times
from unstall.report.run_figures import (
    PhaseFigures,
    StreamFigures,
    because_text,
    change_value,
    culprits,
    figures_of,
    gate_line,
    headline,
    judged_word,
    stalls_of,
    stalls_text,
    time_of,
    victims_text,
    witness_text,
)
from unstall.report.run_style import SCRIPT, STYLE
from unstall.report.text import block_of
from unstall.report.units import counted, milliseconds
from unstall.triage.regression import Change, Direction
from unstall.triage.secrets import masked, without_secrets_of

_STYLES = {
    WitnessVerdict.FROZEN: "bad",
    WitnessVerdict.DEGRADED: "warn",
    WitnessVerdict.NOT_ENOUGH_DATA: "warn",
    WitnessVerdict.ISOLATED: "good",
}
_WORDS = {"held": "good", "missed": "bad", "unknown": "warn"}
_DIRECTIONS = {
    Direction.REGRESSION: "bad",
    Direction.IMPROVEMENT: "good",
    Direction.SAME: "",
    Direction.UNKNOWN: "warn",
}
_ORDER = (Direction.REGRESSION, Direction.IMPROVEMENT, Direction.SAME, Direction.UNKNOWN)
_MOST_CULPRITS = 10
_MOST_STALLS = 20
_IN_STACK = ("site", "entry", "reach")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; base-uri 'none'; "
    "form-action 'none'"
)


def page(run: Run, before: Run | None = None, changes: Sequence[Change] = ()) -> str:
    """The whole document; with `before`, both runs side by side and what changed."""
    run = without_secrets_of(run)
    before = None if before is None else without_secrets_of(before)
    body = "\n".join(part for part in _parts(run, before, changes) if part)
    whole = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(run.verdict)} · {escape(run.target)} · unstall</title>"
        f"<style>{STYLE}</style></head><body{_two(before)}><main>{body}</main>"
        f"<script>{SCRIPT}</script></body></html>\n"
    )
    # A path may hold what is no text, and a file takes only text.
    return whole.encode(errors="backslashreplace").decode()


def _two(before: Run | None) -> str:
    return "" if before is None else ' class="two"'


def _parts(run: Run, before: Run | None, changes: Sequence[Change]) -> Iterator[str]:
    figures = figures_of(run)
    yield _header(run, before, changes)
    yield _because(figures)
    yield _phases(figures, "Phases" if before is None else "Phases, after")
    if before is not None:
        yield _phases(figures_of(before), "Phases, before")
        yield _changes(changes)
    yield run_times.section(run, before)
    yield _culprits(run)
    yield _thresholds(run)
    yield _longest(run)
    yield _unseen(run)
    yield _plan(run)


# --- what came of it --------------------------------------------------------------------------


def _header(run: Run, before: Run | None, changes: Sequence[Change]) -> str:
    verdict, _, said = headline(run).partition(": ")
    sentences = [said, gate_line(run, changes)]
    if before is not None:
        sentences.append(f"before: {headline(before)}")
    facts = [run.started, run.tool, f"seed {run.plan.seed}"]
    facts += [f"{key} {value}" for key, value in run.machine.items() if value]
    lead = " ".join(f"{each[:1].upper()}{each[1:]}." for each in sentences if each)
    return (
        f'<header><h1 class="{_STYLES[run.verdict]}">{escape(verdict)}</h1>'
        f'<p class="lead">{escape(lead)}</p>{_blamed(run)}'
        f'<p class="dim">{escape(" · ".join(fact for fact in facts if fact))}</p></header>'
    )


def _blamed(run: Run) -> str:
    """The line that matters most, where one is proved."""
    first = next((each for each in culprits(run) if is_proved(each) and each.site), None)
    if first is None or first.site is None:
        return ""
    site = first.site
    called = f"{site.call or site.function}{f' in {first.entry.name}' if first.entry else ''}"
    return (
        f'<p class="lead"><b class="frozen">{escape(f"{site.file}:{site.line}")}</b> '
        f"<code>{escape(called)}</code></p>"
    )


def _because(figures: Sequence[PhaseFigures]) -> str:
    rows = "".join(
        f"<dt>{escape(each.name)}</dt><dd>{_verdict_tag(each)} {escape(because_text(each))}"
        f"{_ill(each)}</dd>"
        for each in figures
    )
    return f'<section><h2>Verdicts</h2><dl class="why">{rows}</dl></section>' if rows else ""


def _ill(phase: PhaseFigures) -> str:
    details = phase.fault.removeprefix(phase.name).removeprefix(": ")
    return f' <span class="dim">({escape(details)})</span>' if details else ""


def _verdict_tag(phase: PhaseFigures) -> str:
    agreed = f" in {phase.agreed} of {phase.repeats}" if phase.agreed < phase.repeats else ""
    return f'<b class="{phase.verdict}">{escape(phase.verdict)}{agreed}</b>'


def _phases(figures: Sequence[PhaseFigures], title: str) -> str:
    heads = (
        "phase", "requests", "due", "answered", "errors", "p50", "p95", "p99", "witness p99", "lag p99",
        "stalls", "victims", "verdict",
    )  # fmt: skip
    rows = tuple(row for phase in figures for row in _rows(phase))
    note = (
        "latency counts from when a request was meant to leave; errors: without an answer, or 500 and above; "
        "the witness asks a cheap route on a connection of its own"
    )
    return table_markup(Table(title, heads, rows, note)) if rows else ""


def _rows(phase: PhaseFigures) -> Iterator[tuple[Cell, ...]]:
    style = _STYLES[phase.verdict]
    felt = (
        _number(witness_text(phase), style),
        _number(time_of(phase.lag_p99_ms)),
        _number(stalls_text(phase)),
        _number(victims_text(phase)),
        Cell(str(phase.verdict), style),
    )
    times = f" ×{phase.repeats}" if phase.repeats > 1 else ""
    name = Cell(phase.name + times, wide=True, title=phase.fault)
    first, *rest = phase.streams or (None,)
    yield (name, *_requests(first), *felt)
    for stream in rest:
        yield (Cell(""), *_requests(stream), *(Cell("") for _ in felt))


def _requests(stream: StreamFigures | None) -> tuple[Cell, ...]:
    if stream is None:
        return (Cell(""),) * 7
    broken = ", ".join(f"{number} × {key}" for key, number in stream.statuses)
    return (
        Cell(stream.name, title=broken),
        _number(str(stream.due)),
        _number(str(stream.answered), title=broken),
        _number(str(stream.errors), "warn" if stream.errors else "", broken),
        *(_number(time_of(ms)) for ms in (stream.p50_ms, stream.p95_ms, stream.p99_ms)),
    )


def _number(text: str, style: str = "", title: str = "") -> Cell:
    return Cell(text, style, right=True, title=title)


def _changes(changes: Sequence[Change]) -> str:
    told = [each for each in changes if each.direction in _ORDER[:2]]
    rest = [each for each in changes if each.direction not in _ORDER[:2]]
    note = "the interval is what was added, over repeats or seconds; all intervals hold together"
    none = '<section><h2>Changes</h2><p class="dim">none beyond noise</p></section>'
    parts = [_change_table("Changes", told, note) if told else none]
    if rest:
        parts.append(
            f"<details><summary>{counted(len(rest), 'figure')} without a change that counts</summary>"
            f"{_change_table('The others', rest, '')}</details>"
        )
    return "\n".join(parts)


def _change_table(title: str, changes: Sequence[Change], note: str) -> str:
    ordered = sorted(changes, key=lambda each: _ORDER.index(each.direction))
    rows = tuple(
        (
            Cell(each.phase, wide=True),
            Cell(each.metric, code=True),
            _number(change_value(each, each.before)),
            _number(change_value(each, each.after)),
            Cell(str(each.direction), _DIRECTIONS[each.direction]),
            Cell(each.because, wide=True),
        )
        for each in ordered
    )
    heads = ("phase", "figure", "before", "after", "", "interval")
    return table_markup(Table(title, heads, rows, note))


# --- whose fault it was -------------------------------------------------------------------------


def _culprits(run: Run) -> str:
    found = culprits(run)
    if not found:
        return ""
    more = (
        f'<p class="dim">and {len(found) - _MOST_CULPRITS} more: unstall report --format text names them</p>'
        if len(found) > _MOST_CULPRITS
        else ""
    )
    blocks = "".join(map(_culprit, found[:_MOST_CULPRITS]))
    return f"<section><h2>Culprits</h2>{blocks}{more}</section>"


def _culprit(finding: Finding) -> str:
    tag = '<small class="frozen">proved</small>' if is_proved(finding) else ""
    rows = "".join(
        f"<dt>{escape(row.label)}</dt><dd>{escape(row.text)}</dd>"
        for row in block_of(finding).rows
        if row.label not in _IN_STACK or finding.site is None
    )
    return f"<h3>{escape(finding.code)} {escape(finding.title)}{tag}</h3>{_stack(finding)}<dl>{rows}</dl>"


def _stack(finding: Finding) -> str:
    """From the entry down to the call at the site."""
    site = finding.site
    if site is None:
        return ""
    lines = [(f"{hop.file}:{hop.line} {hop.function}", "") for hop in finding.reach]
    lines.append(
        (f"{site.file}:{site.line} {site.function}{f'  {site.call}' if site.call else ''}", "site")
    )
    if finding.entry:
        lines.insert(
            0, (f"{finding.entry.kind} {finding.entry.name} ({finding.entry.function})", "")
        )
    items = "".join(
        f"<li{f' class={style!r}' if style else ''}>{escape(text)}</li>" for text, style in lines
    )
    return f'<ol class="stack">{items}</ol>'


def _thresholds(run: Run) -> str:
    rows = tuple(
        (
            Cell(each.text, wide=True, code=True),
            Cell(each.phase, wide=True),
            _number("-" if each.value is None else f"{each.value:g}"),
            Cell(judged_word(each), _WORDS[judged_word(each)]),
        )
        for each in sorted(run.thresholds, key=lambda each: each.held)
    )
    return (
        table_markup(Table("Thresholds", ("threshold", "phase", "seen", ""), rows)) if rows else ""
    )


def _longest(run: Run) -> str:
    stalls = stalls_of(run.phases)
    rows = tuple(
        (
            Cell(phase.name, wide=True),
            _number(f"{(stall.from_ns - phase.from_ns) / 1e9:.1f} s"),
            _number(milliseconds(stall.held_ns / 1e6)),
            Cell(str(stall.cause), title=stall.because),
            Cell(stall.entry.name if stall.entry else "", wide=True),
            Cell(
                f"{stall.site.file}:{stall.site.line}" if stall.site else "", wide=True, code=True
            ),
            Cell(stall.peer or "", wide=True),
            _number(f"{stall.victims}{'+' if stall.at_least else ''}"),
        )
        for phase, stall in stalls[:_MOST_STALLS]
    )
    heads = ("phase", "at", "held", "cause", "entry", "line", "peer", "victims")
    note = f"the longest {_MOST_STALLS} of {len(stalls)}" if len(stalls) > _MOST_STALLS else ""
    return table_markup(Table("Longest stalls", heads, rows, note)) if rows else ""


def _unseen(run: Run) -> str:
    items = [
        f"<li><code>{escape(each.route)}</code> {escape(each.why)}</li>" for each in run.unexercised
    ]
    items += [f"<li>{escape(gap)}</li>" for gap in run.gaps]
    return f"<section><h2>Not seen</h2><ul>{''.join(items)}</ul></section>" if items else ""


def _plan(run: Run) -> str:
    """What was asked, so that the page can be read without the plan's file."""
    plan = run.plan
    rows = tuple(
        (
            Cell(each.name),
            Cell(each.call or f"{each.method} {each.path}", wide=True, code=True),
            Cell(
                ", ".join(f"{stage.rate:g}/s for {stage.seconds:g} s" for stage in each.stages),
                wide=True,
            ),
            Cell(str(each.arrivals)),
        )
        for each in plan.scenarios
    )
    heads = ("scenario", "request", "stages", "arrivals")
    started = plan.app.command or plan.app.url
    note = f"witness {plan.witness.path or plan.app.ready} at {plan.witness.rate:g}/s; started by: {started}"
    if hidden := masked(plan):
        note += f"; masked: {', '.join(hidden)}"
    return f"<details><summary>Plan</summary>{table_markup(Table('Plan', heads, rows, note))}</details>"
