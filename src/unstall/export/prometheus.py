"""Families as text that Prometheus reads: its own format 0.0.4, or OpenMetrics 1.0 for who asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

from unstall.export.snapshot import is_info
from unstall.model.metric import BOUNDS_S, Family, Kind, Sample

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_BOUNDS = (*map(repr, BOUNDS_S), "+Inf")


def wants_openmetrics(accept: str) -> bool:
    """Whether an `Accept` header prefers OpenMetrics to plain text."""
    asked = dict(map(_preference, accept.split(",")))
    ours = asked.get("application/openmetrics-text", 0.0)
    return ours > 0 and ours >= max(asked.get("text/plain", 0.0), asked.get("text/*", 0.0))


def render(families: Iterable[Family], *, openmetrics: bool = False) -> Iterator[str]:
    """A piece of text for each family; a name that came already is left out."""
    seen: set[str] = set()
    for family in families:
        if family.name not in seen:
            seen.add(family.name)
            yield "\n".join([*_head(family, openmetrics), *_series(family)]) + "\n"
    if openmetrics:
        yield "# EOF\n"


def _preference(part: str) -> tuple[str, float]:
    kind, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return kind, float(parameter[2:])
            except ValueError:
                return kind, 0.0
    return kind, 1.0


def _head(family: Family, openmetrics: bool) -> Iterator[str]:
    name, kind = family.name, str(family.kind)
    if openmetrics and family.kind is Kind.COUNTER:
        name = name.removesuffix("_total")
    elif openmetrics and is_info(family):
        name, kind = name.removesuffix("_info"), "info"
    elif family.kind is Kind.COUNTER:
        name = _counted(name)
    help = family.help.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        help = help.replace('"', r"\"")
    yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _series(family: Family) -> Iterator[str]:
    name = _counted(family.name) if family.kind is Kind.COUNTER else family.name
    for sample in family.samples:
        labels = _labels(family.labels, sample.labels)
        if family.kind is Kind.HISTOGRAM:
            yield from _histogram(name, labels, sample)
        else:
            yield f"{name}{_braced(labels)} {_number(sample.value)}"


def _histogram(name: str, labels: str, sample: Sample) -> Iterator[str]:
    comma = "," if labels else ""
    total = 0
    for bound, total in zip(_BOUNDS, accumulate(sample.buckets), strict=True):
        yield f'{name}_bucket{{{labels}{comma}le="{bound}"}} {total}'
    yield f"{name}_count{_braced(labels)} {total}"
    yield f"{name}_sum{_braced(labels)} {_number(sample.value)}"


def _counted(name: str) -> str:
    return name if name.endswith("_total") else f"{name}_total"


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{n}="{_escaped(v)}"' for n, v in zip(names, values, strict=True))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    if value != value:  # noqa: PLR0124
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
