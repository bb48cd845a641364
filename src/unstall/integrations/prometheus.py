"""For applications that serve metrics with prometheus_client already: ours in their registry.

    exporter = Exporter(Monitor().start()).start()
    UnstallCollector(exporter)

Their `/metrics` runs on the event loop as a rule, and cannot be scraped while that is blocked. What any
worker answers holds for all of them, so it does not matter which one a scrape reaches.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import TYPE_CHECKING

from unstall.errors import UsageError
from unstall.export.exporter import Exporter
from unstall.model.metric import BOUNDS_S, Family, Kind

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

_BOUNDS = (*map(repr, BOUNDS_S), "+Inf")


class UnstallCollector:
    """All families of an exporter, asked for when somebody scrapes.

    Registers itself in `registry`, or in the default one. Raises UsageError without prometheus_client.
    """

    def __init__(self, exporter: Exporter, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import REGISTRY
        except ImportError:
            raise UsageError(
                "prometheus_client is not installed, and UnstallCollector needs it: install it, or let the "
                "exporter serve a port of its own"
            ) from None
        self._exporter = exporter
        (REGISTRY if registry is None else registry).register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing yet: what there is depends on what has happened."""
        return []

    def collect(self) -> Iterable[Metric]:
        return [metric_of(family) for family in self._exporter.families()]


def metric_of(family: Family) -> Metric:
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    name, help, labels = family.name, family.help, family.labels
    match family.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(name, help, labels=labels)
            for sample in family.samples:
                counter.add_metric(sample.labels, sample.value)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(name, help, labels=labels)
            for sample in family.samples:
                gauge.add_metric(sample.labels, sample.value)
            return gauge
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(name, help, labels=labels)
            for sample in family.samples:
                buckets = list(zip(_BOUNDS, accumulate(sample.buckets), strict=True))
                histogram.add_metric(sample.labels, buckets, sample.value)
            return histogram
