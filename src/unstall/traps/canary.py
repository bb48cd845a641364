"""Proof that a trap is armed: each kind of hook is made to fire once, on a loop in its own thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from functools import cache
from types import FrameType
from typing import Any, NamedTuple

from unstall.errors import TargetError
from unstall.traps.events import IMPORT
from unstall.traps.hooks import HOOKS
from unstall.traps.sight import Seen
from unstall.traps.wrapped import SEES_CALLS


class Hook(NamedTuple):
    """A kind of hooks, by one call that it sees."""

    name: str
    call: str
    source: str
    vital: bool = True
    """Whether a trap without it is worth nothing; else it is a gap."""


_LAZY = """
import importlib

def lazy():
    try:
        importlib.import_module("unstall_canary")  # there is no such module
    except ImportError:
        pass

lazy()
"""
NEEDED = (
    Hook("audit events", "open", "open(__file__, 'rb').close()"),
    Hook("wrapped functions", "time.sleep", "import time; time.sleep(1e-9)"),
    Hook(
        "waits for other threads",
        "threading.Condition.wait",
        "import threading; threading.Event().wait(1e-9)",
    ),
    Hook("imports by importlib", IMPORT, _LAZY, vital=False),
)
_NO_CALLS = "calls of C code are seen from Python 3.12 on: here only those of drivers with rows of their own"


def inactive_hooks(hooks: Sequence[Hook] = NEEDED) -> tuple[str, ...]:
    """What a trap does not see on this interpreter, each as a sentence. Raises TargetError if it is blind."""
    heard = _heard(hooks)
    silent = [hook for hook in hooks if hook.call not in heard]
    blind = [hook.name for hook in silent if hook.vital]
    if blind:
        raise TargetError(
            f"the trap is not armed: Python {sys.version.split()[0]} showed it no {', no '.join(blind)}; "
            "run without it, and report it with the packages that are installed"
        )
    unknown = (*HOOKS.missing, *(hook.name for hook in silent))
    missing = tuple(f"{name}: it is not as unstall knows it" for name in unknown)
    return missing if SEES_CALLS else (_NO_CALLS, *missing)


@cache
def proven() -> tuple[str, ...]:
    """As `inactive_hooks`, once in a process."""
    return inactive_hooks()


class _Listener:
    def __init__(self) -> None:
        self.calls: set[str] = set()

    def saw(self, call: str, peer: str | None, frame: FrameType) -> Seen | None:
        self.calls.add(call)
        return None

    def waited(self, whose: str, ns: int) -> None:
        """The canary's own steps matter to nobody."""


def _heard(hooks: Sequence[Hook]) -> set[str]:
    """A loop on this thread would leave its mark: asyncio's loop of the thread is forgotten after a run."""
    listener = _Listener()
    thread = threading.Thread(target=_sing, args=(hooks, listener), name="unstall-canary")
    with HOOKS.held():
        thread.start()
        thread.join()
    return listener.calls


def _sing(hooks: Sequence[Hook], listener: _Listener) -> None:
    """The trap is opened on the thread of the loop, so that nobody else is told."""

    async def song() -> None:
        for hook in hooks:
            # By nobody we know, for what is ours is not looked at.
            named: dict[str, Any] = {"__name__": "canary", "__file__": __file__}
            exec(compile(hook.source, "<canary>", "exec"), named)

    loop = asyncio.new_event_loop()
    HOOKS.open(listener)
    try:
        loop.run_until_complete(song())
    finally:
        HOOKS.close(listener)
        loop.close()
