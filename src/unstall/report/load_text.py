"""A load for a terminal: one table, and what decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstall.model.histogram import Histogram
from unstall.model.outcome import StreamOutcome
from unstall.model.proof import Judged, Phase, Run
from unstall.report.units import clean, counted, duration, table
from unstall.triage.secrets import without_secrets_of

_HEADS = (
    "scenario", "due", "answered", "errors", "dropped", "p50", "p95", "p99", "service p99",
)  # fmt: skip


def text(run: Run) -> str:
    """Without a final newline, and without secrets: a job's log is kept, too."""
    run = without_secrets_of(run)
    parts = [_phase(run, phase) for phase in run.phases]
    parts.append([_judged(each) for each in run.thresholds])
    parts.append([f"  {clean(gap)}" for gap in run.gaps])
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _phase(run: Run, phase: Phase) -> list[str]:
    rate = sum(stream.due for stream in phase.outcome.streams) / max(phase.seconds, 1e-9)
    often = f", repeat {phase.repeat + 1}" if run.plan.repeat > 1 else ""
    ended = ", interrupted" if run.interrupted else ""
    target = clean(run.target)
    head = f"{target}: {rate:,.1f} requests a second due, {phase.seconds:.0f} s{often}{ended}"
    known = phase.outcome.trustworthy
    return [
        head,
        *table(_HEADS, [_row(stream, known) for stream in phase.outcome.streams]),
        *_broken(phase.outcome.streams),
        f"  {phase.verdict}: {phase.because}",
    ]


def _row(stream: StreamOutcome, known: bool) -> tuple[str, ...]:
    """Latencies that contain the generator's own are none."""
    return (
        stream.name,
        str(stream.due),
        str(stream.answered),
        str(stream.unserved),
        str(stream.dropped),
        *(_time(stream.latency, q, known) for q in (0.5, 0.95, 0.99)),
        _time(stream.service, 0.99, known),
    )


def _time(histogram: Histogram, q: float, known: bool) -> str:
    ns = histogram.quantile_ns(q) if known else None
    return "-" if ns is None else duration(ns)


def _broken(streams: Sequence[StreamOutcome]) -> Iterator[str]:
    """What the errors were, a line for each stream that has some."""
    for stream in streams:
        statuses = (
            (f"with status {key}", n) for key, n in stream.statuses.items() if int(key) >= 400
        )
        others = {
            "timed out": stream.timed_out,
            "unanswered": stream.unanswered,
            "sent once more": stream.resent,
        }
        kinds = [*statuses, *stream.errors.items(), *others.items()]
        if told := [f"{n} {kind}" for kind, n in kinds if n]:
            yield f"  {clean(stream.name)}: {', '.join(told)}"
        if stream.dropped:
            yield (
                f"  {clean(stream.name)}: {counted(stream.dropped, 'request')} never left, because as many "
                "as in_flight allows were open; no latency holds them"
            )


def _judged(judged: Judged) -> str:
    word = "held" if judged.held else "missed" if judged.value is not None else "not measured"
    value = "" if judged.value is None else f": {judged.value:g}"
    return f"  {word:<12}  {clean(judged.text)}{value}"
