"""From pools of threads to findings: who keeps the shared ones from others, and who did not need one.

The limits are a table: what is below them is how pools are meant to be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.model.anatomy import Threads, merged_threads
from unstall.model.finding import Cause, Confidence, Entry, Evidence, Finding, Remedy
from unstall.model.histogram import Histogram
from unstall.rules import BY_CODE

SHARED: Final = "anyio default"
DEFAULT_EXECUTOR: Final = "executor asyncio"
_NAMES: Final = ("socket:getaddrinfo", "socket:getnameinfo")
_QUEUED_NS: Final = 100 * NS_PER_MS
"""So long a call has to have waited for a thread before anybody is to blame for it."""
_KEPT: Final = 0.25
"""Who kept so much of the pool's time is to blame."""
_OUTLIVED_NS: Final = NS_PER_S
_COMPUTED_NS: Final = NS_PER_S
"""In less, chance has too large a part in the number of turns."""
_COMPUTES: Final = 0.25
"""Of the time in the thread; less than half of it is left to who computes beside others on a busy machine."""
_EACH_NS: Final = 5 * NS_PER_MS
"""The interpreter's switch interval: who computes for less never makes the loop wait."""
_TURNS: Final = 12 * NS_PER_MS
"""Who holds the interpreter lock beside a busy loop gives it up more often than that, ours left out."""
_OURS: Final = 10 * NS_PER_MS
"""Our own heartbeat and watchdog ask for it so often, each about once in 20 ms of time on the clock."""
_HOPS: Final = 500
_TINY_NS: Final = 20_000


def pool_findings(rows: Iterable[Threads]) -> tuple[Finding, ...]:
    """Pure. In the order of the rules, the dearest first."""
    pools: dict[str, list[Threads]] = {}
    for row in merged_threads(replace(row, process="") for row in rows):
        pools.setdefault(row.pool, []).append(row)
    found = [
        _finding(judge, row, said)
        for judge in _JUDGES
        for pool, members in pools.items()
        for row in sorted(members, key=lambda each: each.worked.sum_ns, reverse=True)
        if (said := judge.judge(pool, row, members)) is not None
    ]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Judge:
    code: str
    cause: Cause
    confidence: Confidence
    judge: Callable[[str, Threads, Sequence[Threads]], str | None]
    """What is to be said of this function in this pool, beside these; None for nothing."""


def _hops(pool: str, row: Threads, _: Sequence[Threads]) -> str | None:
    worked, queued = row.worked.quantile_ns(0.99), row.queued.quantile_ns(0.5)
    if pool != SHARED or row.calls < _HOPS or worked is None or queued is None:
        return None
    if worked >= _TINY_NS or queued <= worked or row.full:
        return None
    return (
        f"{row.calls} calls, 99 of 100 done in {_us(worked)}, waited {_us(queued)} each as a rule to be "
        "in a thread and as long to be back"
    )


def _long(pool: str, row: Threads, members: Sequence[Threads]) -> str | None:
    if pool != SHARED or not _is_to_blame(row, members):
        return None
    return f"{_kept(row)}; {_waited(members)}"


def _default(pool: str, row: Threads, members: Sequence[Threads]) -> str | None:
    if pool != DEFAULT_EXECUTOR or row.function in _NAMES or not _is_to_blame(row, members):
        return None
    names = [each for each in members if each.function in _NAMES]
    longest = max((each.queued.max_ns for each in names if each.full), default=0)
    behind = f"; a name waited {_s(longest)} to be resolved" if longest >= _QUEUED_NS else ""
    return f"{_kept(row)}; {_waited(members)}{behind}"


def _computes(pool: str, row: Threads, _: Sequence[Threads]) -> str | None:
    computed = row.computed_ns
    if pool not in (SHARED, DEFAULT_EXECUTOR) or computed < row.calls * _EACH_NS:
        return None
    if computed < _COMPUTED_NS or computed < _COMPUTES * row.worked.sum_ns:
        return None
    asked = row.switches - row.worked.sum_ns // _OURS
    if asked * _TURNS < computed:
        return None  # alone, or without the interpreter lock: it was in nobody's way
    return (
        f"{row.calls} calls computed for {_s(computed)} of {_s(row.worked.sum_ns)} and gave their processor "
        f"up {row.switches} times meanwhile, as who holds the interpreter lock does when the loop wants it"
    )


def _left(pool: str, row: Threads, _: Sequence[Threads]) -> str | None:
    if not row.left or row.outlived_max_ns < _OUTLIVED_NS:
        return None
    times = "a caller" if row.left == 1 else f"{row.left} callers"
    return (
        f"{times} went on without the thread, which ran for {_s(row.outlived_max_ns)} more at most and "
        "was no longer counted by its limiter"
    )


_JUDGES: Final = (
    _Judge("US301", Cause.WAITING, Confidence.LIKELY, _hops),
    _Judge("US302", Cause.WAITING, Confidence.CERTAIN, _long),
    _Judge("US303", Cause.CPU, Confidence.LIKELY, _computes),
    _Judge("US304", Cause.WAITING, Confidence.CERTAIN, _left),
    _Judge("US305", Cause.WAITING, Confidence.CERTAIN, _default),
)


def _is_to_blame(row: Threads, members: Sequence[Threads]) -> bool:
    """Whether others waited long for a thread, and this kept much of all threads' time, long at a time."""
    total = sum(each.worked.sum_ns for each in members)
    waited = any(each.full and each.queued.max_ns >= _QUEUED_NS for each in members)
    return waited and row.worked.sum_ns >= _KEPT * total and row.worked.max_ns >= _QUEUED_NS


def _kept(row: Threads) -> str:
    calls = "a call" if row.calls == 1 else f"{row.calls} calls"
    return f"{calls} kept a thread for {_s(row.worked.max_ns)} at most"


def _waited(members: Sequence[Threads]) -> str:
    full = sum(each.full for each in members)
    queued = sum((each.queued for each in members if each.full), Histogram())
    tokens = max(each.tokens for each in members)
    found = "call found" if full == 1 else "calls found"
    return f"{full} {found} all {tokens} threads taken and waited {_s(queued.max_ns)} at most"


def _finding(judge: _Judge, row: Threads, said: str) -> Finding:
    rule = BY_CODE[judge.code]
    evidence = Evidence(
        kind="seen",
        count=row.calls,
        p50_ms=_ms(row.worked.quantile_ns(0.5)),
        p99_ms=_ms(row.worked.quantile_ns(0.99)),
        max_ms=_ms(row.worked.max_ns),
        because=said,
    )
    entry = Entry("thread", row.function.rpartition(":")[2], row.function)
    return Finding(
        rule.code, rule.title, rule.severity, judge.confidence, entry, None, judge.cause, Remedy(rule.remedy),
        runs_on="thread pool", evidence=(evidence,),
    )  # fmt: skip


def _ms(ns: int | None) -> float | None:
    return None if ns is None else round(ns / NS_PER_MS, 3)


def _s(ns: int) -> str:
    return f"{ns / NS_PER_S:.1f} s" if ns >= NS_PER_S else f"{ns / NS_PER_MS:.0f} ms"


def _us(ns: int) -> str:
    return f"{ns / 1e3:.0f} us"
