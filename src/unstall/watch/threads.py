"""How long work waited for a thread: anyio's limiters, and every `ThreadPoolExecutor`.

The loop's default executor also resolves names, so a full one makes every new connection wait.
"""

from __future__ import annotations

import functools
import re
import time
import weakref
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from types import ModuleType
from typing import Any, NamedTuple

from unstall.meters import METERS, Distribution, Folding, Gauge
from unstall.model.anatomy import Threads
from unstall.model.histogram import HistogramBuilder
from unstall.watch.discover import ImportHooks
from unstall.watch.held import HERE, Span
from unstall.watch.pieces import EXIT, name_of, place
from unstall.watch.tallies import OTHER

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

_MOST_PENDING = 255
_MOST_ROWS = 200
_MOST_LIMITERS = 50
_MOST_LEFT = 1_000

Call = Callable[..., Any]


class Hop(NamedTuple):
    """One call that asked for a thread and got one; times in ns."""

    pool: str
    tokens: int
    function: str
    full: bool
    waiting: int
    queued_ns: int
    worked_ns: int
    computed_ns: int
    switches: int
    outlived_ns: int | None
    """Since its caller went on without it; None if that waited."""


class Asked:
    """What a limiter was asked for."""

    __slots__ = ("calls", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        """Those that run or wait, from the moment they asked: a token comes a turn of the loop later."""


class _Sums:
    __slots__ = (
        "calls", "computed", "full", "left", "outlived", "queued", "switches", "tokens", "waiting", "worked",
    )  # fmt: skip

    def __init__(self) -> None:
        self.calls = self.full = self.waiting = self.tokens = 0
        self.computed = self.switches = self.left = self.outlived = 0
        self.queued, self.worked = HistogramBuilder(), HistogramBuilder()


class ThreadUse(Folding[Hop]):
    """From `start` to `stop`."""

    def __init__(
        self,
        process: Callable[[], str],
        imports: ImportHooks,
        failed: Callable[[BaseException], None],
    ) -> None:
        self._process = process
        self._imports = imports
        self._failed = failed
        super().__init__(_MOST_PENDING)
        self._restore: list[Callable[[], None]] = []
        queue = "How long calls waited for a thread of a pool."
        work = "How long calls ran in a thread of a pool."
        self._queued = Distribution("unstall_thread_queue_seconds", queue, ("pool",))
        self._worked = Distribution("unstall_thread_work_seconds", work, ("pool",))
        self._meters = (
            self._queued,
            self._worked,
            self._gauge("tokens", "Threads that a limiter lets work at a time.", "total_tokens"),
            self._gauge("busy", "Threads of a limiter at work.", "borrowed_tokens"),
            self._gauge("waiting", "Calls waiting for a thread of a limiter.", "tasks_waiting"),
        )

    def renew(self) -> None:
        super().renew()
        self._rows: dict[tuple[str, str], _Sums] = {}
        self._since_ns = time.monotonic_ns()
        self._limiters: weakref.WeakKeyDictionary[Any, Asked] = weakref.WeakKeyDictionary()
        self._left: dict[int, Sent] = {}

    def start(self) -> None:
        METERS.add(*self._meters)
        self._imports.when("anyio._backends._asyncio", self._anyio)
        self._imports.when("concurrent.futures.thread", self._executor)

    def stop(self) -> None:
        METERS.remove(*self._meters)
        while self._restore:
            self._restore.pop()()

    def taken(self, now: int) -> list[Threads]:
        """Since asked last."""
        with self._folded():
            for sent in list(self._left.values()):  # they go on
                self._outlived(sent.pool, sent.name, sent.outlived_ns(perf_counter_ns()))
            rows, self._rows = self._rows, {}
            since, self._since_ns = self._since_ns, now
        process = self._process()
        return [
            Threads(
                process, since, now, pool, sums.tokens, function, sums.calls,
                sums.queued.freeze(), sums.worked.freeze(), sums.full, sums.waiting,
                sums.computed, sums.switches, sums.left, sums.outlived,
            )
            for (pool, function), sums in rows.items()
        ]  # fmt: skip

    # --- what is wrapped ----------------------------------------------------------------------

    def _anyio(self, module: ModuleType) -> None:
        backend = getattr(module, "AsyncIOBackend", None)
        method = vars(backend).get("run_sync_in_worker_thread") if backend is not None else None
        if not isinstance(method, classmethod):
            return
        original = method.__func__
        use = self

        @functools.wraps(original)
        async def run_sync_in_worker_thread(
            cls: Any,
            func: Call,
            args: tuple[Any, ...],
            abandon_on_cancel: bool = False,
            limiter: Any = None,
        ) -> Any:
            asked = None
            try:
                default = cls.current_default_thread_limiter()
                chosen = limiter if limiter is not None else default
                asked = use._asked_of(chosen, default=chosen is default)
                func = use._sent(func, *_limiter_state(chosen, asked))
            except Exception as error:  # then it runs unseen
                use._failed(error)
            if asked is None:
                return await original(cls, func, args, abandon_on_cancel, limiter)
            asked.calls += 1
            try:
                return await original(cls, func, args, abandon_on_cancel, limiter)
            except BaseException:
                use._leave(func)
                raise
            finally:
                asked.calls -= 1

        ours = classmethod(run_sync_in_worker_thread)
        backend.run_sync_in_worker_thread = ours  # type: ignore[union-attr]

        def restore() -> None:
            if vars(backend).get("run_sync_in_worker_thread") is ours:
                backend.run_sync_in_worker_thread = method  # type: ignore[union-attr]

        self._restore.append(restore)

    def _executor(self, module: ModuleType) -> None:
        pool = module.ThreadPoolExecutor
        original = pool.submit
        use = self

        @functools.wraps(original)
        def submit(self: Any, fn: Call, /, *args: Any, **named: Any) -> Any:
            try:
                fn = use._sent(fn, *_executor_state(self))
            except Exception as error:
                use._failed(error)
            return original(self, fn, *args, **named)

        pool.submit = submit

        def restore() -> None:
            if pool.submit is submit:
                pool.submit = original

        self._restore.append(restore)

    def _asked_of(self, limiter: Any, *, default: bool) -> Asked:
        asked = self._limiters.get(limiter)
        if asked is None:
            asked = Asked("anyio default" if default else f"limiter of {limiter.total_tokens:g}")
            if len(self._limiters) < _MOST_LIMITERS:
                self._limiters[limiter] = asked
        asked.name = NAMES.get(limiter, asked.name)
        return asked

    def _sent(self, function: Call, pool: str, tokens: int, full: bool, waiting: int) -> Call:
        """The function, clocked from now."""
        if (
            type(function) is Sent
        ):  # another monitor of this process clocks it, and the piece is its
            return Sent(self, function, function.name, None, pool, tokens, full, waiting)
        name = name_of(function)
        return Sent(self, function, name, _span_for(name), pool, tokens, full, waiting)

    def note(self, hop: Hop) -> None:
        """Of a call that has ended, in its thread."""
        self._queued.observe((hop.pool,), hop.queued_ns)
        self._worked.observe((hop.pool,), hop.worked_ns)
        self._append(hop)

    def _leave(self, function: Call) -> None:
        """The caller goes on; its thread may do so, too."""
        if type(function) is Sent and function.leave() and len(self._left) < _MOST_LEFT:
            self._left[id(function)] = function
            with self._folded():
                self._sums_of(function.pool, function.name).left += 1

    def came_back(self, sent: Sent) -> None:
        """One that had been left has ended, in its thread."""
        self._left.pop(id(sent), None)

    # --- sums ---------------------------------------------------------------------------------

    def _sums_of(self, pool: str, function: str) -> _Sums:
        row = pool, function
        if row not in self._rows and len(self._rows) >= _MOST_ROWS:
            row = pool, OTHER
        return self._rows.setdefault(row, _Sums())

    def _outlived(self, pool: str, function: str, outlived_ns: int) -> None:
        sums = self._sums_of(pool, function)
        sums.outlived = max(sums.outlived, outlived_ns)

    def _fold(self, item: Hop) -> None:
        sums = self._sums_of(item.pool, item.function)
        sums.calls += 1
        sums.full += item.full
        sums.tokens = item.tokens
        sums.waiting = max(sums.waiting, item.waiting + 1 if item.full else 0)
        sums.queued.add(item.queued_ns)
        sums.worked.add(item.worked_ns)
        sums.computed += item.computed_ns
        sums.switches += item.switches
        if item.outlived_ns is not None:
            sums.outlived = max(sums.outlived, item.outlived_ns)

    def _gauge(self, name: str, help: str, field: str) -> Gauge:
        def read() -> Iterable[tuple[tuple[str, ...], float]]:
            sums: dict[str, float] = {}
            for limiter, asked in list(self._limiters.items()):
                pool = NAMES.get(limiter, asked.name)
                sums[pool] = sums.get(pool, 0.0) + float(getattr(limiter.statistics(), field))
            return [((pool,), value) for pool, value in sums.items()]

        return Gauge(f"unstall_thread_{name}", help, read, ("pool",))


class Sent:
    """A function on its way to a thread."""

    __slots__ = (
        "_asked", "_full", "_left_ns", "_running", "_span", "_tokens", "_use", "_waiting", "function",
        "name", "pool",
    )  # fmt: skip

    def __init__(
        self,
        use: ThreadUse,
        function: Call,
        name: str,
        span: Span | None,
        pool: str,
        tokens: int,
        full: bool,
        waiting: int,
    ) -> None:
        self._use = use
        self.function = function
        self.name = name
        self._span = span
        self.pool = pool
        self._tokens = tokens
        self._full = full
        self._waiting = waiting
        self._asked = perf_counter_ns()
        self._running = False
        self._left_ns = 0

    def leave(self) -> bool:
        """Whether it goes on although nobody waits for it from now."""
        if self._running:
            self._left_ns = perf_counter_ns()
        return self._running

    def outlived_ns(self, now: int) -> int:
        return now - self._left_ns

    def __call__(self, *args: Any, **named: Any) -> Any:
        self._running = True
        started, (computed, switches) = perf_counter_ns(), usage()
        span = self._span
        outer, off_loop = HERE.span, HERE.off_loop
        HERE.span, HERE.off_loop = span or outer, True
        try:
            return self.function(*args, **named)
        finally:
            self._running = False
            ended, (computed_now, switches_now) = perf_counter_ns(), usage()
            HERE.span, HERE.off_loop = outer, off_loop
            if span is not None:
                _arrived(span, self._asked, started, ended)
            outlived = None
            if self._left_ns:
                outlived = self.outlived_ns(ended)
                self._use.came_back(self)
            self._use.note(
                Hop(
                    self.pool, self._tokens, self.name, self._full, self._waiting,
                    started - self._asked, ended - started,
                    computed_now - computed, switches_now - switches, outlived,
                )
            )  # fmt: skip


def _usage_here() -> tuple[int, int]:
    used = resource.getrusage(resource.RUSAGE_THREAD)
    return int((used.ru_utime + used.ru_stime) * 1e9), used.ru_nvcsw


def _usage_unknown() -> tuple[int, int]:
    return 0, 0


usage = _usage_here if hasattr(resource, "RUSAGE_THREAD") else _usage_unknown
"""Of this thread so far: ns on a processor, and how often it let go of one; half a microsecond."""


NAMES: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def name_limiter(limiter: Any, name: str) -> None:
    """Gives an `anyio.CapacityLimiter` the name it has in reports and metrics."""
    NAMES[limiter] = name


State = tuple[str, int, bool, int]
"""Pool, tokens, whether a call now finds every thread taken, and how many wait before it."""


def _limiter_state(limiter: Any, asked: Asked) -> State:
    total = limiter.total_tokens
    tokens = int(total) if total < 1 << 31 else 0
    waiting = max(limiter.statistics().tasks_waiting, asked.calls - int(min(total, 1 << 31)))
    full = asked.calls >= total or limiter.available_tokens <= 0
    return asked.name, tokens, full, max(0, waiting)


def _executor_state(executor: Any) -> State:
    """Below its size it starts another thread; those it has are idle or spoken for."""
    prefix = str(getattr(executor, "_thread_name_prefix", "") or "ThreadPoolExecutor")
    most = int(executor._max_workers)
    full = len(executor._threads) >= most and executor._idle_semaphore._value <= 0
    pool = f"executor {re.sub(r'[-_]?[0-9]+$', '', prefix)}"
    return pool, most, full, executor._work_queue.qsize()


def _span_for(name: str) -> Span | None:
    """The piece that the hop belongs to: the endpoint that is sent there itself, or one of its own."""
    here = place()
    if here is None:
        return None
    path, outer = here
    if outer.name == name:
        return outer
    ours = outer.kind == "dependencies" or name.endswith(EXIT)
    return path.open("dependency" if ours else "thread", name, outer)


def _arrived(span: Span, asked: int, started: int, ended: int) -> None:
    span.hops += 1
    span.queued_ns += started - asked
    span.worked_ns += ended - started
    around = span.outer
    while around is not None:
        around.away_ns += ended - asked
        around = around.outer
    if span.kind in ("thread", "dependency") and not span.steps_ns:
        span.took_ns = ended - span.began_ns
