"""What is said while the command runs: one line for a stall that lasts, one when it is over."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from unstall.explain.findings import is_startup
from unstall.model.anatomy import SlowRequest
from unstall.model.codec import dump
from unstall.model.finding import Cause, Stall
from unstall.report.costs import path_line
from unstall.report.json import slow_of
from unstall.report.units import clean
from unstall.watch.subject import announcements

Say = Callable[[str], None]

_BURST = 4.0
_PER_SECOND = 1.5
_SLOW_EVERY_S = 2.0
_RED, _GREEN, _BOLD, _DIM, _PLAIN = "\033[1;31m", "\033[32m", "\033[1m", "\033[2m", "\033[0m"
_YELLOW = "\033[33m"

_CAUSES = {
    Cause.CPU: "computing",
    Cause.GIL: "holding the interpreter lock",
    Cause.LOCK: "waiting for a lock",
    Cause.GC: "collecting garbage",
    Cause.SATURATED: "many small steps",
    Cause.UNKNOWN: "cause not seen",
    Cause.PAUSED: "at a debugger's prompt",
}


_NOBODYS = frozenset({Cause.STARVED, Cause.PAUSED})


class Live:
    """Lines for people: never more than a few at once and three in two seconds for each process.

    Silent about what nobody is to blame for: a server that is still starting, and a process that the
    system did not let run. The summary has both.
    """

    def __init__(self, say: Say, *, colour: bool = False) -> None:
        self._say = say
        self._colour = colour
        self._said: dict[tuple[str, int], tuple[int, int]] = {}
        self._budget: dict[str, tuple[float, float]] = {}
        self._left_out: dict[str, int] = {}
        self._stalled_ns: dict[str, int] = {}
        self._slow_s: dict[str, float] = {}

    def tell(self, stall: Stall, pid: int, now_s: float) -> None:
        key = stall.process, stall.loop
        self._stalled_ns[stall.process] = stall.until_ns
        said_ns, words = self._said.get(key, (-1, 0))
        announced = said_ns >= stall.from_ns
        if not stall.ongoing:
            self._said.pop(key, None)
        elif announced and announcements(stall.held_ns) < words:
            return  # two have seen the same: the watchdog, and who asked in its place
        if not announced and (is_startup(stall) or stall.cause in _NOBODYS):
            return
        # Who heard of the beginning also hears of the end.
        if not announced and not self._may_speak(stall.process, now_s):
            if not stall.ongoing:
                self._left_out[stall.process] = self._left_out.get(stall.process, 0) + 1
            return
        if stall.ongoing:
            self._said[key] = stall.until_ns, 1 + announcements(stall.held_ns)
        line = line_of(stall, pid, announced=announced, colour=self._colour)
        self._say(line + self._omission(stall.process))

    def tell_slow(self, request: SlowRequest, pid: int, now_s: float) -> None:
        """Not of what waited for a stall, which was told already; and seldom."""
        stalled_ns = self._stalled_ns.get(request.process, -1)
        told_s = self._slow_s.get(request.process, -_SLOW_EVERY_S)
        if request.until_ns - request.took_ns > stalled_ns and now_s - told_s >= _SLOW_EVERY_S:
            self._slow_s[request.process] = now_s
            line = f"unstall: {path_line(request)}  pid {pid}"
            self._say(f"{_YELLOW}{line}{_PLAIN}" if self._colour else line)

    def left_out(self) -> Mapping[str, int]:
        """Stalls of each process that were not told of since the last line for it."""
        return {process: n for process, n in self._left_out.items() if n}

    def _omission(self, process: str) -> str:
        number = self._left_out.pop(process, 0)
        return f"  ({number} more before it not shown)" if number else ""

    def _may_speak(self, process: str, now_s: float) -> bool:
        budget, at_s = self._budget.get(process, (_BURST, now_s))
        budget = min(_BURST, budget + (now_s - at_s) * _PER_SECOND)
        spoken = budget >= 1
        # A first word costs two: the last one is owed.
        self._budget[process] = (budget - 2 if spoken else budget, now_s)
        return spoken


class JsonLive:
    """A JSON object on a line for every word about a stall, without exception."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def tell(self, stall: Stall, pid: int, now_s: float) -> None:
        if stall.cause is not Cause.PAUSED:
            self._say(json.dumps(object_of(stall, pid)))

    def tell_slow(self, request: SlowRequest, pid: int, now_s: float) -> None:
        self._say(json.dumps({"kind": "slow", "pid": pid} | slow_of(request)))

    def left_out(self) -> Mapping[str, int]:
        return {}


def line_of(stall: Stall, pid: int, *, announced: bool = False, colour: bool = False) -> str:
    """One line; `announced` if its beginning was told."""
    if stall.ongoing:
        head, paint = "FROZEN", _RED
    else:
        head, paint = ("free after" if announced else "froze"), _GREEN if announced else _RED
    parts = [f"{head} {stall.held_ns / 1e9:.2f} s"]
    if stall.entry is not None:
        parts.append(stall.entry.name)
    place = f"{stall.site.file}:{stall.site.line} in {stall.site.function}" if stall.site else ""
    if place:
        parts.append(place)
    if stall.site and stall.site.call:
        parts.append(stall.site.call)
    parts.append(_cause(stall))
    if stall.victims:
        plural = "s" if stall.victims > 1 else ""
        parts.append(f"{stall.victims} request{plural} waiting" if stall.ongoing
                     else f"{stall.victims} victim{plural}")  # fmt: skip
    parts.append(f"pid {pid}")
    parts = [clean(part) for part in parts if part]
    if colour:
        parts[0] = f"{paint}{parts[0]}{_PLAIN}"
        parts = [f"{_BOLD}{part}{_PLAIN}" if part == place else part for part in parts]
        parts[-1] = f"{_DIM}{parts[-1]}{_PLAIN}"
    return "unstall: " + "  ".join(parts)


def object_of(stall: Stall, pid: int) -> dict[str, Any]:
    held_ms = round(stall.held_ns / 1e6, 1)
    told = {"kind": "stall", "pid": pid, "held_ms": held_ms, "startup": is_startup(stall)}
    return {**told, "ongoing": stall.ongoing, **dump(stall)}


def _cause(stall: Stall) -> str:
    if stall.cause is Cause.WAITING:
        where = f"waiting in {stall.syscall}" if stall.syscall else "waiting"
        return f"{where} on {stall.peer}" if stall.peer else where
    if stall.cause is Cause.STARVED:
        return "the process got no processor"
    if stall.holder is not None:
        return f"{stall.holder.thread} held the interpreter lock"
    return _CAUSES[stall.cause]
