"""A run as Markdown, for the summary of a job or a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstall.model.finding import Finding, is_proved
from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict
from unstall.report.chain import chain_of, shown
from unstall.report.markdown import MOST_CHARACTERS, code, plain
from unstall.report.run_figures import (
    PhaseFigures,
    StreamFigures,
    because_text,
    change_values,
    culprits,
    figures_of,
    gate_line,
    headline,
    judged_line,
    judged_word,
    stalls_text,
    time_of,
    victims_text,
    witness_text,
)
from unstall.report.run_text import unknown_line
from unstall.report.units import counted
from unstall.triage.regression import Change, Direction

_SIGNS = {
    WitnessVerdict.FROZEN: "🔴",
    WitnessVerdict.DEGRADED: "🟡",
    WitnessVerdict.NOT_ENOUGH_DATA: "⚪",
    WitnessVerdict.ISOLATED: "🟢",
}
_WORDS = {"held": "🟢", "missed": "🔴", "unknown": "⚪"}
_DIRECTIONS = {Direction.REGRESSION: "🔴", Direction.IMPROVEMENT: "🟢"}
_MOST = 20
"""Rows of one kind; what is left out is counted."""


def render(run: Run, changes: Sequence[Change] = ()) -> str:
    """Without a final newline."""
    figures = figures_of(run)
    parts = [
        f"### {_SIGNS[run.verdict]} unstall: {plain(headline(run))}",
        f"**{plain(gate)}**" if (gate := gate_line(run, changes)) else "",
        _phases(figures) if figures else "",
        *map(_culprit, culprits(run, 5)),
        _thresholds(run),
        _changes(changes),
        _because(figures),
        _unseen(run),
    ]
    return "\n\n".join(part for part in parts if part)[:MOST_CHARACTERS]


def _phases(figures: Sequence[PhaseFigures]) -> str:
    heads = (
        "", "phase", "requests", "due", "answered", "errors", "p50", "p95", "p99", "witness p99", "lag p99",
        "stalls", "victims",
    )  # fmt: skip
    lines = [_row(heads), _row(["---", "---", "---", *["---:"] * (len(heads) - 3)])]
    for phase in figures[:_MOST]:
        name = plain(phase.name) + (f" ×{phase.repeats}" if phase.repeats > 1 else "")
        felt = (
            witness_text(phase),
            time_of(phase.lag_p99_ms),
            stalls_text(phase),
            victims_text(phase),
        )
        sign = f"{_SIGNS[phase.verdict]} {phase.verdict}"
        first, *rest = [_requests(each) for each in phase.streams] or [("",) * 7]
        lines.append(_row((sign, name, *first, *felt)))
        lines += [_row(("", "", *each, *("" for _ in felt))) for each in rest]
    return "\n".join(lines) + _more(len(figures), "phase")


def _requests(stream: StreamFigures) -> tuple[str, ...]:
    times = (stream.p50_ms, stream.p95_ms, stream.p99_ms)
    numbers = (stream.due, stream.answered, stream.errors)
    return (code(stream.name), *map(str, numbers), *map(time_of, times))


def _culprit(finding: Finding) -> str:
    site = finding.site
    where = f": {code(f'{site.file}:{site.line} {site.call}')}" if site else ""
    proved = "proved" if is_proved(finding) else "measured"
    rows = [f"**{finding.code} {plain(finding.title)}**{where} ({proved})"]
    if site:
        rows.append(f"- {code(shown(chain_of(finding)))}")
    rows += [
        f"- {each.kind} under {plain(each.fault or 'a fault')}: {plain(each.because or '')}"
        for each in finding.evidence
        if each.kind == "proved"
    ]
    rows.append(f"- Remedy: {plain(finding.remedy.summary)}")
    return "\n".join([rows[0], "", *rows[1:]])


def _thresholds(run: Run) -> str:
    rows = [f"- {_WORDS[judged_word(each)]} {plain(judged_line(each))}" for each in run.thresholds]
    return _folded(f"Thresholds ({len(rows)})", rows)


def _changes(changes: Sequence[Change]) -> str:
    told = [each for each in changes if each.direction in _DIRECTIONS]
    told.sort(key=lambda each: each.direction is not Direction.REGRESSION)
    if not told:
        unknown = [each for each in changes if each.direction is Direction.UNKNOWN]
        return plain(unknown_line(unknown)) if unknown else ""
    lines = [
        _row(("", "phase", "figure", "before and after", "interval")),
        _row(["---"] * 5),
        *(
            _row((
                _DIRECTIONS[each.direction], plain(each.phase), code(each.metric), change_values(each),
                plain(each.because),
            ))
            for each in told[:_MOST]
        ),
    ]  # fmt: skip
    return "\n".join(lines) + _more(len(told), "change")


def _because(figures: Sequence[PhaseFigures]) -> str:
    rows = [
        f"- {plain(each.name)}: {each.verdict}: {plain(because_text(each))}"
        for each in figures
        if each.because
    ]
    return _folded("Why", rows)


def _unseen(run: Run) -> str:
    rows = [f"- {code(each.route)}: {plain(each.why)}" for each in run.unexercised]
    rows += [f"- {plain(gap)}" for gap in run.gaps]
    return _folded(f"Not seen ({len(rows)})", rows)


def _folded(title: str, rows: Sequence[str]) -> str:
    if not rows:
        return ""
    body = "\n".join(_limited(rows))
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"


def _limited(rows: Sequence[str]) -> Iterator[str]:
    yield from rows[:_MOST]
    if len(rows) > _MOST:
        yield f"- and {len(rows) - _MOST} more"


def _more(number: int, word: str) -> str:
    return f"\n\n_and {counted(number - _MOST, f'more {word}')}_" if number > _MOST else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
