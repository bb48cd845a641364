"""From a recording to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from unstall.explain.cause import seconds
from unstall.explain.costs import entry_costs, slow_by_themselves, thread_costs
from unstall.explain.findings import findings_of, is_startup
from unstall.explain.latent import latent_findings
from unstall.explain.pools import pool_findings
from unstall.explain.stalls import stall_of
from unstall.explain.victims import distinct_victims
from unstall.model.finding import Cause, Finding, Severity, Stall, Told
from unstall.model.histogram import Histogram
from unstall.model.observation import Stretch
from unstall.model.recording import Recording
from unstall.model.report import Report, Verdict
from unstall.settings import Settings

DEFAULT_THRESHOLD_NS = Settings().threshold_ns
MIN_BEATS = 10
"""Fewer heartbeats say nothing, unless a request was served: a server whose port is taken has run a loop."""


def report_of(recording: Recording, target: str) -> Report:
    """Pure. Clean needs a loop that was watched: silence about nothing is not-enough-data."""
    recording = replace(recording, stretches=settled(recording.stretches))
    thresholds = {p.process: p.threshold_ns for p in recording.processes}
    stalls = [
        stall_of(stretch, thresholds.get(stretch.process, DEFAULT_THRESHOLD_NS))
        for stretch in recording.stretches
    ]
    paused = [stall for stall in stalls if stall.cause is Cause.PAUSED]
    stalls = [stall for stall in stalls if stall.cause is not Cause.PAUSED]
    startup = tuple(stall for stall in stalls if is_startup(stall))
    counted = tuple(stall for stall in stalls if not is_startup(stall))
    findings = findings_of(counted, _watched_ns(recording))
    findings = (*findings, *latent_findings(recording.latent, findings))
    findings = (*findings, *told_findings(recording.told, findings))
    findings = (*findings, *pool_findings(recording.threads))
    lag = sum((pulse.lag for pulse in recording.pulses), Histogram())
    served = any(pulse.requests for pulse in recording.pulses)
    watched = lag.count >= MIN_BEATS or served or bool(recording.stretches)
    failures = _failures(recording)
    clean = Verdict.CLEAN if watched and not failures else Verdict.NOT_ENOUGH_DATA
    return Report(
        tool=recording.tool,
        target=target,
        verdict=Verdict.FINDINGS
        if any(f.severity is not Severity.NOTE for f in findings)
        else clean,
        findings=findings,
        stalls=counted,
        startup=startup,
        lag=lag,
        entries=entry_costs(recording.held, recording.pulses),
        threads=thread_costs(recording.threads),
        slow=slow_by_themselves(recording.slow, stalls),
        coverage=_coverage(recording, len(stalls)) | {"victims": distinct_victims(counted)},
        gaps=(*_said_of(failures), *_said_of_pauses(paused), *_gaps(recording)),
        failures=failures.total(),
    )


def told_findings(told: Iterable[Told], known: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, by its fingerprint."""
    seen = {finding.fingerprint for finding in known}
    distinct = {each.finding.fingerprint: each.finding for each in told}
    return tuple(finding for mark, finding in distinct.items() if mark not in seen)


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


def _watched_ns(recording: Recording) -> int:
    """Of all loops together."""
    return sum(pulse.until_ns - pulse.from_ns for pulse in recording.pulses)


def _coverage(recording: Recording, stalls: int) -> dict[str, int]:
    return {
        "processes": len(recording.processes),
        "loops": len(recording.loops),
        "requests": sum(pulse.requests for pulse in recording.pulses),
        "watched_ms": _watched_ns(recording) // 1_000_000,
        "stalls": stalls,
    }


_FAILED = "internal "
"""What a monitor counts when its own code raised: this, and the class of the error."""


def _failures(recording: Recording) -> Counter[str]:
    """Errors of the watch itself, by what they were counted as: what it did not see then, nobody knows."""
    failures: Counter[str] = Counter()
    for losses in recording.losses:
        failures.update({k: n for k, n in losses.dropped.items() if k.startswith(_FAILED)})
    return failures


def _said_of(failures: Counter[str]) -> Iterator[str]:
    for failure, times in sorted(failures.items()):
        name = failure.removeprefix(_FAILED)
        yield (
            f"the watch itself failed {times} time{'s' if times > 1 else ''} with {name}: what happened "
            "meanwhile was not seen, so no stall seen is no proof of none; please report it"
        )


def _said_of_pauses(paused: Sequence[Stall]) -> Iterator[str]:
    if paused:
        times = "once" if len(paused) == 1 else f"{len(paused)} times"
        yield (
            f"a loop stood at a debugger's prompt {times}, for "
            f"{seconds(sum(stall.held_ns for stall in paused))} in all: not counted"
        )


def _gaps(recording: Recording) -> tuple[str, ...]:
    gaps = list(recording.flaws)
    dropped: Counter[str] = Counter()
    for losses in recording.losses:
        dropped.update(losses.dropped)
    for failure in _failures(recording):
        del dropped[failure]
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
