"""Calls on a running loop that wait for somebody, seen before that somebody is slow.

Two sources: audit events of the interpreter, and entry points of drivers, wrapped where a driver is imported.
Both do nothing off a running loop. On it, at most `MOST_CALLS` a second are counted, and the stacks of at
most `MOST_LOOKS` a second are taken in, each at a place that was not known yet. Of a known place only the
count grows, and it is told of once a minute.
"""

from __future__ import annotations

import functools
import sys
import time
from asyncio import _get_running_loop
from collections.abc import Callable, Iterator
from threading import get_ident
from types import FrameType, ModuleType
from typing import Any

from unstall.explain.latent import QUIET_BELOW, is_quiet
from unstall.model.latent import SEVERAL, LatentCall, one_peer
from unstall.model.observation import Request
from unstall.model.place import Stack
from unstall.watch.asked import asked_by
from unstall.watch.audit import AUDIT
from unstall.watch.caller import caller_of, place_of
from unstall.watch.cursors import Cursors
from unstall.watch.discover import ImportHooks
from unstall.watch.stacks import Glimpse, StackReader

MOST_CALLS = 200
MOST_LOOKS = 20
MOST_PLACES = 1_000
AGAIN_NS = 60_000_000_000
_SECOND_NS = 1_000_000_000

ENTRY_POINTS: tuple[tuple[str, str, str, str], ...] = (
    ("psycopg.connection", "Connection", "wait", "psycopg.Connection.wait"),
    ("pymysql.connections", "Connection", "query", "pymysql.connections.Connection.query"),
    ("redis.client", "Redis", "execute_command", "redis.Redis.execute_command"),
    ("redis.client", "Pipeline", "execute", "redis.client.Pipeline.execute"),
    ("requests.sessions", "Session", "send", "requests.Session.send"),
    ("httpx._client", "Client", "send", "httpx.Client.send"),
    ("httpx2._client", "Client", "send", "httpx2.Client.send"),
    ("http.client", "HTTPConnection", "getresponse", "http.client.HTTPConnection.getresponse"),
    ("botocore.httpsession", "URLLib3Session", "send", "botocore.httpsession.URLLib3Session.send"),
)
"""Module, class, method, and the name that it has in findings. The outermost one of a call counts."""


class _Place:
    """One call at one place: what was seen at first, and how often since it was told of last."""

    __slots__ = (
        "call", "glimpse", "peer", "quiet", "request", "since_ns", "stack", "task", "times",
        "told_ns", "took_max_ns",
    )  # fmt: skip

    def __init__(self, call: str, peer: str | None, frame: FrameType, now: int) -> None:
        caller = caller_of(frame)
        self.call = call
        self.peer = peer
        self.glimpse: Glimpse | None = caller.glimpse
        self.request: Request | None = caller.request
        self.task = caller.task
        self.stack = Stack(())
        self.quiet = False
        self.times = 0
        self.took_max_ns: int | None = None
        self.since_ns = now
        self.told_ns = 0


