"""Who held a loop of this process between two moments, from whatever monitors are on."""

from __future__ import annotations

import threading
import time
import weakref

from unstall.model.finding import Cause, Stall
from unstall.watch.monitor import Monitor, running

_KEPT = 32
_RECENT_NS = 2_000_000_000


class Culprits:
    """Remembers the last stalls. It listens to a monitor from when it is first asked after that has begun."""

    def __init__(self) -> None:
        self._stalls: dict[tuple[str, int, int], Stall] = {}
        self._heard: weakref.WeakSet[Monitor] = weakref.WeakSet()
        self._lock = threading.Lock()

    def listen(self) -> None:
        """Cheap where there is nothing new."""
        for monitor in running():
            with self._lock:
                if monitor in self._heard:
                    continue
                self._heard.add(monitor)
            monitor.subscribe(self._hear)

    def between(self, from_ns: int, until_ns: int) -> str | None:
        """The longest of the stalls that were going on then."""
        self.listen()
        found = [
            stall
            for stall in list(self._stalls.values())
            if (stall.ongoing or stall.until_ns >= from_ns) and stall.from_ns <= until_ns
        ]
        return told(max(found, key=lambda stall: stall.held_ns)) if found else None

    def last(self) -> str | None:
        now = time.monotonic_ns()
        return self.between(now - _RECENT_NS, now)

    def _hear(self, stall: Stall, _: object) -> None:
        """First while it goes on, then when it is over."""
        if stall.cause is Cause.PAUSED:
            return
        self._stalls[stall.process, stall.loop, stall.from_ns] = stall
        while len(self._stalls) > _KEPT:
            self._stalls.pop(next(iter(self._stalls)))


CULPRITS = Culprits()


def told(stall: Stall) -> str:
    """`by requests.get at shop/billing.py:31 in Billing.charge (waiting)`."""
    site = stall.site
    if site is None:
        return f"by {stall.cause}: {stall.because}"
    call = f"{site.call} at " if site.call else ""
    return f"by {call}{site.file}:{site.line} in {site.function} ({stall.cause})"
