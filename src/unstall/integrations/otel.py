"""OpenTelemetry: stalls on the span of whoever caused them, and unstall's numbers as metrics.

A stall becomes an event `event_loop.stall` on the span that was current in the stalled step, added from a
thread of ours while the loop stands, for the span may end in that very step. Its last word is an event too if
the span is still open then, and a span of its own, its child, if it has ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unstall.errors import UsageError
from unstall.explain.findings import code_of
from unstall.meters import METERS, Meters
from unstall.model.finding import Stall
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample
from unstall.version import VERSION
from unstall.watch.callbacks import Worker
from unstall.watch.monitor import Monitor, Statistics

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, Tracer, TracerProvider

STALL = "event_loop.stall"
_MOST_LASTING = 64
_FRESH_S = 1.0


class OpenTelemetry:
    """From `start` to `stop`, what a monitor sees; providers are the application's unless given."""

    def __init__(
        self,
        monitor: Monitor,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Raises UsageError where the API of OpenTelemetry is not installed."""
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            raise UsageError(
                "opentelemetry-api is not installed, and the OpenTelemetry integration needs it: "
                "pip install opentelemetry-sdk"
            ) from None
        tracer = trace.get_tracer("unstall", VERSION, tracer_provider)
        self._monitor = monitor
        self._spans = StallSpans(tracer)
        self._current_span: Callable[[], Span] = trace.get_current_span
        meter = metrics.get_meter("unstall", VERSION, meter_provider)
        self._metrics = Instruments(meter, monitor)

    def start(self) -> OpenTelemetry:
        self._monitor.subscribe(self._spans.tell, self._current_span)
        self._metrics.start()
        return self

    def stop(self) -> None:
        """Instruments cannot be taken back from OpenTelemetry: they go on and observe nothing."""
        self._metrics.stop()
        self._monitor.unsubscribe(self._spans.tell)


# --- spans ----------------------------------------------------------------------------------


class StallSpans:
    """Called on one thread of ours. `epoch_ns` turns monotonic into wall-clock nanoseconds."""

    def __init__(
        self,
        tracer: Tracer,
        epoch_ns: Callable[[], int] = lambda: time.time_ns() - time.monotonic_ns(),
    ) -> None:
        self._tracer = tracer
        self._epoch_ns = epoch_ns
        self._told: dict[tuple[str, int, int], None] = {}

    def tell(self, stall: Stall, span: Span | None) -> None:
        if span is None:
            return
        key = stall.process, stall.loop, stall.from_ns
        if stall.ongoing and key in self._told:
            return  # the first word has named it, the last one will price it
        if stall.ongoing:
            self._told[key] = None
            if len(self._told) > _MOST_LASTING:
                del self._told[next(iter(self._told))]
        else:
            self._told.pop(key, None)
        began = stall.from_ns + self._epoch_ns()
        if span.is_recording():
            span.add_event(STALL, attributes_of(stall), timestamp=began)
        elif not stall.ongoing and span.get_span_context().trace_flags.sampled:
            self._child(stall, span, began)

    def _child(self, stall: Stall, ended: Span, began: int) -> None:
        from opentelemetry.trace import set_span_in_context

        child = self._tracer.start_span(
            STALL,
            context=set_span_in_context(ended),
            start_time=began,
            attributes=attributes_of(stall),
        )
        child.end(end_time=began + stall.held_ns)


def attributes_of(stall: Stall) -> dict[str, str | int | float | bool]:
    """Names of the semantic conventions where there are some; what is not known is left out."""
    known: dict[str, str | int | float | bool | None] = {
        f"{STALL}.cause": str(stall.cause),
        f"{STALL}.because": stall.because,
        f"{STALL}.rule": code_of(stall),
        f"{STALL}.duration": round(stall.held_ns / 1e9, 6),
        f"{STALL}.ongoing": stall.ongoing,
        f"{STALL}.victims": stall.victims,
        f"{STALL}.entry": stall.entry.name if stall.entry else None,
        f"{STALL}.syscall": stall.syscall,
        f"{STALL}.peer": stall.peer,
    }
    if stall.site is not None:
        known |= {
            f"{STALL}.call": stall.site.call or None,
            "code.file.path": stall.site.file,
            "code.line.number": stall.site.line,
            "code.function.name": stall.site.function,
        }
    return {name: value for name, value in known.items() if value is not None}


# --- metrics --------------------------------------------------------------------------------

_NAMESPACES = (
    "asyncio_eventloop", "asyncio", "db_client_connection", "http_server", "unstall_lane",
    "unstall_guard", "unstall_entry", "unstall_threads", "unstall",
)  # fmt: skip
"""Beginnings of names in which `_` stands for a dot of OpenTelemetry; the first that fits."""
_UNITS = {"_seconds": "s", "_bytes": "By", "_ratio": "1"}
_LABELS = {("db_client_connection", "pool"): "db.client.connection.pool.name"}


def otel_name(family: Family) -> tuple[str, str]:
    """Name and unit: `asyncio_eventloop_lag_seconds` is `asyncio.eventloop.lag` in `s`."""
    name = family.name.removesuffix("_total")
    unit = ""
    for suffix, known in _UNITS.items():
        if name.endswith(suffix):
            name, unit = name.removesuffix(suffix), known
    space = _namespace(name)
    return f"{space.replace('_', '.')}.{name[len(space) + 1 :]}" if space else name, unit


def _namespace(name: str) -> str:
    return next((space for space in _NAMESPACES if name.startswith(f"{space}_")), "")


def of_statistics(statistics: Statistics) -> tuple[Family, ...]:
    """What a monitor says of itself, as families."""

    def single(name: str, kind: Kind, help: str, value: float) -> Family:
        return Family(name, kind, help, samples=(Sample((), value),))

    dropped = tuple(Sample((what,), n) for what, n in sorted(statistics.dropped.items()))
    return (
        single("asyncio_eventloop_blocked_seconds", Kind.GAUGE,
               "Age of the longest stall going on now.", statistics.blocked_s),
        single("asyncio_eventloop_stalls_total", Kind.COUNTER,
               "Stalls of event loops that are over.", statistics.stalls),
        single("asyncio_eventloop_watched", Kind.GAUGE,
               "Event loops that are watched.", statistics.loops),
        Family("unstall_dropped_total", Kind.COUNTER,
               "What was seen and could not be kept.", ("what",), dropped),
    )  # fmt: skip


class Instruments:
    """One observable instrument for each family, three for a histogram: OpenTelemetry has no observable one.

    They read the meters of the process when metrics are collected, off the loop. A family that appears later
    gets its instruments on a thread of ours, before the collection after.
    """

    def __init__(
        self,
        meter: Any,
        monitor: Monitor,
        meters: Meters = METERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meter = meter
        self._monitor = monitor
        self._meters = meters
        self._clock = clock
        self._active = False
        self._made: set[str] = set()
        self._read: tuple[float, Mapping[str, Family]] = (-_FRESH_S, {})
        self._maker: Worker[bool] = Worker(lambda _: self._make(), lambda _: None)

    def start(self) -> None:
        self._active = True
        self._make()

    def stop(self) -> None:
        self._active = False
        self._maker.stop()

    def _families(self) -> Mapping[str, Family]:
        """Read once for a collection, which asks every instrument in turn."""
        read_s, families = self._read
        now = self._clock()
        if now - read_s >= _FRESH_S:
            own = of_statistics(self._monitor.statistics())
            families = {each.name: each for each in (*own, *self._meters.families())}
            self._read = now, families
            if not families.keys() <= self._made:
                self._maker.put(True)
        return families

    def _make(self) -> None:
        for family in list(self._families().values()):
            if family.name not in self._made:
                self._made.add(family.name)
                self._instruments(family)

    def _instruments(self, family: Family) -> None:
        name, unit = otel_name(family)
        meter = self._meter
        if family.kind is Kind.GAUGE:
            meter.create_observable_gauge(name, [self._observe(family, _values)], unit, family.help)
        elif family.kind is Kind.COUNTER:
            meter.create_observable_counter(
                name, [self._observe(family, _values)], unit, family.help
            )
        else:
            for suffix, read, its_unit in (
                ("count", _counts, ""), ("sum", _values, unit), ("bucket", _buckets, ""),
            ):  # fmt: skip
                meter.create_observable_counter(
                    f"{name}.{suffix}", [self._observe(family, read)], its_unit, family.help
                )

    def _observe(
        self, family: Family, read: Callable[[Sample], Iterable[tuple[dict[str, str], float]]]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        space = _namespace(family.name)
        labels = [_LABELS.get((space, label), label) for label in family.labels]

        def observe(_: CallbackOptions) -> Iterator[Observation]:
            from opentelemetry.metrics import Observation

            if not self._active:
                return
            current = self._families().get(family.name)
            for sample in current.samples if current else ():
                attributes = dict(zip(labels, sample.labels, strict=False))
                for more, value in read(sample):
                    yield Observation(value, attributes | more)

        return observe


def _values(sample: Sample) -> Iterator[tuple[dict[str, str], float]]:
    yield {}, sample.value


def _counts(sample: Sample) -> Iterator[tuple[dict[str, str], float]]:
    yield {}, sum(sample.buckets)


def _buckets(sample: Sample) -> Iterator[tuple[dict[str, str], float]]:
    """Added up, as Prometheus has them: how many took no longer than `le`."""
    so_far = 0
    for bound, number in zip((*map(repr, BOUNDS_S), "+Inf"), sample.buckets, strict=False):
        so_far += number
        yield {"le": bound}, so_far
