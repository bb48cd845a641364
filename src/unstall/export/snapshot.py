"""Families as compact JSON, and the sum of those of several workers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unstall.export.slot import MOST_BYTES
from unstall.meters import MOST_SERIES, OTHER
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

WORKER = "worker"
"""The label, a process number, of what cannot be added up."""
_BUCKETS = len(BOUNDS_S) + 1


def encode(families: Iterable[Family], **beside: Any) -> bytes:
    """At most `MOST_BYTES`: the last families that do not fit are left out, and named."""
    said = json.dumps(beside, separators=(",", ":"))[1:-1]
    pieces: list[str] = []
    left_out: list[str] = []
    room = MOST_BYTES - len(said.encode()) - 1_000
    for family in families:
        piece = json.dumps(_packed(family), separators=(",", ":"))  # pure ASCII
        room -= len(piece) + 1
        if room >= 0:
            pieces.append(piece)
        else:
            room += len(piece) + 1
            left_out.append(family.name[:60])
    rest = f",{said}" if said else ""
    return (
        f'{{"families":[{",".join(pieces)}],"left_out":{json.dumps(left_out[:10])}{rest}}}'.encode()
    )


def families_in(snapshot: Mapping[str, Any]) -> list[Family]:
    return [_unpacked(*packed) for packed in snapshot.get("families", ())]


def buried_in(snapshot: Mapping[str, Any]) -> list[list[int]]:
    """Number of the process, and since when it had its slot, of those that were added last to the gone."""
    return list(snapshot.get("buried", ()))


def summed(workers: Iterable[Sequence[Family]]) -> tuple[Family, ...]:
    """Counters and histograms added up; gauges are left out. As bounded as one worker's."""
    kept: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, ...], Sample]] = {}
    for family in (family for families in workers for family in families):
        first = kept.setdefault(family.name, family)
        if family.kind is Kind.GAUGE or (family.kind, family.labels) != (first.kind, first.labels):
            continue
        series = sums.setdefault(family.name, {})
        for sample in family.samples:
            labels = sample.labels
            if labels not in series and len(series) >= MOST_SERIES:
                labels = (OTHER,) * len(labels)
            before = series.get(labels)
            series[labels] = Sample(labels, sample.value, sample.buckets) if before is None else (
                _sum(before, sample)
            )  # fmt: skip
    return tuple(
        _with(kept[name], kept[name].labels, sorted(series.values(), key=lambda s: s.labels))
        for name, series in sums.items()
    )


def side_by_side(workers: Mapping[int, Sequence[Family]]) -> tuple[Family, ...]:
    """The gauges of each worker, by its process number; `…_info` are the same for all."""
    kept: dict[str, Family] = {}
    samples: dict[str, dict[tuple[str, ...], Sample]] = {}
    for pid, families in workers.items():
        for family in (family for family in families if family.kind is Kind.GAUGE):
            first = kept.setdefault(family.name, family)
            if first.labels != family.labels:
                continue
            own = () if is_info(family) else (str(pid),)
            for sample in family.samples:
                labels = own + sample.labels
                samples.setdefault(family.name, {})[labels] = Sample(labels, sample.value)
    return tuple(
        _with(family, family.labels if is_info(family) else (WORKER, *family.labels),
              samples.get(name, {}).values())
        for name, family in kept.items()
    )  # fmt: skip


def is_info(family: Family) -> bool:
    return family.name.endswith("_info")


def _sum(one: Sample, other: Sample) -> Sample:
    buckets = tuple(map(sum, zip(one.buckets, other.buckets, strict=True)))
    return Sample(one.labels, one.value + other.value, buckets)


def _with(family: Family, labels: tuple[str, ...], samples: Iterable[Sample]) -> Family:
    return Family(family.name, family.kind, family.help, labels, tuple(samples))


def _packed(family: Family) -> list[Any]:
    samples = [
        [sample.labels, sample.value, _trimmed(sample.buckets)] if sample.buckets
        else [sample.labels, sample.value]
        for sample in family.samples
    ]  # fmt: skip
    return [family.name, family.kind, family.help, family.labels, samples]


def _unpacked(name: str, kind: str, help: str, labels: list[str], samples: list[Any]) -> Family:
    return Family(name, Kind(kind), help, tuple(labels), tuple(_sample(*each) for each in samples))


def _sample(labels: list[str], value: float, buckets: Sequence[int] = ()) -> Sample:
    full = (*buckets, *(0,) * (_BUCKETS - len(buckets))) if buckets else ()
    return Sample(tuple(labels), value, full)


def _trimmed(buckets: tuple[int, ...]) -> tuple[int, ...]:
    """Without the zeros at the end, but never empty: that would be no histogram."""
    last = next((at for at in range(len(buckets), 1, -1) if buckets[at - 1]), 1)
    return buckets[:last]
