"""Metric families as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unstall.export.snapshot import WORKER
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

_MOST_ROWS = 40
_HELD = "unstall_entry_held_seconds"
_SWITCH = "unstall_switch_"
_GROUPS = (
    ("Sections", "unstall_section_"),
    ("Threads", "unstall_thread_"),
    ("Pools", "db_client_connection_"),
    ("Lanes", "unstall_lane_"),
    ("Guard", "unstall_guard_"),
)
"""Title, and how the names of its families begin."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    style: str = ""
    """`bad`, `warn` or `good`."""
    right: bool = False
    wide: bool = False
    """Long text, which may wrap."""
    code: bool = False
    href: str = ""
    title: str = ""
    bar: float | None = None
    """A share from 0 to 1, to be drawn."""


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


def entries(families: Iterable[Family]) -> Table | None:
    """Where requests enter, the dearest first: by the time for which they held the loop."""
    held = next((f for f in families if f.name == _HELD and f.samples), None)
    if held is None:
        return None
    total = sum(sample.value for sample in held.samples) or 1.0
    dearest = sorted(held.samples, key=lambda s: s.value, reverse=True)
    rows = tuple(_entry(sample, total) for sample in dearest[:_MOST_ROWS])
    heads = ("entry", "requests", "held", "share", "mean", "p99", "at most")
    note = (
        "held: the loop could run nothing else; at most: requests per second that one worker could serve "
        "if it did nothing else"
    )
    return Table("Entries by held time", heads, rows, note)


def groups(families: Sequence[Family]) -> list[Table]:
    """One for each group of which there are families: a row for each set of labels."""
    tables = []
    for title, prefix in _GROUPS:
        members = [f for f in families if f.name.startswith(prefix) and f.samples]
        if members:
            tables.append(_pivot(title, prefix, members))
    return tables


def switches(families: Iterable[Family]) -> Table | None:
    """What is switched on, and what switches said; workers that differ for a moment are shown as a span."""
    by_name = {f.name.removeprefix(_SWITCH): f for f in families if f.name.startswith(_SWITCH)}
    shares: dict[str, list[float]] = {}
    for named, value in _named(by_name.get("ratio")):
        shares.setdefault(named["switch"], []).append(value)
    if not shares:
        return None
    said: dict[tuple[str, str], float] = {}
    for named, value in _named(by_name.get("decided_total")):
        key = named["switch"], named["state"]
        said[key] = said.get(key, 0.0) + value
    rows = tuple(
        (
            Cell(switch, wide=True),
            Cell(_share(values), style="good" if min(values) >= 1 else "warn"),
            *(Cell(f"{said.get((switch, state), 0):,.0f}", right=True) for state in ("on", "off")),
        )
        for switch, values in sorted(shares.items())[:_MOST_ROWS]
    )
    failing = any(value for _, value in _named(by_name.get("source_failing")))
    note = "the source cannot be read: the last good states count" if failing else ""
    return Table("Switches", ("switch", "on for", "said on", "said off"), rows, note)


def _named(family: Family | None) -> list[tuple[dict[str, str], float]]:
    """Labels by name, with the value."""
    if family is None:
        return []
    return [
        (dict(zip(family.labels, each.labels, strict=True)), each.value) for each in family.samples
    ]


def _share(values: Sequence[float]) -> str:
    least, most = (
        "all" if value >= 1 else f"{value * 100:.4g} %" if value else "nobody"
        for value in (min(values), max(values))
    )
    return least if least == most else f"{least} to {most}"


def quantile(sample: Sample, q: float) -> float | None:
    """Estimated as Prometheus does, linear within a bucket; None if nothing was counted."""
    count = sum(sample.buckets)
    if not count:
        return None
    rank, seen, lower = q * count, 0, 0.0
    for number, bound in zip(sample.buckets, BOUNDS_S, strict=False):
        if number and seen + number >= rank:
            return lower + (bound - lower) * (rank - seen) / number
        seen, lower = seen + number, bound
    return BOUNDS_S[-1]


def seconds(value: float) -> str:
    """Three digits at most: `0.4 ms`, `12 ms`, `1.5 s`, `3 min`."""
    if value < 0.01:
        return f"{value * 1e3:.1f} ms"
    if value < 1:
        return f"{value * 1e3:.0f} ms"
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min"


def _entry(sample: Sample, total: float) -> tuple[Cell, ...]:
    count = sum(sample.buckets)
    mean = sample.value / count if count else 0.0
    p99 = quantile(sample, 0.99)
    share = sample.value / total
    return (
        Cell(sample.labels[0], wide=True),
        Cell(f"{count:,}", right=True),
        Cell(seconds(sample.value), right=True),
        Cell(f"{share:.0%}", right=True, bar=share),
        Cell(seconds(mean), right=True),
        Cell("" if p99 is None else seconds(p99), right=True),
        Cell(f"{1 / mean:,.0f}/s" if mean else "", right=True),
    )


def _pivot(title: str, prefix: str, members: Sequence[Family]) -> Table:
    """Labels first, then a column for each family, and for each value of a label that only it has."""
    shared = _shared_labels(members)
    columns: list[str] = []
    values: dict[tuple[str, ...], dict[str, Cell]] = {}
    for family in members:
        own = [at for at, name in enumerate(family.labels) if name not in (*shared, WORKER)]
        for sample in family.samples:
            named = dict(zip(family.labels, sample.labels, strict=True))
            key = tuple(named.get(name, "") for name in shared)
            column = " ".join([_short(family.name, prefix), *(sample.labels[at] for at in own)])
            if column not in columns:
                columns.append(column)
            row = values.setdefault(key, {})
            row[column] = _added(row.get(column), family, sample)
    rows = tuple(
        (*map(Cell, key), *(row.get(column, Cell("", right=True)) for column in columns))
        for key, row in sorted(values.items())[:_MOST_ROWS]
    )
    return Table(title, (*shared, *columns), rows, "gauges: the sum of all workers")


def _shared_labels(members: Sequence[Family]) -> tuple[str, ...]:
    """In the order of the first family: those that all have, but for the worker."""
    rest = [set(family.labels) for family in members[1:]]
    return tuple(
        name for name in members[0].labels if name != WORKER and all(name in each for each in rest)
    )


def _added(before: Cell | None, family: Family, sample: Sample) -> Cell:
    if family.kind is Kind.HISTOGRAM:
        count = sum(sample.buckets)
        p99 = quantile(sample, 0.99)
        mean = seconds(sample.value / count) if count else ""
        text = f"{mean} · p99 {seconds(p99)}" if p99 is not None else ""
        return Cell(text, right=True, title=f"{count:,} times")
    total = sample.value + (float(before.title) if before is not None else 0.0)
    return Cell(f"{total:,.6g}", right=True, title=repr(total))


def _short(name: str, prefix: str) -> str:
    plain = name.removeprefix(prefix)
    for ending in ("_total", "_seconds", "_time"):
        plain = plain.removesuffix(ending)
    return plain.replace("_", " ")
