"""The mutable half of an outcome: what an event loop notes while a load runs."""

from __future__ import annotations

from collections import Counter

from unstall.model.histogram import HistogramBuilder
from unstall.model.outcome import StreamOutcome


class StreamBuilder:
    """The mutable half of `StreamOutcome`; durations in ns. Written by one event loop."""

    __slots__ = (
        "_errors",
        "_lateness",
        "_latency",
        "_service",
        "_statuses",
        "answered",
        "dropped",
        "due",
        "name",
        "sent",
        "timed_out",
        "unanswered",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.due = self.sent = self.answered = 0
        self.dropped = self.timed_out = self.unanswered = 0
        self._statuses: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()
        self._latency = HistogramBuilder()
        self._service = HistogramBuilder()
        self._lateness = HistogramBuilder()

    def leave(self, late_ns: int) -> None:
        self.sent += 1
        self._lateness.add(late_ns)

    def answer(self, status: int, latency_ns: int, service_ns: int) -> None:
        self.answered += 1
        self._statuses[str(status)] += 1
        self._latency.add(latency_ns)
        self._service.add(service_ns)

    def time_out(self, waited_ns: int) -> None:
        self.timed_out += 1
        self._latency.add(waited_ns)

    def fail(self, kind: str, waited_ns: int) -> None:
        self._errors[kind] += 1
        self._latency.add(waited_ns)

    def abandon(self, waited_ns: int) -> None:
        self.unanswered += 1
        self._latency.add(waited_ns)

    def freeze(self) -> StreamOutcome:
        return StreamOutcome(
            name=self.name,
            due=self.due,
            sent=self.sent,
            dropped=self.dropped,
            timed_out=self.timed_out,
            unanswered=self.unanswered,
            statuses=dict(sorted(self._statuses.items())),
            errors=dict(sorted(self._errors.items())),
            latency=self._latency.freeze(),
            service=self._service.freeze(),
            lateness=self._lateness.freeze(),
        )
