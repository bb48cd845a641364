"""A run over time, drawn as one SVG: latency, witness, lag and stalls under each other on one axis.

What moves when a reader zooms lies in a nested drawing with its own view; letters and numbers lie outside,
so that they are never stretched. Without a script the whole run is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from unstall.clock import NS_PER_MS
from unstall.model.proof import Run
from unstall.report.run_series import Line, Panel, Scale, Segment, groups_of, segments_of, title_of
from unstall.report.units import counted, milliseconds
from unstall.triage.secrets import in_text
from unstall.triage.verdict import worst_of

LEFT, RIGHT, TOP = 58, 10, 34
WIDE, NARROW = 1000, 640
_LETTER = 6.6
"""Width of one in the axis's type, about."""


def chart(
    run: Run,
    panels: Sequence[Panel],
    scales: Sequence[Scale],
    *,
    width: int = WIDE,
    name: str = "run",
) -> str:
    """An SVG. `name` makes its ids its own on a page with two."""
    plot = width - LEFT - RIGHT
    segments = segments_of(run.phases, plot)
    rows = _rows(panels)
    strip = rows[-1]
    height = strip + _STRIP + 24
    inside = "".join((
        "".join(_shades(segments, height - TOP - 24)),
        "".join(_bands(segments, strip - TOP)),
        *(
            _panel(panel, scale, segments, y - TOP, plot)
            for panel, scale, y in zip(panels, scales, rows, strict=False)
        ),
        "".join(_stalls(segments, strip - TOP)),
        f'<line class="cursor" y1="0" y2="{height - TOP - 24}" visibility="hidden"/>',
    ))  # fmt: skip
    outside = "".join((
        *(_axis(panel, scale, y) for panel, scale, y in zip(panels, scales, rows, strict=False)),
        f'<text class="name" x="0" y="{strip - 8}">Stalls</text>',
        *_missing(run, panels, rows),
        *_names(segments),
        *_seconds(segments, height - 8),
    ))  # fmt: skip
    bottom = height - TOP - 24
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">'
        f"Latency, witness, loop lag and stalls of {escape(in_text(run.target))} over time</title>"
        f'<desc id="{name}-desc">{escape(described(run))}</desc>'
        f'<svg class="plot" x="{LEFT}" y="{TOP}" width="{plot}" height="{bottom}" '
        f'viewBox="0 0 {plot} {bottom}" preserveAspectRatio="none">{inside}</svg>{outside}</svg>'
    )


def described(run: Run) -> str:
    """The drawing in words."""
    said = []
    for phase in run.phases:
        stalls = phase.report.stalls
        longest = max((stall.held_ns for stall in stalls), default=0) / NS_PER_MS
        if stalls:
            seen = f"{counted(len(stalls), 'stall')}, the longest {milliseconds(longest)}"
        else:
            seen = "no stall" if phase.report.lag.count else "nobody watched the loop"
        said.append(f"{title_of(phase)}, {phase.seconds:g} s: {phase.verdict}, {seen}")
    return "; ".join(said) or "nothing ran"


_STRIP = 30
_BETWEEN = 40


def _rows(panels: Sequence[Panel]) -> list[int]:
    """Where each panel begins, and last where the strip of stalls does."""
    rows, y = [], TOP + 26
    for panel in panels:
        rows.append(y)
        y += panel.height + _BETWEEN
    return [*rows, y]


def _panel(panel: Panel, scale: Scale, segments: Sequence[Segment], y: float, width: float) -> str:
    grid = "".join(
        f'<line class="grid" x1="0" x2="{width}" y1="{y + scale.y(10.0**decade, panel.height):.1f}" '
        f'y2="{y + scale.y(10.0**decade, panel.height):.1f}"/>'
        for decade in range(scale.low, scale.high + 1)
    )
    return grid + "".join(
        f'<path class="{line.style}" d="{path}"/>'
        for line in panel.lines
        if (path := _path(line, scale, segments, y, panel.height))
    )


def _path(line: Line, scale: Scale, segments: Sequence[Segment], y: float, height: int) -> str:
    draw = _steps if line.held else _through
    return "".join(
        draw(segment, [(at, y + scale.y(ms, height)) for at, ms in line.points.get(number, ())])
        for number, segment in enumerate(segments)
    )


def _through(segment: Segment, points: Sequence[tuple[int, float]]) -> str:
    """The middle of seconds; where one is missing, the line is, too."""
    parts, last = [], None
    for at, y in points:
        place = f"{segment.at(at + 0.5):.1f} {y:.1f}"
        parts.append(f"L{place}" if last == at - 1 else f"M{place}h.01")
        last = at
    return "".join(parts)


def _steps(segment: Segment, points: Sequence[tuple[int, float]]) -> str:
    ends = [at for at, _ in points[1:]] + [segment.phase.seconds]
    return "".join(
        f"{'L' if number else 'M'}{segment.at(at):.1f} {y:.1f}H{segment.at(until):.1f}"
        for number, ((at, y), until) in enumerate(zip(points, ends, strict=False))
    )


