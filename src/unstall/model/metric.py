"""Metrics as values: what an exporter renders, whatever its format."""

from __future__ import annotations

import enum
from dataclasses import dataclass

BOUNDS_S = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of the buckets of every histogram, in seconds; the last bucket, without one, follows."""


class Kind(enum.StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One series at one moment."""

    labels: tuple[str, ...]
    """Values, in the order of the family's `labels`."""
    value: float = 0.0
    """Of a counter or a gauge; the sum, in seconds, of a histogram."""
    buckets: tuple[int, ...] = ()
    """Of a histogram: how many fell into each bucket, not added up; one more than `BOUNDS_S`."""


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one name."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    samples: tuple[Sample, ...] = ()
