"""What came back from a load, per stream: values that merge without loss.

Every request that was due is counted once:

    due  = sent + dropped
    sent = answered + timed out + failed + unanswered

and every request that was sent is in `latency` once, counted from the moment it was MEANT to leave:

    answered     until the last byte of the answer was read, whatever its status
    timed out    until it was given up, so at least that long
    unanswered   until the end of the run, so at least that long
    failed       the time-out, or longer if it took longer: it broke without an answer, and nobody
                 who waits that long gets one. A refused connection must not look like a fast answer

A quantile is thus never better than what a caller saw. Dropped requests never left and are in no
histogram: the cap was too low for this server, and `dropped` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from unstall.clock import NS_PER_MS
from unstall.model.codec import dump, load_document
from unstall.model.histogram import Histogram

# Latency is right however late a request left, but it then contains the generator's own delay. Half
# of the 50 ms a witness is usually allowed: beyond it the generator alone could turn a verdict.
LATENESS_BOUND_NS = 25 * NS_PER_MS

FIRST_BAD = 500
"""Whoever gets this status, or a higher one, is not served."""

VERSION = 1
EMPTY = Histogram()


@dataclass(frozen=True, slots=True)
class Second:
    """What was due in one second of a run, and what came of it, whenever that was known."""

    at: int
    """Whole seconds since the start."""
    due: int = 0
    good: int = 0
    """Answered with a status below 500."""
    latency: Histogram = EMPTY

    def __add__(self, other: Second) -> Second:
        return Second(
            self.at, self.due + other.due, self.good + other.good, self.latency + other.latency
        )


@dataclass(frozen=True, slots=True)
class StreamOutcome:
    """The counts and distributions of one stream; the module explains how they add up.

    `statuses` counts answers by status (`"200"`), `errors` what broke by kind (`"connect"`).
    `service` is from the real send to the answer, of answered requests only. `lateness` is from the
    intended to the real send: the generator's own fault.
    """

    name: str
    due: int = 0
    sent: int = 0
    dropped: int = 0
    timed_out: int = 0
    unanswered: int = 0
    resent: int = 0
    """Sent once more, because the server was closing the idle connection that they had been sent on."""
    statuses: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    latency: Histogram = EMPTY
    service: Histogram = EMPTY
    lateness: Histogram = EMPTY
    seconds: tuple[Second, ...] = ()
    """The same requests, by the second in which they were due; only those in which some were."""

    @property
    def answered(self) -> int:
        """Requests that got an answer, of any status."""
        return sum(self.statuses.values())

    def answered_below(self, status: int) -> int:
        """Answers with a status below that; an end that is no status (`"done"`, of a flow) is a good one."""
        return sum(
            count
            for told, count in self.statuses.items()
            if not told.isdecimal() or int(told) < status
        )

    @property
    def served(self) -> int:
        """Answered with a status below 500, or by a flow that got to its end."""
        return self.answered_below(FIRST_BAD)

    @property
    def unserved(self) -> int:
        """Due, and not served: those that were dropped, too."""
        return self.due - self.served

    @property
    def failed(self) -> int:
        """Requests that broke without an answer."""
        return sum(self.errors.values())

    @property
    def trustworthy(self) -> bool:
        """Whether the requests left when they were meant to: p99 lateness within 25 ms."""
        return _punctual(self.lateness)

    def __add__(self, other: StreamOutcome) -> StreamOutcome:
        """The same stream from two generators, or two parts of a run."""
        return StreamOutcome(
            name=self.name,
            due=self.due + other.due,
            sent=self.sent + other.sent,
            dropped=self.dropped + other.dropped,
            timed_out=self.timed_out + other.timed_out,
            unanswered=self.unanswered + other.unanswered,
            resent=self.resent + other.resent,
            statuses=_sum(self.statuses, other.statuses),
            errors=_sum(self.errors, other.errors),
            latency=self.latency + other.latency,
            service=self.service + other.service,
            lateness=self.lateness + other.lateness,
            seconds=_by_second((*self.seconds, *other.seconds)),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """All streams of a run, in the order they were given."""

    streams: tuple[StreamOutcome, ...] = ()

    def __getitem__(self, name: str) -> StreamOutcome:
        """The stream of that name. Raises `KeyError`."""
        stream = self.get(name)
        if stream is None:
            raise KeyError(name)
        return stream

    def get(self, name: str) -> StreamOutcome | None:
        """The stream of that name."""
        return next((stream for stream in self.streams if stream.name == name), None)

    @property
    def lateness(self) -> Histogram:
        """How late the generator was, over all streams."""
        return reduce(Histogram.__add__, (each.lateness for each in self.streams), EMPTY)

    @property
    def trustworthy(self) -> bool:
        """Whether the load was the one that was asked for: p99 lateness within 25 ms."""
        return _punctual(self.lateness)

    def __add__(self, other: Outcome) -> Outcome:
        """Both runs; streams of the same name become one."""
        return Outcome(merge((*self.streams, *other.streams)))

    def to_json(self) -> dict[str, Any]:
        return {"version": VERSION, "trustworthy": self.trustworthy, **dump(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        """Raises `RecordingError` when `data` is no outcome, `NewerRecording` for a later format."""
        return load_document(
            cls, data, newest=VERSION, name="outcome", whole="the outcome of a load"
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """A glance at a run, all streams together. `elapsed_ns` is since the start."""

    elapsed_ns: int
    due: int
    sent: int
    answered: int
    in_flight: int


def merge(streams: Iterable[StreamOutcome]) -> tuple[StreamOutcome, ...]:
    """Streams of the same name added up, in the order of first appearance."""
    by_name: dict[str, StreamOutcome] = {}
    for stream in streams:
        known = by_name.get(stream.name)
        by_name[stream.name] = known + stream if known else stream
    return tuple(by_name.values())


def _by_second(seconds: Iterable[Second]) -> tuple[Second, ...]:
    merged: dict[int, Second] = {}
    for second in seconds:
        known = merged.get(second.at)
        merged[second.at] = known + second if known else second
    return tuple(merged[at] for at in sorted(merged))


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {key: one.get(key, 0) + other.get(key, 0) for key in sorted({*one, *other})}


def _punctual(lateness: Histogram) -> bool:
    p99 = lateness.quantile_ns(0.99)
    return p99 is not None and p99 <= LATENESS_BOUND_NS