def _shades(segments: Sequence[Segment], height: float) -> Iterator[str]:
    """Phases, and inside them the time for which the fault was there."""
    for segment in segments:
        yield _rect("phase", segment.x, segment.x + segment.width, 0, height)
        if (fault := segment.phase.fault) is not None:
            until = segment.phase.seconds if fault.until is None else fault.until
            yield _rect("fault", segment.at(fault.after), segment.at(until), 0, height)


def _bands(segments: Sequence[Segment], height: float) -> Iterator[str]:
    for segment in segments:
        for stall in segment.phase.report.stalls:
            yield _rect(
                "band", segment.of_ns(stall.from_ns), segment.of_ns(stall.until_ns), 0, height
            )


def _stalls(segments: Sequence[Segment], y: float) -> Iterator[str]:
    for segment in segments:
        yield _rect("none", segment.x, segment.x + segment.width, y, _STRIP)
        for stall in segment.phase.report.stalls:
            place = f", {stall.site.file}:{stall.site.line}" if stall.site else ""
            said = f"{milliseconds(stall.held_ns / NS_PER_MS)} {stall.cause}{place}"
            yield _rect(
                "stall",
                segment.of_ns(stall.from_ns),
                segment.of_ns(stall.until_ns),
                y,
                _STRIP,
                said,
            )


def _rect(style: str, x: float, until: float, y: float, height: float, title: str = "") -> str:
    said = f"<title>{escape(title)}</title>" if title else ""
    wide = max(until - x, 1.0)  # a short stall must be seen, too
    return (
        f'<rect class="{style}" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{height:.1f}">'
        f"{said}</rect>"
    )


# --- letters and numbers ----------------------------------------------------------------------


def _axis(panel: Panel, scale: Scale, y: int) -> str:
    labels = "".join(
        f'<text class="tick end" x="{LEFT - 6}" y="{y + scale.y(10.0**decade, panel.height) + 4:.1f}">'
        f"{_power(decade)}</text>"
        for decade in range(scale.low, scale.high + 1)
        if panel.height >= 150 or (scale.high - decade) % 2 == 0
    )
    return f'<text class="name" x="0" y="{y - 15}">{escape(panel.title)}</text>{labels}'


def _power(decade: int) -> str:
    return f"{10.0**decade:g} ms" if decade < 3 else f"{10.0 ** (decade - 3):g} s"


def _missing(run: Run, panels: Sequence[Panel], rows: Sequence[int]) -> Iterator[str]:
    """An empty panel is no calm one."""
    empty = [
        y + panel.height / 2
        for panel, y in zip(panels, rows, strict=False)
        if not any(points for line in panel.lines for points in line.points.values())
    ]
    if not any(phase.report.lag.count for phase in run.phases):
        empty.append(rows[-1] + _STRIP / 2 + 4)
    for y in empty:
        yield f'<text class="tick" x="{LEFT + 8}" y="{y:.1f}">not measured</text>'


def _names(segments: Sequence[Segment]) -> Iterator[str]:
    """Of phases, above them; `data-` tells a script where they belong, and what there is no room for."""
    for name, x, width in groups_of(segments):
        repeats = [each.phase for each in segments if each.phase.name == name]
        worst = worst_of(phase.verdict for phase in repeats)
        title = f"{name} ×{len(repeats)}" if len(repeats) > 1 else name
        yield (
            f'<text class="over {worst}" x="{LEFT + x:.1f}" y="{TOP - 12}" data-x="{x:.1f}" '
            f'data-wide="{width:.1f}" data-text="{escape(title)}">{escape(_cut(title, width))}'
            f"<title>{escape(title)}</title></text>"
        )


def _cut(text: str, width: float) -> str:
    room = int(width / _LETTER)
    return text if len(text) <= room else f"{text[: max(0, room - 1)]}…" if room > 1 else ""


def _seconds(segments: Sequence[Segment], y: float) -> Iterator[str]:
    """As many as are of use when a phase is looked at alone; hidden while there is no room for them."""
    for segment in segments:
        unit = segment.width / (segment.phase.seconds or 1.0)
        shown, all_of_it = (
            _step(unit),
            _step(unit * (segments[-1].at(1e9) / (segment.width or 1.0))),
        )
        for at in range(0, int(segment.phase.seconds), all_of_it):
            x = segment.at(at)
            hidden = (
                ' visibility="hidden"' if at % shown or segment.width < _SECONDS_APART / 2 else ""
            )
            yield (
                f'<text class="tick" x="{LEFT + x:.1f}" y="{y}" data-x="{x:.1f}" data-at="{at}" '
                f'data-unit="{unit:.3f}" data-wide="{segment.width:.1f}"{hidden}>'
                f"{at}{'' if at else ' s'}</text>"
            )


_SECONDS_APART = 45
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600)


def _step(unit: float) -> int:
    """Seconds between two labels, where a second is `unit` wide."""
    return next((step for step in _STEPS if step * unit >= _SECONDS_APART), 3_600)
