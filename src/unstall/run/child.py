"""Inside a watched process: next to nothing until an event loop runs, then a monitor that tells the parent.

A process that never runs a loop pays for the import of this module and of `unstall.watch.discover`.
"""

from __future__ import annotations

import _thread
import os

from unstall.watch.discover import Discovery, ImportHooks

TYPE_CHECKING = False  # see unstall.watch.discover
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from unstall.watch.monitor import Monitor

_PATIENCE_S = 5.0


def install() -> None:
    """Has a monitor started by the first event loop of this process, or of a process forked from it."""
    FirstLoop(os.environ["UNSTALL_SOCKET"]).install()


class FirstLoop:
    """Waits for a loop; starts the monitor once, from whichever thread comes first."""

    def __init__(
        self,
        path: str,
        start: Callable[[str], Monitor] | None = None,
        load: Callable[[], None] | None = None,
    ) -> None:
        self._path = path
        self._start = start or start_monitor
        self._load = load or load_monitor
        self._imports = ImportHooks()
        self._discovery = Discovery(self._around, self._imports)
        self._lock = _thread.allocate_lock()
        self._done = False
        self._monitor: Monitor | None = None

    def install(self) -> None:
        self._discovery.start()
        self._imports.start()

    def _around(self, loop: Any) -> AbstractContextManager[None]:
        from contextlib import nullcontext

        monitor = self._started()
        return nullcontext() if monitor is None else monitor.around(loop)

    def _started(self) -> Monitor | None:
        # A fork while another thread starts the monitor leaves the lock taken for good.
        if not self._lock.acquire(timeout=_PATIENCE_S):
            return None
        try:
            if not self._done:
                self._done = True
                try:
                    self._load()
                finally:
                    self._imports.stop()
                    self._discovery.stop()
                self._monitor = self._start(self._path)
        except Exception as error:
            from unstall.run.wire import tell

            tell(self._path, f"process {os.getpid()} could not be watched: {error}")
        finally:
            self._lock.release()
        return self._monitor


def load_monitor() -> None:
    """Takes long: a loop of another thread that starts meanwhile must still find the wrapper, and waits."""
    import unstall.integrations.pools
    import unstall.run.company
    import unstall.run.farewell
    import unstall.run.metrics
    import unstall.run.wire
    import unstall.watch.deadman
    import unstall.watch.monitor  # noqa: F401


def start_monitor(path: str) -> Monitor:
    """A monitor that sends all it sees to the socket at `path`."""
    import atexit

    from unstall.integrations.pools import Gates
    from unstall.run.company import Company
    from unstall.run.farewell import Farewell
    from unstall.run.metrics import written_by
    from unstall.run.wire import Wire
    from unstall.settings import from_environment
    from unstall.watch.deadman import Deadman
    from unstall.watch.monitor import Monitor

    deadman = Deadman(path, stacks=os.environ.get("UNSTALL_INSIDE_C") == "1")
    monitor = Monitor(from_environment(), listeners=(Wire(path), Company(path)), deadman=deadman)
    monitor.start()
    leave = written_by(monitor, os.environ)
    Gates(root=monitor.settings.root, on_finding=monitor.report).start()

    def last_words() -> None:
        leave()
        monitor.stop()

    farewell = Farewell(last_words)
    farewell.start()
    atexit.register(farewell.stop)
    return monitor
