"""One log record for each place that stalls a loop: at once, then after 1, 2, 4 … minutes, with the rest.

Written from a thread of ours, never from a loop's. A handler that raises loses its record; one that blocks
keeps us waiting and nobody else, except those who log to it, too.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unstall.explain.findings import code_of, is_startup
from unstall.model.finding import Cause, Stall
from unstall.report.units import clean
from unstall.watch.carried import Reader
from unstall.watch.monitor import Monitor

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 64 * 60.0
FROZEN_NS = 1_000_000_000
"""A stall that has lasted so long is told of before it is over: it may never be."""
MOST_SITES = 200

Write = Callable[[int, str, dict[str, Any]], None]
"""Is given a level of `logging`, a sentence and fields that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one record says: a stall, and those of the same place that were held back before it."""

    stall: Stall
    bound: Any = None
    held_back: int = 0
    worst_ns: int = 0


class StallLog:
    """From `start` to `stop`, what a monitor sees, as records.

    `bind` reads context variables of the step to blame, such as a request id, and returns a mapping of
    fields to add. Without `write`, records go to the logger `unstall`.
    """

    def __init__(
        self,
        monitor: Monitor,
        write: Write | None = None,
        *,
        bind: Reader | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monitor = monitor
        self._write = write or to(logging.getLogger("unstall"))
        self._bind = bind
        self._clock = clock
        self._backoff = Backoff()
        self._frozen: tuple[str, int, int] | None = None
        self.lost = 0
        """Records that a handler refused with an exception."""

    def start(self) -> StallLog:
        self._monitor.subscribe(self.hear, self._bind, idle=self._idle, last=self._rest)
        return self

    def stop(self) -> None:
        """What was held back is written before it returns, or within a second after."""
        self._monitor.unsubscribe(self.hear)

    def hear(self, stall: Stall, bound: Any) -> None:
        if stall.ongoing:
            here = stall.process, stall.loop, stall.from_ns
            if stall.held_ns < FROZEN_NS or here == self._frozen:
                return
            self._frozen = here
        self._say(self._backoff.due(self._clock()))
        word = self._backoff.offer(stall, bound, self._clock())
        self._say([word] if word is not None else [])

    def _idle(self) -> float | None:
        now = self._clock()
        self._say(self._backoff.due(now))
        return self._backoff.wait_s(now)

    def _rest(self) -> None:
        self._say(self._backoff.rest())

    def _say(self, words: list[Word]) -> None:
        for word in words:
            try:
                self._write(level_of(word.stall), sentence_of(word), fields_of(word))
            except Exception:  # a handler's own mistake, which the next record may be spared
                self.lost += 1


def to(logger: logging.Logger) -> Write:
    """Records of the standard library, with the fields as `extra`."""

    def write(level: int, sentence: str, fields: dict[str, Any]) -> None:
        extra = {f"bound_{k}" if k in _TAKEN else k: value for k, value in fields.items()}
        logger.log(level, sentence, extra=extra)

    return write


_TAKEN = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"})
"""What a record has already, and refuses to take from `extra`."""


# --- when -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Place:
    pause_s: float
    silent_until_s: float
    held_back: int = 0
    worst: Word | None = None


class Backoff:
    """Decides what is said at once, and what later. Pure but for what it remembers; times in seconds."""

    def __init__(self) -> None:
        self._places: dict[tuple[Any, ...], _Place] = {}

    def offer(self, stall: Stall, bound: Any, now_s: float) -> Word | None:
        """The word to say now; None if the stall is held back."""
        key = self._key(stall)
        place = self._places.get(key)
        if place is not None and now_s < place.silent_until_s:
            place.held_back += 1
            if place.worst is None or stall.held_ns > place.worst.stall.held_ns:
                place.worst = Word(stall, bound)
            return None
        before = self._silence(key, now_s)
        worst = before.worst.stall.held_ns if before and before.worst else 0
        return Word(stall, bound, before.held_back if before else 0, max(worst, stall.held_ns))

    def due(self, now_s: float) -> list[Word]:
        """For each place whose silence is over: the worst stall of it, if there were any."""
        over = [key for key, p in self._places.items() if p.held_back and now_s >= p.silent_until_s]
        return [word for key in over if (word := _summary(self._silence(key, now_s)))]

    def wait_s(self, now_s: float) -> float | None:
        """Until something is due; None if nothing is held back."""
        ends = [p.silent_until_s for p in self._places.values() if p.held_back]
        return max(0.0, min(ends) - now_s) if ends else None

    def rest(self) -> list[Word]:
        places, self._places = self._places, {}
        return [word for place in places.values() if (word := _summary(place))]

    def _silence(self, key: tuple[Any, ...], now_s: float) -> _Place | None:
        """Begins the next silence of a place, and gives what the last one held back."""
        before = self._places.pop(key, None)
        pause = FIRST_PAUSE_S
        # A place that was quiet for as long as it was silenced begins anew.
        if before is not None and now_s - before.silent_until_s < before.pause_s:
            pause = min(before.pause_s * 2, LONGEST_PAUSE_S)
        self._places[key] = _Place(pause, now_s + pause)
        return before

    def _key(self, stall: Stall) -> tuple[Any, ...]:
        site, entry = stall.site, stall.entry
        key = (
            stall.ongoing, stall.cause, entry.name if entry else "",
            (site.file, site.function, site.call) if site else None,
        )  # fmt: skip
        if key in self._places or len(self._places) < MOST_SITES:
            return key
        return stall.ongoing, "elsewhere"


def _summary(place: _Place | None) -> Word | None:
    if place is None or place.worst is None:
        return None
    worst = place.worst
    return Word(worst.stall, worst.bound, place.held_back - 1, worst.stall.held_ns)


# --- what -----------------------------------------------------------------------------------


def level_of(stall: Stall) -> int:
    """INFO where nobody is to blame: a server that starts, a process that the system did not let run."""
    blameless = is_startup(stall) or stall.cause is Cause.STARVED
    return logging.INFO if blameless else logging.WARNING


def sentence_of(word: Word) -> str:
    stall = word.stall
    who = stall.entry.name if stall.entry else "something"
    verb = "has held" if stall.ongoing else "held"
    parts = [f"{who} {verb} the event loop for {_s(stall.held_ns)}"]
    if stall.ongoing:
        parts[0] += " and still does"
    if stall.site is not None:
        calling = f", calling {stall.site.call}" if stall.site.call else ""
        parts.append(f"at {stall.site.file}:{stall.site.line} in {stall.site.function}{calling}")
    said = " ".join(parts) + f": {stall.because}"
    if stall.victims:
        said += f"; {_count(stall.victims, 'request')} waited"
    if word.held_back:
        more = _count(word.held_back, "more stall")
        said += f"; {more} of this place since the last record, the worst {_s(word.worst_ns)}"
    return clean(said)


def fields_of(word: Word) -> dict[str, Any]:
    """What JSON can hold; `null` where something is not known. Ours win over what was bound."""
    stall, site, entry = word.stall, word.stall.site, word.stall.entry
    bound = word.bound if isinstance(word.bound, Mapping) else {}
    request_id = stall.request.request_id if stall.request else None
    fields: dict[str, Any] = {str(key): _plain(value) for key, value in bound.items()}
    fields |= {
        "event": "event_loop.frozen" if stall.ongoing else "event_loop.stall",
        "rule": code_of(stall),
        "cause": str(stall.cause),
        "held_ms": round(stall.held_ns / 1e6, 1),
        "entry": entry.name if entry else None,
        "file": site.file if site else None,
        "line": site.line if site else None,
        "function": site.function if site else None,
        "call": (site.call or None) if site else None,
        "syscall": stall.syscall,
        "peer": stall.peer,
        "victims": stall.victims,
        "held_back": word.held_back,
        "worst_ms": round(word.worst_ns / 1e6, 1),
        "pid": os.getpid(),
    }
    if request_id is not None or "request_id" not in fields:
        fields["request_id"] = request_id
    return fields


def _plain(value: object) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _s(ns: int) -> str:
    return f"{ns / 1e9:.2f} s"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
