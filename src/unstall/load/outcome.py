"""The mutable half of an outcome: what an event loop notes while a load runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from unstall.clock import NS_PER_S
from unstall.model.histogram import Histogram, HistogramBuilder
from unstall.model.outcome import FIRST_BAD, Second, StreamOutcome


class SecondBuilder:
    """What was due in one second."""

    __slots__ = ("due", "good", "latency")

    def __init__(self) -> None:
        self.due = self.good = 0
        self.latency = HistogramBuilder()


class StreamBuilder:
    """The mutable half of `StreamOutcome`; durations in ns. Written by one event loop.

    `expect` is asked for each request when it is due, and what it gives is handed to whatever tells the
    request's end: so latencies are kept by the second in which they were due.
    """

    __slots__ = (
        "_errors",
        "_lateness",
        "_seconds",
        "_service",
        "_statuses",
        "answered",
        "dropped",
        "due",
        "from_ns",
        "name",
        "resent",
        "sent",
        "timed_out",
        "unanswered",
    )

    def __init__(self, name: str, from_ns: int = 0) -> None:
        self.name = name
        self.due = self.sent = self.answered = self.resent = 0
        self.dropped = self.timed_out = self.unanswered = 0
        self.from_ns = from_ns
        self._seconds: dict[int, SecondBuilder] = {}
        self._statuses: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._service = HistogramBuilder()
        self._lateness = HistogramBuilder()

    def expect(self, intended_ns: int) -> SecondBuilder:
        at = (intended_ns - self.from_ns) // NS_PER_S
        second = self._seconds.get(at)
        if second is None:
            second = self._seconds[at] = SecondBuilder()
        self.due += 1
        second.due += 1
        return second

    def drop(self) -> None:
        self.dropped += 1

    def leave(self, late_ns: int) -> None:
        self.sent += 1
        self._lateness.add(late_ns)

    def resend(self) -> None:
        self.resent += 1

    def answer(self, second: SecondBuilder, status: int, latency_ns: int, service_ns: int) -> None:
        self.answered += 1
        self._statuses[status] += 1
        if status < FIRST_BAD:
            second.good += 1
        second.latency.add(latency_ns)
        self._service.add(service_ns)

    def time_out(self, second: SecondBuilder, waited_ns: int) -> None:
        self.timed_out += 1
        second.latency.add(waited_ns)

    def fail(self, second: SecondBuilder, kind: str, waited_ns: int) -> None:
        self._errors[kind] += 1
        second.latency.add(waited_ns)

    def abandon(self, second: SecondBuilder, waited_ns: int) -> None:
        self.unanswered += 1
        second.latency.add(waited_ns)

    def freeze(self) -> StreamOutcome:
        seconds = tuple(
            Second(at, each.due, each.good, each.latency.freeze())
            for at, each in sorted(self._seconds.items())
        )
        return StreamOutcome(
            name=self.name,
            due=self.due,
            sent=self.sent,
            dropped=self.dropped,
            timed_out=self.timed_out,
            unanswered=self.unanswered,
            resent=self.resent,
            statuses={str(status): n for status, n in sorted(self._statuses.items())},
            errors=dict(sorted(self._errors.items())),
            latency=total(second.latency for second in seconds),
            service=self._service.freeze(),
            lateness=self._lateness.freeze(),
            seconds=seconds,
        )


def total(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of many, in one pass."""
    some = [each for each in histograms if each.count]
    if not some:
        return Histogram()
    counts: Counter[int] = Counter()
    for each in some:
        counts.update(dict(each.buckets))
    return Histogram(
        tuple(sorted(counts.items())),
        sum(each.count for each in some),
        sum(each.sum_ns for each in some),
        min(each.min_ns for each in some),
        max(each.max_ns for each in some),
    )
