"""From measured paths to what entries and pools of threads cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from unstall.model.anatomy import Held, SlowRequest, Threads, merged_held, merged_threads
from unstall.model.cost import EntryCost, PieceCost, ThreadCost
from unstall.model.finding import Stall
from unstall.model.histogram import Histogram
from unstall.model.observation import Pulse

_MOST_FUNCTIONS = 3
_ROOTS = ("request", "websocket")


def entry_costs(rows: Iterable[Held], pulses: Sequence[Pulse]) -> tuple[EntryCost, ...]:
    """Every entry of all processes, the one that held loops longest first."""
    watched = sum(pulse.until_ns - pulse.from_ns for pulse in pulses)
    by_entry: dict[str, list[Held]] = {}
    for row in merged_held(replace(row, process="") for row in rows):
        by_entry.setdefault(row.entry, []).append(row)
    costs = [_entry_cost(entry, pieces, watched) for entry, pieces in by_entry.items()]
    return tuple(sorted(costs, key=lambda cost: cost.held.sum_ns, reverse=True))


def _entry_cost(entry: str, rows: Sequence[Held], watched_ns: int) -> EntryCost:
    roots = [row for row in rows if row.piece in _ROOTS and row.depth == 0]
    held = sum((row.held for row in roots), Histogram())
    return EntryCost(
        entry=entry,
        calls=sum(row.calls for row in roots),
        held=held,
        took_ns=sum(row.took_ns for row in roots),
        took_max_ns=max((row.took_max_ns for row in roots), default=0),
        share=min(1.0, held.sum_ns / watched_ns) if watched_ns else None,
        pieces=tuple(
            PieceCost(
                row.piece, row.name, row.depth, row.calls, row.took_ns, row.held.sum_ns, row.own_ns,
                row.queued_ns, row.worked_ns, row.hops, row.away_ns,
            )
            for row in sorted(rows, key=_begins)
        ),
    )  # fmt: skip


def _begins(row: Held) -> tuple[float, int]:
    """So that a piece that only some requests have stands where it belongs, and not at the end."""
    return row.began_ns / max(1, row.calls), row.depth


def slow_by_themselves(
    requests: Iterable[SlowRequest], stalls: Sequence[Stall]
) -> tuple[SlowRequest, ...]:
    """Without those that spent half their time in a stall of their process: its victims, told of there."""
    return tuple(
        request for request in requests if 2 * _stalled_ns(request, stalls) < request.took_ns
    )


def _stalled_ns(request: SlowRequest, stalls: Sequence[Stall]) -> int:
    began = request.until_ns - request.took_ns
    return sum(
        max(0, min(request.until_ns, stall.until_ns) - max(began, stall.from_ns))
        for stall in stalls
        if stall.process == request.process
    )


def thread_costs(rows: Iterable[Threads]) -> tuple[ThreadCost, ...]:
    """Every pool of all processes, the one that was waited for longest first."""
    by_pool: dict[str, list[Threads]] = {}
    for row in merged_threads(replace(row, process="") for row in rows):
        by_pool.setdefault(row.pool, []).append(row)
    costs = [_thread_cost(pool, functions) for pool, functions in by_pool.items()]
    return tuple(sorted(costs, key=lambda cost: cost.queued.sum_ns, reverse=True))


def _thread_cost(pool: str, rows: Sequence[Threads]) -> ThreadCost:
    worst = sorted(rows, key=lambda row: row.worked.sum_ns, reverse=True)
    return ThreadCost(
        pool=pool,
        tokens=max(row.tokens for row in rows),
        calls=sum(row.calls for row in rows),
        queued=sum((row.queued for row in rows), Histogram()),
        worked=sum((row.worked for row in rows), Histogram()),
        full=sum(row.full for row in rows),
        waiting_max=max(row.waiting_max for row in rows),
        functions=tuple(row.function for row in worst[:_MOST_FUNCTIONS]),
    )
