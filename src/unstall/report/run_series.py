"""What of a run is drawn over time: lines in panels, and phases beside each other on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.model.histogram import Histogram
from unstall.model.proof import WITNESS, Phase, Run
from unstall.report.run_figures import grouped

_GAP_SHARE = 0.015
"""Of the whole, between two phases: restarts are cut out of the axis."""
_REPEAT_SHARE = 0.003
"""And between repeats of one."""
_MOST_STREAMS = 4
"""As many colours as are told apart; of more kinds of requests all together are drawn."""
Points = tuple[tuple[int, float], ...]
"""Second of the phase, and the value in ms."""


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    style: str
    points: Mapping[int, Points]
    """By the number of the phase."""
    held: bool = False
    """A value stands until the next: the watch tells of lag every few seconds."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing of lines on a logarithmic axis."""

    title: str
    height: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Scale:
    """Decades in ms, both whole powers of ten."""

    low: int
    high: int

    def y(self, ms: float, height: int) -> float:
        share = (math.log10(max(ms, 10.0**self.low)) - self.low) / (self.high - self.low)
        return height * (1 - min(share, 1.0))

    def __or__(self, other: Scale) -> Scale:
        return Scale(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True, slots=True)
class Segment:
    """A phase's place on the axis, in units of the drawing."""

    phase: Phase
    x: float
    width: float

    def at(self, second: float) -> float:
        """A stall may outlast the load; the axis does not."""
        share = min(max(second / (self.phase.seconds or 1.0), 0.0), 1.0)
        return self.x + self.width * share

    def of_ns(self, ns: int) -> float:
        return self.at((ns - self.phase.from_ns) / NS_PER_S)


def panels_of(run: Run) -> tuple[Panel, ...]:
    names = dict.fromkeys(
        stream.name
        for phase in run.phases
        for stream in phase.outcome.streams
        if stream.name != WITNESS
    )
    groups: dict[str, tuple[str, ...]] = {name: (name,) for name in names}
    if len(names) > _MOST_STREAMS:
        groups = {f"all {len(names)} kinds of requests": tuple(names)}
    latency = [
        line
        for number, (title, members) in enumerate(groups.items(), 1)
        for line in (
            Line(f"{title} p99", f"s{number}", _by_phase(run, members, 0.99)),
            Line(f"{title} p50", f"s{number} half", _by_phase(run, members, 0.5)),
        )
    ]
    lag = {number: _points(phase.lag, 0.99) for number, phase in enumerate(run.phases)}
    return (
        Panel("Latency", 190, tuple(latency)),
        Panel("Witness", 96, (Line("witness p99", "s5", _by_phase(run, (WITNESS,), 0.99)),)),
        Panel("Loop lag", 96, (Line("lag p99", "s6", lag, held=True),)),
    )


def scales_of(panels: Sequence[Panel]) -> tuple[Scale, ...]:
    return tuple(map(_scale, panels))


def arranged(run: Run) -> Run:
    """With the repeats of each phase side by side, however they were played."""
    phases = tuple(phase for group in grouped(run.phases) for phase in group)
    return replace(run, phases=phases)


def segments_of(phases: Sequence[Phase], width: float) -> tuple[Segment, ...]:
    """Of phases in the order of `arranged`."""
    total = sum(phase.seconds for phase in phases) or 1.0
    gaps = [width * _gap(one, other) for one, other in pairwise(phases)]
    room = width - sum(gaps)
    segments, x = [], 0.0
    for phase, gap in zip_longest(phases, gaps, fillvalue=0.0):
        assert isinstance(phase, Phase)
        own = room * phase.seconds / total
        segments.append(Segment(phase, x, own))
        x += own + gap
    return tuple(segments)


def groups_of(segments: Sequence[Segment]) -> list[tuple[str, float, float]]:
    """Phases with all their repeats: name, place and width."""
    found: dict[str, tuple[float, float]] = {}
    for segment in segments:
        first = found.get(segment.phase.name, (segment.x, 0.0))[0]
        found[segment.phase.name] = first, segment.x + segment.width - first
    return [(name, x, width) for name, (x, width) in found.items()]


def _gap(one: Phase, other: Phase) -> float:
    return _REPEAT_SHARE if one.name == other.name else _GAP_SHARE


def _by_phase(run: Run, names: Sequence[str], q: float) -> dict[int, Points]:
    return {number: _points(_by_second(phase, names), q) for number, phase in enumerate(run.phases)}


def _by_second(phase: Phase, names: Sequence[str]) -> list[tuple[int, Histogram]]:
    seconds: dict[int, Histogram] = {}
    for stream in phase.outcome.streams:
        if stream.name in names:
            for each in stream.seconds:
                seconds[each.at] = seconds.get(each.at, Histogram()) + each.latency
    return sorted(seconds.items())


def _points(seconds: Iterable[tuple[int, Histogram]], q: float) -> Points:
    found = ((at, durations.quantile_ns(q)) for at, durations in seconds)
    return tuple((at, ns / NS_PER_MS) for at, ns in found if ns is not None)


def _scale(panel: Panel) -> Scale:
    """At least from 1 to 100 ms, so that a calm run does not look like a storm."""
    values = [ms for line in panel.lines for points in line.points.values() for _, ms in points]
    low, high = min(values, default=1.0), max(values, default=1.0)
    return Scale(
        min(0, max(-1, math.floor(math.log10(max(low, 0.1))))),
        max(2, math.ceil(math.log10(max(high, 1.0)) + 1e-9)),
    )


def title_of(phase: Phase) -> str:
    return f"{phase.name} ({phase.repeat + 1})" if phase.repeat else phase.name
