"""What is put into the interpreter while a trap is open, once for all, and taken out after the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING

from unstall.traps.events import IMPORT, TRAP_EVENTS
from unstall.traps.imports import FirstImports
from unstall.traps.openings import Opening
from unstall.traps.patches import Patches
from unstall.traps.sight import Catcher, Sight
from unstall.traps.wrapped import SEES_CALLS, Wrapped
from unstall.watch.audit import AUDIT

if TYPE_CHECKING:
    from unstall.traps.calls import Calls
    from unstall.traps.steps import Steps

_BODY = "<module>"


class Hooks:
    """One for the process. Of nested traps the one that was opened last is told, and no other."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._held = 0
        self.sight = Sight()
        self.missing: list[str] = []
        """What is not seen, because something here is not as we know it."""
        self._wrapped = Wrapped(self.sight, self.missing)
        self._first_imports = FirstImports(self._audited, self.sight.failed)
        self._patches = Patches()
        self._calls: Calls | None = None
        self._steps: Steps | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """The hooks stay in for as long as the block lasts, whether or not a trap is open."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        with self._lock:
            self._held += 1
            if self._held == 1:
                self._install()

    def release(self) -> None:
        with self._lock:
            self._held -= 1
            if self._held == 0:
                self._remove()

    def open(self, catcher: Catcher) -> Opening[Catcher]:
        self.hold()
        return self.sight.openings.open(catcher)

    def close(self, catcher: Catcher) -> None:
        self.sight.openings.close(catcher)
        self.release()

    # --- what is put in -----------------------------------------------------------------------

    def _install(self) -> None:
        if not AUDIT.listen(self._audited, TRAP_EVENTS, self.sight.failed):
            self.missing.append(
                "audit events: this interpreter has none, so no file or name is seen"
            )
        if SEES_CALLS:
            self._see_calls()
        self._see_steps()
        self._wrapped.put_in()
        self._first_imports.start()

    def _remove(self) -> None:
        AUDIT.leave(self._audited)
        self._first_imports.stop()
        if self._calls is not None:
            self._calls.stop()
        self._calls = None
        self._patches.restore()
        if self._steps is not None:
            self._steps.stop()
        self._wrapped.take_out()
        self.missing.clear()
        self.sight.close()

    def _audited(self, call: str, peer: str | None, frame: FrameType) -> BaseException | None:
        if call == IMPORT and frame.f_code.co_name == _BODY:
            return None  # an import inside of an import
        seen = self.sight.see(call, peer, frame)
        return seen.refusal if seen is not None else None

    def _see_calls(self) -> None:
        from unstall.traps.calls import Calls

        sight = self.sight
        calls = Calls(sight.openings.__bool__, sight.see, sight.inside, sight.failed)
        if calls.start():
            self._calls = calls
        else:
            self.missing.append("calls of C code: all numbers of tools of sys.monitoring are taken")

    def _see_steps(self) -> None:
        from unstall.traps.steps import Steps, Wait

        sight = self.sight

        def told(wait: Wait) -> None:
            for catcher in sight.openings.told_by(get_ident()):
                catcher.waited(wait.whose, wait.ns)

        self._steps = Steps(sight.openings.__bool__, sight.heard.__getitem__, told, sight.failed)
        self._steps.start(self._patches)


HOOKS = Hooks()
