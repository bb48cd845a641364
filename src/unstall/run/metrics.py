"""`unstall run --metrics`: the supervisor serves what the processes below it write.

It runs no event loop, so it answers whatever happens to them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

TYPE_CHECKING = False  # every process under `unstall run` may import this
if TYPE_CHECKING:
    from unstall.export.server import Place
    from unstall.export.slot import SlotState
    from unstall.watch.monitor import Monitor

_WRITE = "UNSTALL_WRITE_METRICS"
_SEGMENT = "UNSTALL_SEGMENT"
_PORT = "UNSTALL_METRICS_PORT"
_PATIENCE_NS = 120_000_000
"""For workers to write what was asked for: a beat of the usual length, and a little."""


def place_asked(flag: str | None, environ: Mapping[str, str]) -> Place | None:
    """Where metrics shall be served; raises UsageError for a port that is none."""
    text = flag if flag is not None else environ.get(_PORT)
    if not text:
        return None
    from unstall.export.server import place_of

    return place_of(text, _PORT if flag is None else "--metrics")


def told_to_children(environment: Mapping[str, str]) -> dict[str, str]:
    """Their environment if they shall write, and leave the serving to us."""
    key = environment.get(_SEGMENT) or f"run-{os.getpid()}-{os.urandom(4).hex()}"
    rest = {name: value for name, value in environment.items() if name != _PORT}
    return rest | {_SEGMENT: key, _WRITE: "1"}


def written_by(monitor: Monitor, environ: Mapping[str, str]) -> Callable[[], None]:
    """In a child: begins to write, if the supervisor asked for it. Returns what to do at the end."""
    if environ.get(_WRITE) != "1":
        return lambda: None
    from unstall.export.exporter import Exporter

    return Exporter(monitor, environ=environ, say=lambda _: None).start().leave


class Metrics:
    """In the supervisor, from `start` to `stop`."""

    def __init__(self, place: Place, key: str, say: Callable[[str], None]) -> None:
        from unstall.export.joining import join
        from unstall.export.server import Server
        from unstall.export.site import Site

        self._key = key
        self._say = say
        self._segment, _ = join(key, say)
        self._server = Server(Site(self._read), place, say)

    def start(self) -> None:
        if self._server.start() and self._server.place is not None:
            self._say(f"metrics and the live page are at {self._server.place.url()}")

    def stop(self) -> None:
        self._server.stop()
        self._segment.release()

    def _read(self) -> tuple[SlotState, ...]:
        from unstall.export.joining import join, read_anew

        if not self._segment.current():
            self._segment, _ = join(self._key, self._say)
        return read_anew(self._segment, _PATIENCE_NS)
