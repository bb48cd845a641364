"""Who is told of a call: what every hook of a trap ends in.

`Sight.see` asks in this order, the cheapest first: is a trap open, does an outer hook see this call already,
is it allowed here, is it the loop's own business. The hook has asked before whether a loop runs here at all.
"""

from __future__ import annotations

import functools
import sys
import time
from asyncio import _get_running_loop
from collections import Counter
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Any, Protocol

from unstall.catalog.allowed import quiet_packages
from unstall.traps.clocks import FLOOR_NS, Clocks, Moment, waited_ns
from unstall.traps.openings import Openings
from unstall.traps.primitives import IF_IT_WAITS, Blocks, always
from unstall.traps.regions import ALLOWED
from unstall.watch.audit import SKIP


class Seen(Protocol):
    """A call that is under way."""

    def took(self, ns: int) -> None: ...

    @property
    def refusal(self) -> BaseException | None: ...


class Catcher(Protocol):
    """What an open trap is to the hooks."""

    def saw(self, call: str, peer: str | None, frame: FrameType) -> Seen | None:
        """None if nobody need know of the call."""

    def waited(self, whose: str, ns: int) -> None:
        """A step waited for so long, and no call was seen in it."""


class _Several:
    """One call, for several traps."""

    __slots__ = ("_seen",)

    def __init__(self, seen: list[Seen]) -> None:
        self._seen = seen

    def took(self, ns: int) -> None:
        for each in self._seen:
            each.took(ns)

    @property
    def refusal(self) -> BaseException | None:
        return next((each.refusal for each in self._seen if each.refusal is not None), None)


class Sight:
    """Which traps are open, which threads are in a call that is seen, and what failed of ours."""

    def __init__(self) -> None:
        self.openings: Openings[Catcher] = Openings()
        self.inside: set[int] = set()
        """Threads in a call that is seen, or in work of ours: nothing below it is."""
        self.heard: Counter[int] = Counter()
        """Calls of each thread, whether or not they were anybody's business."""
        self.failures: list[BaseException] = []
        """Errors of ours: nothing of them reached the host. The first of many."""
        self.failed_times = 0
        self._clocks = Clocks()
        self._quiet = quiet_packages()

    def close(self) -> None:
        """After the last hook is out."""
        self._clocks.close()
        self.heard.clear()

    def failed(self, error: BaseException) -> None:
        self.failed_times += 1
        if len(self.failures) < 100:
            self.failures.append(error)

    def see(self, call: str, peer: str | None, frame: FrameType) -> Seen | None:
        """Never raises. None if the call is nobody's business; on the thread that makes it."""
        ident = get_ident()
        self.heard[ident] += 1
        if not self.openings or ALLOWED.get():
            return None
        if ident in self.inside:
            return None
        caller = _not_ours(frame)
        if caller is None or package_of(caller) in self._quiet:
            return None
        try:
            self.inside.add(ident)  # what we do ourselves is no call of the application's
            told = self.openings.told_by(ident)
            every = [one.saw(call, peer, caller) for one in told]
            seen = [each for each in every if each is not None]
            return _Several(seen) if len(seen) > 1 else seen[0] if seen else None
        except Exception as error:
            self.failed(error)
            return None
        finally:
            self.inside.discard(ident)

    def guarded(
        self, call: str, original: Callable[..., Any], blocks: Blocks = always
    ) -> Callable[..., Any]:
        """The function, seen and timed on a running loop; nothing else below it is seen."""
        inside, openings = self.inside, self.openings

        @functools.wraps(original)
        def guarded(*args: Any, **named: Any) -> Any:
            if not openings.newest or _get_running_loop() is None:
                return original(*args, **named)
            ident = get_ident()
            if ident in inside:
                return original(*args, **named)
            __tracebackhide__ = True  # pytest shows the call, not us
            peer, unknown = _other_end(blocks, args, named)
            if unknown is not None:
                # Where the call fails itself, that is its answer to such arguments.
                result = original(*args, **named)
                self.failed(unknown)
                return result
            if peer is IF_IT_WAITS:
                return self._watched(call, sys._getframe(1), lambda: original(*args, **named))
            seen = self.see(call, peer, sys._getframe(1)) if peer is not SKIP else None
            if seen is None:
                return original(*args, **named)
            refusal = seen.refusal
            if refusal is not None:
                raise refusal
            began = time.perf_counter_ns()
            try:
                inside.add(ident)  # in here, for a signal may be answered after any call
                return original(*args, **named)
            finally:
                inside.discard(ident)
                seen.took(time.perf_counter_ns() - began)

        return guarded

    def _watched(self, call: str, frame: FrameType, original: Callable[[], Any]) -> Any:
        """Seen afterwards, if the thread waited in it."""
        ident, waited = get_ident(), 0
        try:
            self.inside.add(ident)
            before = self._moment()
            try:
                return original()
            finally:
                after = self._moment()
                waited = waited_ns(before, after) if before and after else 0
        finally:
            self.inside.discard(ident)
            seen = self.see(call, None, frame) if waited >= FLOOR_NS else None
            if seen is not None:
                seen.took(waited)

    def _moment(self) -> Moment | None:
        try:
            return self._clocks.read()
        except Exception as error:
            self.failed(error)
            return None


def _other_end(
    blocks: Blocks, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[Any, Exception | None]:
    """What the row says of a call, or why it cannot: arguments of a kind that it does not know."""
    try:
        return blocks(args, named), None
    except Exception as error:
        return SKIP, error


def _not_ours(frame: FrameType) -> FrameType | None:
    """A wrapper of ours may lie around the call; nor is anybody to blame for what we do ourselves."""
    caller: FrameType | None = frame
    while caller is not None and package_of(caller) == "unstall":
        caller = caller.f_back
    return caller


def package_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]