class Intent:
    """From `start` to `stop`. Noted on the loops' threads, taken on the watchdog's."""

    def __init__(
        self,
        process: Callable[[], str],
        imports: ImportHooks,
        failed: Callable[[BaseException], None],
        lost: Callable[[str, int], None],
        reader: StackReader,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._process = process
        self._imports = imports
        self._failed = failed
        self._lost = lost
        self._reader = reader
        self._clock = clock
        self._places: dict[int, _Place] = {}
        self._inside: set[int] = set()
        self._second_ns = 0
        self._calls = self._looks = 0
        self._active = False
        self._patched: list[tuple[Any, str, Any, Any]] = []
        self._cursors: Cursors | None = None
        self._passed_over = 0

    def start(self) -> None:
        self._active = True
        AUDIT.listen(self._audited)
        for module, cls, method, call in ENTRY_POINTS:
            self._imports.when(module, functools.partial(self._entry_point, cls, method, call))
        self._imports.when("psycopg2", self._psycopg2)

    def stop(self) -> None:
        self._active = False
        AUDIT.leave(self._audited)
        while self._patched:
            owner, name, original, ours = self._patched.pop()
            if getattr(owner, name, None) is ours:
                setattr(owner, name, original)
        if self._cursors is not None:
            self._cursors.restore()

    def forget(self) -> None:
        """In a forked child."""
        self._places.clear()
        self._inside.clear()

    def taken(self, now: int, *, all_of_it: bool = False) -> Iterator[LatentCall]:
        """What there is to tell: each place when it is new, and once a minute if it was seen again."""
        passed_over, self._passed_over = self._passed_over, 0
        if passed_over:
            self._lost("calls at yet another place that may wait", passed_over)
        while AUDIT.failures:
            self._failed(AUDIT.failures.pop())
        for place in list(self._places.values()):
            if place.glimpse is not None:
                read = self._reader.read if all_of_it else self._reader.read_at_once
                stack = read(place.glimpse)
                if stack is None:
                    continue  # its source is on its way from the disk
                place.stack, place.glimpse = stack, None
                place.quiet = is_quiet(place.stack, place.request, place.task)
            due = all_of_it or not place.told_ns or now - place.told_ns >= AGAIN_NS
            if place.quiet or not place.times or not due:
                continue
            times, place.times = place.times, 0
            yield LatentCall(
                self._process(), place.since_ns, now, place.call, place.stack, times,
                place.peer, place.took_max_ns, place.task, place.request,
            )  # fmt: skip
            place.told_ns = place.since_ns = now

    # --- on the loop's thread -----------------------------------------------------------------

    def _audited(self, call: str, peer: str | None, frame: FrameType) -> None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in QUIET_BELOW and get_ident() not in self._inside:
            self._note(call, peer, None, frame)

    def _note(
        self,
        call: str,
        peer: str | None,
        took_ns: int | None,
        frame: FrameType,
        asked: Callable[[], str | None] | None = None,
    ) -> None:
        """`asked` says whom, where that is not known beforehand."""
        now = self._clock()
        if now - self._second_ns >= _SECOND_NS:
            self._second_ns = now
            self._calls, self._looks = MOST_CALLS, MOST_LOOKS
        if self._calls <= 0:
            return
        self._calls -= 1
        key = place_of(call, frame)
        place = self._places.get(key)
        if place is None:
            if self._looks <= 0:
                return  # it will come again, or is no habit
            if len(self._places) >= MOST_PLACES:
                self._passed_over += 1
                return
            self._looks -= 1
            place = self._places[key] = _Place(call, peer, frame, now)
        place.times += 1
        if asked is not None and place.peer != SEVERAL:
            place.peer = one_peer(place.peer, asked())
        if took_ns is not None and took_ns > (place.took_max_ns or 0):
            place.took_max_ns = took_ns

    def timed(self, call: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """A function that notes each call on a running loop, with its duration."""
        inside = self._inside

        @functools.wraps(original)
        def entry_point(*args: Any, **named: Any) -> Any:
            if not self._active or _get_running_loop() is None:
                return original(*args, **named)
            ident = get_ident()
            if ident in inside:  # below an entry point that is noted already
                return original(*args, **named)
            inside.add(ident)
            result = None
            began = time.perf_counter_ns()
            try:
                result = original(*args, **named)
                return result
            finally:
                took = time.perf_counter_ns() - began
                inside.discard(ident)
                try:
                    asked = functools.partial(asked_by, call, args, named, result)
                    self._note(call, None, took, sys._getframe(1), asked)
                except Exception as error:  # the host has its answer, whatever we make of it
                    self._failed(error)

        return entry_point

    # --- what is wrapped ----------------------------------------------------------------------

    def _entry_point(self, cls: str, method: str, call: str, module: ModuleType) -> None:
        owner = getattr(module, cls, None)
        original = owner.__dict__.get(method) if isinstance(owner, type) else None
        if callable(original):
            self._put(owner, method, self.timed(call, original))

    def _put(self, owner: Any, name: str, ours: Any) -> None:
        self._patched.append((owner, name, getattr(owner, name), ours))
        setattr(owner, name, ours)

    def _psycopg2(self, module: ModuleType) -> None:
        self._cursors = Cursors(self.timed)
        self._put(module, "connect", self._cursors.connect(module))
