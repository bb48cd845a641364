"""Chooses the requests to measure, and sums up their paths."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from unstall.meters import METERS, Distribution
from unstall.model.anatomy import Held, Piece, SlowRequest
from unstall.model.histogram import Histogram
from unstall.watch.anatomy import Anatomy
from unstall.watch.held import HERE, MOST_PER_S, MOST_WHEN_BUSY, Path, Span, timed
from unstall.watch.pieces import PATH
from unstall.watch.scope import (
    NEVER,
    REQUESTS,
    describe,
    plainly,
    remembered,
    route_template,
)
from unstall.watch.section import SECTIONS
from unstall.watch.tallies import Row, Tallies, Tally

_MOST_SLOW = 100
_RING_NS = 1_000_000_000
_LEAST_NS = 5_000_000
_FEW = 10
_BUSY = 0.5
"""Of one processor."""
_SHORT = 0.1
"""Of the time: a loop that queues for a processor so long shares it, or has used up its quota."""
_MOST_TIMINGS = 20
_GOLDEN = 0.6180339887498949
_OVER = Path({}, 0, lambda _: None)
_AFTERWARDS = ("background", "stream")
"""Kinds of pieces that run when the answer has begun or is out: a long one makes no request slow."""

_running: list[Measure] = []
"""Of several in one process, the one that was started last measures."""


class Measure:
    """From `start` to `stop`; requests of all loops of the process."""

    def __init__(
        self,
        process: Callable[[], str],
        anatomy: Anatomy,
        failed: Callable[[BaseException], None],
        *,
        slow_ns: int,
        server_timing: bool,
        ring: Callable[[], None] = lambda: None,
        queued_ns: Callable[[], Mapping[Any, int]] = dict,
    ) -> None:
        """`queued_ns`: by loop, how long its thread ever queued for a processor; of those that are known."""
        self._process = process
        self._anatomy = anatomy
        self._failed = failed
        self._slow_ns = slow_ns
        self._server_timing = server_timing
        self._ring = ring
        self._queued_ns = queued_ns
        self._phase = 0.0
        self._seconds = Distribution(
            "unstall_entry_held_seconds",
            "How long requests kept the event loop, by route.",
            ("entry",),
        )
        self._begin()

    def _begin(self) -> None:
        self._rung_ns = 0
        self._tallies = Tallies()
        self._open: dict[int, Path] = {}
        self._slow: deque[SlowRequest] = deque()
        self._slow_lost = 0
        self._since_ns = time.monotonic_ns()
        self._begun, self._begun_ns, self._rate = REQUESTS.begun, self._since_ns, 0.0
        self._cpu_ns, self._busy = time.process_time_ns(), 0.0
        self._waited_ns = self._queued_ns()
        self._short: dict[Any, float] = {}
        """By loop: the part of the time that it queues."""
        self._last = REQUESTS.begun
        """Requests begun when one was measured last: it stands for those since the one before."""

    def start(self) -> None:
        METERS.add(self._seconds, *SECTIONS)
        self._begin()
        _running.append(self)
        _take_over()

    def stop(self) -> None:
        if self in _running:
            _running.remove(self)
            _take_over()
            METERS.remove(self._seconds, *(() if _running else SECTIONS))

    def renew(self) -> None:
        """In a forked child, which begins from zero and with locks that nobody holds."""
        HERE.span, HERE.off_loop = None, False
        self._begin()
        if REQUESTS.take == self._request:
            REQUESTS.every, REQUESTS.due = 1, 0

    def adapt(self, now: int) -> None:
        """With each beat: measure so few that no more than `MOST_PER_S` a second are, or `MOST_WHEN_BUSY`.

        By the rate since the last beat or the smoothed one, whichever is higher: a burst is thinned within
        a beat, and a pause does not open the door to the next burst. A handful at once is no burst.
        """
        begun = REQUESTS.begun
        took = now - self._begun_ns
        if took > _LEAST_NS and REQUESTS.take == self._request:
            came = begun - self._begun
            self._rate += (came * 1e9 / took - self._rate) * min(1.0, took / 1e9)
            burst = max(0, came - _FEW) * 1e9 / took
            most = MOST_WHEN_BUSY if self._is_busy(took) else MOST_PER_S
            every = max(1, -int(-max(burst, self._rate) // most))
            if every != REQUESTS.every:
                REQUESTS.every = every
                REQUESTS.due = begun + self._gap(every)
            self._begun, self._begun_ns = begun, now

    def _is_busy(self, took: int) -> bool:
        """Whether there is little CPU left to give away: it uses much, or does not get what it could use."""
        cpu, waited, part = time.process_time_ns(), self._queued_ns(), min(1.0, took / 1e9)
        self._busy += ((cpu - self._cpu_ns) / took - self._busy) * part
        for loop in waited.keys() & self._waited_ns.keys():
            short = self._short.get(loop, 0.0)
            share = (waited[loop] - self._waited_ns[loop]) / took
            self._short[loop] = short + (share - short) * part
        for loop in self._short.keys() - waited.keys():
            del self._short[loop]
        self._cpu_ns, self._waited_ns = cpu, waited
        return self._busy > _BUSY or max(self._short.values(), default=0.0) > _SHORT

    def slow(self) -> list[SlowRequest]:
        """Since asked last."""
        return [self._slow.popleft() for _ in range(len(self._slow))]

    def slow_lost(self) -> int:
        lost, self._slow_lost = self._slow_lost, 0
        return lost

    def held(self, now: int) -> list[Held]:
        """Since asked last."""
        for path in list(self._open.values()):
            self._tallies.grow(_entry(path.scope), path)
        since, self._since_ns = self._since_ns, now
        process = self._process()
        return [_held(process, since, now, row, t) for row, t in self._tallies.take().items()]

    # --- one request --------------------------------------------------------------------------

    def _gap(self, every: int) -> int:
        """How many requests on the next is measured: `every` on average, and never the same twice in a row.

        With a fixed step a client that asks two routes in turn would show only one of them. The steps of
        the golden ratio fill a range evenly and repeat nothing.
        """
        self._phase = (self._phase + _GOLDEN) % 1.0
        return 1 + int(self._phase * (2 * every - 1))

    def _request(
        self, call: Callable[..., Awaitable[None]], app: Any, scope: Any, receive: Any, send: Any
    ) -> Any:
        path: Path | None = None
        try:
            path, send = self._path_of(app, scope, send)
        except Exception as error:  # then it runs unmeasured
            self._failed(error)
        awaitable = call(app, scope, receive, send)
        return awaitable if path is None else timed(awaitable, path.root)  # type: ignore[arg-type]

    def _path_of(self, app: Any, scope: Any, send: Any) -> tuple[Path | None, Any]:
        every = REQUESTS.every or 1
        REQUESTS.due = REQUESTS.begun + self._gap(every)
        kind = scope.get("type")
        if kind not in ("http", "websocket"):
            return None, send
        begun = REQUESTS.begun
        times, self._last = max(1, begun - self._last), begun
        path = Path(
            scope, times, self._done,
            kind="request" if kind == "http" else "websocket",
            layers=self._anatomy.layers(app), tasks=self._anatomy.tasks(),
        )  # fmt: skip
        path.before = PATH.get()
        PATH.set(path)
        if kind == "websocket":
            self._open[id(path)] = path
        elif self._server_timing:
            send = _with_timing(send, path)
        return path, send

    def _done(self, path: Path) -> None:
        """At the end of a request, on its loop."""
        try:
            path.over = True
            if PATH.get() is path:  # the collector closes an abandoned one in any context
                PATH.set(path.before)
            self._open.pop(id(path), None)
            entry = _entry(path.scope)
            self._tallies.add(entry, path)
            self._seconds.observe((entry,), path.held_ns, path.times)
            if path.root.kind == "request" and _answered_in_ns(path) >= self._slow_ns:
                self._note_slow(path, entry, describe(path.scope).request_id)
            # Tasks that it started may live long, and carry its path in their context.
            path.scope = remembered(path.scope)
            path.before = path.tasks = None
            path.spans.clear()
            path.root = _OVER.root  # no circle is left to the collector
        except Exception as error:  # the host has its answer, whatever we make of it
            self._failed(error)

    def _note_slow(self, path: Path, entry: str, request_id: str | None) -> None:
        if len(self._slow) >= _MOST_SLOW:
            self._slow_lost += 1
            return
        now = time.monotonic_ns()
        self._slow.append(
            SlowRequest(
                self._process(), entry, now, path.root.took_ns, path.held_ns, request_id,
                pieces_of(path), path.cut,
            )
        )  # fmt: skip
        if now - self._rung_ns > _RING_NS:  # the first is told at once, the next in company
            self._rung_ns = now
            self._ring()


def _take_over() -> None:
    if _running:
        REQUESTS.choose(1, 0, _running[-1]._request)
    else:
        REQUESTS.choose(0, NEVER, plainly)


def _entry(scope: Any) -> str:
    return f"{scope.get('method') or 'WEBSOCKET'} {route_template(scope)}"


def _answered_in_ns(path: Path) -> int:
    """How long the request took, without what came after the answer had begun."""
    after = sum(span.took_ns for span in path.spans if span.kind in _AFTERWARDS)
    return path.root.took_ns - after


def pieces_of(path: Path) -> tuple[Piece, ...]:
    began = path.root.began_ns
    return tuple(_piece(span, began) for span in path.spans)


def _piece(span: Span, began: int) -> Piece:
    return Piece(
        span.kind, span.name, span.depth, span.began_ns - began, max(0, span.took_ns),
        span.held_ns, span.own_ns, span.queued_ns, span.worked_ns, span.hops, span.away_ns,
    )  # fmt: skip


def _held(process: str, since: int, now: int, row: Row, tally: Tally) -> Held:
    entry, kind, name, depth = row
    held = Histogram(
        tuple(sorted(tally.held.items())),
        tally.ended,
        tally.held_sum,
        tally.held_min,
        tally.held_max,
    )
    return Held(
        process, since, now, entry, kind, name, depth, tally.calls, tally.took_sum, held,
        own_ns=tally.own_sum, took_max_ns=tally.took_max, queued_ns=tally.queued_sum,
        queued_max_ns=tally.queued_max, worked_ns=tally.worked_sum, hops=tally.hops,
        away_ns=tally.away_sum, began_ns=tally.began_sum,
    )  # fmt: skip


def _with_timing(
    send: Callable[[Any], Awaitable[None]], path: Path
) -> Callable[[Any], Awaitable[None]]:
    """Adds `Server-Timing` (W3C) to the head of the response: what is known until then, in ms."""

    def timing_send(message: Any) -> Awaitable[None]:
        if message.get("type") == "http.response.start":
            try:
                value = server_timing(path).encode("latin-1", "replace")
                headers = [*message.get("headers", ()), (b"server-timing", value)]
            except Exception:  # the answer goes out without it
                return send(message)
            message = {**message, "headers": headers}
        return send(message)

    return timing_send


def server_timing(path: Path) -> str:
    """`held`, `threads` and `queued` of the request so far, then its sections and dependencies."""
    now = time.perf_counter_ns()
    held = path.held_ns + (now - path.since_ns if path.since_ns else 0)
    queued = sum(span.queued_ns for span in path.spans)
    worked = sum(span.worked_ns for span in path.spans)
    parts = [("total", "", now - path.root.began_ns), ("held", "", held)]
    parts += [(name, "", ns) for name, ns in (("threads", worked), ("queued", queued)) if ns]
    parts += [
        (span.kind, span.name.rpartition(":")[2], span.took_ns)
        for span in path.spans
        if span.kind in ("dependency", "section") and span.took_ns >= 0
    ]
    shown = parts[:_MOST_TIMINGS]
    return ", ".join(f"{token};{_quoted(text)}dur={ns / 1e6:.2f}" for token, text, ns in shown)


def _quoted(text: str) -> str:
    plain = "".join(c for c in text if c.isascii() and c.isprintable() and c not in '"\\,;')
    return f'desc="{plain[:64]}";' if plain else ""
