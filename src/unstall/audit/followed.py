"""Calls of installed packages that no row knows, judged by what they surely come to inside."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from unstall.audit.judge import Hit, Judged
from unstall.audit.packages import Packages
from unstall.audit.summaries import Summary, summaries
from unstall.audit.walk import Walk
from unstall.audit.walk_nodes import Node, Outside
from unstall.catalog.table import Table

_MOST_NAMED = 8
_LIKELY = 1
"""Guesses: another version may do it otherwise."""


def followed(
    judged: Judged, found: Collection[Node], walk: Walk, table: Table, packages: Packages
) -> tuple[Judged, tuple[str, ...]]:
    """The same with those that block, and as gaps what could not be followed."""
    asked = {
        node: {name: each for each in many if (name := _installed(each))}
        for node, many in judged.unknown.items()
        if node in found
    }
    names = [name for many in asked.values() for name in many]
    known, unread = summaries(names, packages, table, walk.types.project.slips)
    hits, unknown = dict(judged.hits), dict(judged.unknown)
    for node in asked:
        many = judged.unknown[node]
        own = tuple(
            _hit(each, known[_installed(each)]) for each in many if _installed(each) in known
        )
        if own:
            hits[node] = (*hits.get(node, ()), *own)
            unknown[node] = tuple(each for each in many if _installed(each) not in known)
    return replace(judged, hits=hits, unknown=unknown), tuple(_gaps(unread, packages))


def _installed(outside: Outside) -> str:
    """The name of a call into neither the project nor Python itself; empty: another one.

    What is awaited gives the loop back, and what it waits for is the package's own matter.
    """
    name = outside.value.name if outside.value is not None else ""
    top = name.partition(".")[0]
    if outside.seen.event.awaited or ":" in name or not top or top in _STANDARD:
        return ""
    return name


_STANDARD = sys.stdlib_module_names | {"builtins"}


def _hit(outside: Outside, summary: Summary) -> Hit:
    """What is only true of the call inside is left out of the row."""
    row = replace(summary.row, instead="", time_out=None)
    return Hit(row, summary.text, outside.place, outside, _LIKELY)


def _gaps(unread: Sequence[str], packages: Packages) -> Iterator[str]:
    if not packages.folders:
        yield "no environment was found: calls into packages that the catalog does not know are not followed"
    elif unread:
        more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
        yield (
            f"calls into {', '.join(unread[:_MOST_NAMED])}{more} are not followed: their source is not in "
            f"{packages.folders[0]} (--python names another environment)"
        )
