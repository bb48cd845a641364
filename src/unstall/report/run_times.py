"""The part of a run's page that shows it over time: the drawing, what a script reads of it, and a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from html import escape

from unstall.export.page import table_markup
from unstall.export.tables import Cell, Table
from unstall.model.proof import WITNESS, Run
from unstall.report import run_charts as charts
from unstall.report.run_figures import time_of
from unstall.report.run_series import (
    Panel,
    Scale,
    arranged,
    groups_of,
    panels_of,
    scales_of,
    segments_of,
    title_of,
)
from unstall.report.units import milliseconds

_MOST_SECONDS = 600


def section(run: Run, before: Run | None) -> str:
    """Of one run, or of two on the same scales; empty of a run without a phase."""
    if not run.phases:
        return ""
    runs = [arranged(each) for each in ([run] if before is None else [before, run])]
    panels = [panels_of(each) for each in runs]
    scales = [scales_of(each) for each in panels]
    shared = tuple(one | other for one, other in zip(scales[0], scales[-1], strict=True))
    names = ("run",) if before is None else ("before", "after")
    width = charts.WIDE if before is None else charts.NARROW
    parts = [
        _figure(each, mine, shared, width, name)
        for each, mine, name in zip(runs, panels, names, strict=True)
    ]
    return (
        '<section><h2>Over time</h2><p class="dim">By the second in which requests were due. '
        "Shaded: a fault; red: the loop stood still.</p>"
        f'<section class="both">{"".join(parts)}</section></section>'
    )


def _figure(
    run: Run, panels: Sequence[Panel], scales: Sequence[Scale], width: int, name: str
) -> str:
    title = "" if name == "run" else f"<h3>{name.capitalize()}</h3>"
    label = "Chart; the arrow keys read it second by second, Escape shows all of it"
    drawn = charts.chart(run, panels, scales, width=width, name=name)
    data = json.dumps(_data(run, panels, width)).replace("<", "\\u003c")
    return (
        f'<article>{title}<figure data-name="{name}" tabindex="0" aria-label="{label}">{drawn}</figure>'
        '<p class="read" role="status"></p><div class="zoom" role="group" aria-label="Zoom" hidden></div>'
        f'{_key(panels)}<script type="application/json" id="{name}-data">{data}</script>'
        f"{_seconds(run, panels)}</article>"
    )


def _key(panels: Sequence[Panel]) -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="{line.style}" d="M1 4H23"/></svg>'
        f"{escape(line.name)}</li>"
        for panel in panels
        for line in panel.lines
    )
    return f'<ul class="key">{items}</ul>'


def _data(run: Run, panels: Sequence[Panel], width: int) -> dict[str, object]:
    """What the script reads out: places on the axis, and the words for them."""
    plot = width - charts.LEFT - charts.RIGHT
    segments = segments_of(run.phases, plot)
    moments = [
        [
            round(segments[number].at(at + 0.5), 1),
            f"{title_of(run.phases[number])}, second {at}:",
            ", ".join(words),
        ]
        for number, at, words in _moments(run, panels)
    ]
    phases = [["all", 0, plot]]
    phases += [[name, round(x, 1), round(own, 1)] for name, x, own in groups_of(segments)]
    return {"moments": moments, "phases": phases}


def _moments(run: Run, panels: Sequence[Panel]) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    lines = [line for panel in panels for line in panel.lines]
    for number in range(len(run.phases)):
        values = [dict(line.points.get(number, ())) for line in lines]
        for at in sorted({at for each in values for at in each}):
            yield (
                number,
                at,
                tuple(
                    f"{line.name} {milliseconds(each[at])}"
                    for line, each in zip(lines, values, strict=True)
                    if at in each
                ),
            )


def _seconds(run: Run, panels: Sequence[Panel]) -> str:
    """The drawing as a table, for whoever cannot see it or wants to copy it."""
    lines = [line for panel in panels for line in panel.lines]
    rows = []
    for number, phase in enumerate(run.phases):
        values = [dict(line.points.get(number, ())) for line in lines]
        due = {
            s.at: s.due
            for stream in phase.outcome.streams
            if stream.name != WITNESS
            for s in stream.seconds
        }
        for at in sorted({at for each in values for at in each}):
            cells = [Cell(time_of(each.get(at)), right=True) for each in values]
            rows.append(
                (
                    Cell(title_of(phase)),
                    Cell(str(at), right=True),
                    Cell(str(due.get(at, 0)), right=True),
                    *cells,
                )
            )
    note = f"the first {_MOST_SECONDS} of {len(rows)} seconds" if len(rows) > _MOST_SECONDS else ""
    heads = ("phase", "second", "due", *(line.name for line in lines))
    table = table_markup(Table("Figures by the second", heads, tuple(rows[:_MOST_SECONDS]), note))
    return f"<details><summary>Figures by the second</summary>{table}</details>" if rows else ""
