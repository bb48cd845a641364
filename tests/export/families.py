"""Short builders for families."""

from __future__ import annotations

from unstall.model.metric import BOUNDS_S, Family, Kind, Sample


def counter(
    name: str, *values: tuple[tuple[str, ...], float], labels: tuple[str, ...] = ()
) -> Family:
    return Family(
        name, Kind.COUNTER, "How often.", labels, tuple(Sample(*value) for value in values)
    )


def gauge(
    name: str, *values: tuple[tuple[str, ...], float], labels: tuple[str, ...] = ()
) -> Family:
    return Family(name, Kind.GAUGE, "How much.", labels, tuple(Sample(*value) for value in values))


def histogram(
    name: str, seconds: float, counts: dict[int, int], *,
    labels: tuple[str, ...] = (), values: tuple[str, ...] = (),
) -> Family:  # fmt: skip
    """`counts` by the number of the bucket."""
    buckets = tuple(counts.get(at, 0) for at in range(len(BOUNDS_S) + 1))
    return Family(name, Kind.HISTOGRAM, "How long.", labels, (Sample(values, seconds, buckets),))
