"""Entries by how long they held the loop, pools of threads by how long they were waited for, slow paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from unstall.model.anatomy import Piece, SlowRequest
from unstall.model.cost import EntryCost, PieceCost, ThreadCost
from unstall.model.histogram import Histogram
from unstall.report.units import clean, counted, duration, table

_MOST_ENTRIES = 10
_MOST_PIECES = 12
_WORTH_NS = 50_000
_WORTH = 0.01
"""Of a slow request; shorter pieces are left out of its line."""
_WRAPS = 0.9
"""A piece of which one inside it took so much only leads there."""


def entries_table(costs: Sequence[EntryCost]) -> list[str]:
    """The entries that held the loop longest, with the requests a second that each can reach."""
    rows = [
        (
            cost.entry,
            str(cost.calls),
            *(_quantile(cost.held, q) for q in (0.5, 0.99)),
            duration(cost.held.max_ns) if cost.held.count else "",
            "" if cost.share is None else f"{cost.share:.1%}",
            _rate(cost.most_per_s),
        )
        for cost in costs[:_MOST_ENTRIES]
        if cost.calls
    ]
    if not rows:
        return []
    heads = ("entries by held time", "calls", "p50", "p99", "max", "of the loop", "at most/s")
    lines = table(heads, rows)
    if len(costs) > _MOST_ENTRIES:
        lines.append(f"  and {len(costs) - _MOST_ENTRIES} more")
    return lines


def path_table(cost: EntryCost) -> list[str]:
    """One entry's path, means of a call: step, waited, held, queued for a thread, in a thread."""
    rows = [
        (
            "  " * piece.depth + label(piece.kind, piece.name),
            where(piece),
            *(_mean(ns, piece.calls) for ns in (piece.waited_ns, piece.held_ns)),
            _mean(piece.queued_ns, piece.calls) if piece.hops else "",
            _mean(piece.worked_ns, piece.calls) if piece.hops else "",
            f"{piece.hops / piece.calls:g}" if piece.hops else "",
        )
        for piece in cost.pieces[:_MOST_PIECES]
        if piece.calls
    ]
    heads = (f"path of {cost.entry}", "where", "waited", "held", "queued", "in thread", "hops")
    return table(heads, rows) if len(rows) > 1 else []


def thread_lines(costs: Iterable[ThreadCost]) -> list[str]:
    """Pools that made calls wait, each as a sentence."""
    return [_threads(cost) for cost in costs if cost.full]


def _threads(cost: ThreadCost) -> str:
    size = f" ({counted(cost.tokens, 'thread')})" if cost.tokens else ""
    each = _quantile(cost.worked, 0.5)
    waited = duration(cost.queued.max_ns)
    return (
        f"{cost.pool}{size}: {counted(cost.calls, 'call')} of {each} as a rule; {cost.full} found every "
        f"thread taken, and the longest wait for one was {waited}; kept by {', '.join(cost.functions)}"
    )


def path_line(slow: SlowRequest) -> str:
    """A slow request and its whole path on one line."""
    head = f"slow {slow.entry} {duration(slow.took_ns)}, held the loop {duration(slow.held_ns)}"
    if slow.request_id is not None:
        head += f", request {slow.request_id}"
    pieces = [
        label(piece.kind, piece.name) if _wraps(slow.pieces, at) else _said(piece)
        for at, piece in enumerate(slow.pieces)
        if at and piece.kind != "dependencies" and piece.took_ns >= _WORTH * slow.took_ns
    ]
    if slow.cut:
        pieces.append(f"and {slow.cut} more")
    return clean(f"{head}: {' > '.join(pieces)}" if pieces else head)


def _wraps(pieces: Sequence[Piece], at: int) -> bool:
    piece = pieces[at]
    inside = takewhile(lambda each: each.depth > piece.depth, pieces[at + 1 :])
    return any(
        each.depth == piece.depth + 1 and each.took_ns >= _WRAPS * piece.took_ns for each in inside
    )


def _said(piece: Piece) -> str:
    parts = [f"waited {duration(piece.waited_ns)}"] if piece.waited_ns >= _WORTH_NS else []
    if piece.held_ns is not None and piece.held_ns >= _WORTH_NS:
        parts.append(f"held {duration(piece.held_ns)}")
    if piece.queued_ns >= _WORTH_NS:
        parts.append(f"queued {duration(piece.queued_ns)}")
    if piece.hops:
        parts.append(f"in a thread {duration(piece.worked_ns)}")
    said = f"{label(piece.kind, piece.name)} {duration(piece.took_ns)}"
    return f"{said} ({', '.join(parts)})" if len(parts) > 1 or piece.hops else said


def label(kind: str, name: str) -> str:
    short = name.partition(":")[2] or name
    return f"{kind} {short}" if short else kind


def where(piece: PieceCost) -> str:
    """On the loop, in threads, or both."""
    if not piece.hops:
        return "loop"
    return "thread" if piece.own_ns < piece.worked_ns else "loop, thread"


def _quantile(histogram: Histogram, q: float) -> str:
    ns = histogram.quantile_ns(q)
    return "" if ns is None else duration(ns)


def _mean(ns: int, calls: int) -> str:
    return duration(ns // calls)


def _rate(per_s: float | None) -> str:
    if per_s is None:
        return ""
    return f"{per_s:.0f}" if per_s >= 10 else f"{per_s:.1f}"
