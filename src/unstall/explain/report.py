"""From a recording to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from unstall.explain.findings import findings_of, is_startup
from unstall.explain.stalls import stall_of
from unstall.explain.victims import distinct_victims
from unstall.model.histogram import Histogram
from unstall.model.observation import Stretch
from unstall.model.recording import Recording
from unstall.model.report import Report, Verdict

_DEFAULT_THRESHOLD_NS = 100_000_000
MIN_BEATS = 10
"""Fewer heartbeats say nothing, unless a request was served: a server whose port is taken has run a loop."""


def report_of(recording: Recording, target: str) -> Report:
    """Pure. Clean needs a loop that was watched: silence about nothing is not-enough-data."""
    recording = replace(recording, stretches=settled(recording.stretches))
    thresholds = {p.process: p.threshold_ns for p in recording.processes}
    stalls = [
        stall_of(stretch, thresholds.get(stretch.process, _DEFAULT_THRESHOLD_NS))
        for stretch in recording.stretches
    ]
    startup = tuple(stall for stall in stalls if is_startup(stall))
    counted = tuple(stall for stall in stalls if not is_startup(stall))
    findings = findings_of(counted)
    lag = sum((pulse.lag for pulse in recording.pulses), Histogram())
    served = any(pulse.requests for pulse in recording.pulses)
    watched = lag.count >= MIN_BEATS or served or bool(recording.stretches)
    clean = Verdict.CLEAN if watched else Verdict.NOT_ENOUGH_DATA
    return Report(
        tool=recording.tool,
        target=target,
        verdict=Verdict.FINDINGS if findings else clean,
        findings=findings,
        stalls=counted,
        startup=startup,
        lag=lag,
        coverage=_coverage(recording) | {"victims": distinct_victims(counted)},
        gaps=_gaps(recording),
    )


def settled(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Each stretch once: of one that was told of while it lasted, the last word.

    That it still lasts is the last word on a process that was killed in the midst of it.
    """
    kept: list[Stretch] = []
    later: dict[tuple[str, int], Stretch] = {}
    for stretch in sorted(stretches, key=lambda s: (s.until_ns, not s.ongoing), reverse=True):
        key = stretch.process, stretch.loop
        after = later.get(key)
        if stretch.ongoing and after is not None and after.due_ns <= stretch.until_ns:
            continue
        later[key] = stretch
        kept.append(stretch)
    return tuple(reversed(kept))


def _coverage(recording: Recording) -> dict[str, int]:
    return {
        "processes": len(recording.processes),
        "loops": len(recording.loops),
        "requests": sum(pulse.requests for pulse in recording.pulses),
        "watched_ms": sum(p.until_ns - p.from_ns for p in recording.pulses) // 1_000_000,
        "stalls": len(recording.stretches),
    }


def _gaps(recording: Recording) -> tuple[str, ...]:
    gaps = list(recording.flaws)
    dropped: Counter[str] = Counter()
    for losses in recording.losses:
        dropped.update(losses.dropped)
    gaps += [f"{count} {what} were seen and not kept" for what, count in sorted(dropped.items())]
    inactive = sorted({hook for process in recording.processes for hook in process.inactive})
    gaps += [f"a hook does not work here: {hook}" for hook in inactive]
    unended = {p.process for p in recording.processes} - {lost.process for lost in recording.losses}
    if unended:
        gaps.append(
            f"{len(unended)} of {len(recording.processes)} processes ended without a last word "
            "(killed?): the end of their record may be missing"
        )
    return tuple(gaps)
