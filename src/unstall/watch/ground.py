"""Where a loop stands on its thread: what lies below the frames of a step.

Under asyncio its own frames are there. uvloop has none: below a step is whoever started the loop, and only
a callback that the loop itself called can tell that frame from the step's. A greenlet has a stack of its
own: the step that switched to it goes on below, on the thread's main greenlet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from unstall.explain.blame import LOOP_MODULES


class Ground:
    """Noted by each beat of a loop, read by the watchdog."""

    __slots__ = ("_base", "_greenlet")

    def __init__(self) -> None:
        self._base = 0
        """`id` of the frame that runs a loop without frames. It lives as long as the loop runs."""
        self._greenlet: Any = None

    def note(self, caller: FrameType | None) -> None:
        """`caller` is what called a callback that the loop runs; on the loop's thread."""
        if self._greenlet is None and "greenlet" in sys.modules:
            self.note_greenlet()
        self._base = 0 if caller is None or module_of(caller) in LOOP_MODULES else id(caller)

    def note_greenlet(self) -> None:
        """On the loop's thread, outside of what it may switch to."""
        current = getattr(sys.modules.get("greenlet"), "getcurrent", None)
        self._greenlet = current() if current is not None else None

    def frames(self, innermost: FrameType) -> Iterator[FrameType]:
        """The frames of the thread from inside out; of a loop without frames, those of the step alone."""
        frame: FrameType | None = innermost
        while frame is not None:
            if id(frame) == self._base:
                return
            yield frame
            frame = frame.f_back
        # None while that greenlet runs: then these were its frames.
        frame = getattr(self._greenlet, "gr_frame", None)
        while frame is not None and id(frame) != self._base:
            yield frame
            frame = frame.f_back

    def callback(self, frames: list[FrameType]) -> FrameType | None:
        """The outermost frame of the bare callback that runs; None when the loop is idle."""
        outermost: FrameType | None = None
        for frame in frames:
            if module_of(frame) in LOOP_MODULES:
                break
            outermost = frame
        else:
            return outermost if self._base else None
        return None if outermost is None or module_of(outermost) == "selectors" else outermost

    def forget(self) -> None:
        self._base, self._greenlet = 0, None


def module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
