"""Shows what a monitor sees to everybody outside: metrics, health, a live page."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping

from unstall.export import processes, snapshot
from unstall.export.collect import Collector
from unstall.export.joining import Alone, join, read_anew
from unstall.export.segment import Segment
from unstall.export.server import HOST, Place, Server, place_of
from unstall.export.site import Site
from unstall.export.slot import Slot, SlotState
from unstall.export.workers import View, look
from unstall.meters import METERS
from unstall.model.metric import Family
from unstall.model.observation import Losses, Pulse, Stretch
from unstall.model.recording import Entry
from unstall.watch.monitor import Monitor
from unstall.watch.subject import Subject

PORT = "UNSTALL_METRICS_PORT"
_AT_LEAST_EVERY_S = 10.0
_PATIENCE_S = 0.1
"""Beyond a beat, for siblings to write what was asked for."""
_LONGEST_COMMAND = 200

Say = Callable[[str], None]


def say(text: str) -> None:
    """One line on stderr, if there is one."""
    try:
        print(f"unstall: {text}", file=sys.stderr, flush=True)
    except (OSError, ValueError, AttributeError):
        return


class Exporter:
    """Writes what `monitor` sees where all workers of the server can read it, and serves what all wrote.

    Served at `port` of `host`, or at the Unix socket with the path `socket`, from the first event loop on:
    a supervisor that only imports the application takes no port. A worker that finds the port taken, as a
    rule by its sibling, takes the next one. Without a port, UNSTALL_METRICS_PORT is taken; without that, too,
    this worker serves nothing, and its siblings speak for it. A host stands before it: `0.0.0.0:9108`.

    It is written anew every five seconds, with the monitor's pulse, and when somebody asks at the port.

    Of several in a process one writes. Raises UsageError for a port that is none.
    """

    def __init__(
        self,
        monitor: Monitor,
        *,
        port: int | None = None,
        host: str = HOST,
        socket: str | os.PathLike[str] | None = None,
        segment: str | None = None,
        version: str | None = None,
        commit: str | None = None,
        environ: Mapping[str, str] = os.environ,
        say: Say = say,
    ) -> None:
        self._place: Place | None = None
        if socket is not None:
            self._place = Place(path=os.fspath(socket))
        elif port is not None:
            self._place = place_of(str(port), "port")._replace(host=host)
        elif asked := environ.get(PORT):
            self._place = place_of(asked, PORT)
        self._monitor = monitor
        self._key = segment
        build = {
            "version": version or environ.get("APP_VERSION") or "",
            "commit": commit or environ.get("APP_COMMIT") or "",
        }
        self._build = build if any(build.values()) else {}
        self._say = say
        self._told: set[str] = set()
        self._running = False
        self._new()

    def _new(self) -> None:
        """Nothing that a forked child would share with its parent."""
        self._collector = Collector(self._build, self._monitor.settings.threshold_ns)
        self._segment: Segment | Alone | None = None
        self._slot: Slot | None = None
        self._command = ""
        self._server: Server | None = None
        self._lock = threading.Lock()
        self._pump: threading.Thread | None = None
        self._wake = threading.Event()
        self._stopping = False

    # --- switching ----------------------------------------------------------------------------

    def start(self) -> Exporter:
        """Never raises, never waits."""
        if not self._running:
            self._running = True
            _active.add(self)
            self._listen()
            atexit.register(self.leave)
        return self

    def stop(self) -> None:
        """Ends the threads and takes this worker out of what its siblings show."""
        if self._running:
            self._end()
            if self._slot is not None and self._segment is not None:
                self._segment.release()
            self._new()

    def leave(self) -> None:
        """Before the process ends: the last numbers stay, and count on with the siblings."""
        if self._running:
            self._end(publish=True)
            if self._slot is not None and self._segment is not None:
                self._segment.leave()

    def _end(self, *, publish: bool = False) -> None:
        self._running = False
        _active.discard(self)
        atexit.unregister(self.leave)
        self._monitor.unfollow(self._loop_found)
        with self._lock:
            self._stopping = True
            pump, server = self._pump, self._server
        self._wake.set()
        if server is not None:
            server.stop()
        if pump is not None and pump is not threading.current_thread():
            pump.join(1.0)
        if publish:
            self._publish(time.monotonic_ns())
        self._monitor.unlisten(self._hear)
        self._collector.stop()

    def __enter__(self) -> Exporter:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self) -> None:
        self._monitor.listen(self._hear)
        self._monitor.follow(self._loop_found)

    # --- reading ------------------------------------------------------------------------------

    @property
    def address(self) -> str | None:
        """Where it is served; None while it is not."""
        server = self._server
        return server.place.url() if server is not None and server.place is not None else None

    def view(self) -> View:
        """All workers now; asked on an event loop, which must not wait, of up to five seconds ago."""
        return look(self._read if asyncio._get_running_loop() is not None else self._read_anew)

    def families(self) -> tuple[Family, ...]:
        """What `/metrics` shows."""
        return self.view().families

    def _read(self) -> tuple[SlotState, ...]:
        segment = self._segment
        if segment is None:
            return ()
        segment.ask(time.monotonic_ns())  # for who comes next
        return segment.read()

    def _read_anew(self) -> tuple[SlotState, ...]:
        """After a moment, in which all workers write what they have, as far as they can."""
        segment = self._segment
        if segment is None:
            return ()
        patience_ns = self._monitor.settings.interval_ns + int(_PATIENCE_S * 1e9)
        return read_anew(segment, patience_ns, self._wake.set)

    # --- threads ------------------------------------------------------------------------------

    def _loop_found(self, subject: Subject) -> None:
        """On the loop's thread: only to begin, and to be remembered."""
        self._collector.follow(subject)
        with self._lock:
            if self._pump is None and not self._stopping:
                self._pump = threading.Thread(target=self._run, name="unstall-export", daemon=True)
                self._pump.start()
        self._wake.set()

    def _hear(self, entry: Entry) -> None:
        """On the watchdog's thread, which is awake for it anyway."""
        self._collector.hear(entry)
        if isinstance(entry, Pulse | Stretch | Losses):
            self._wake.set()

    def _run(self) -> None:
        try:
            self._join()
            self._serve()
            while not self._stopping:
                self._turn(time.monotonic_ns())
                self._wake.wait(_AT_LEAST_EVERY_S)
                self._wake.clear()
        except Exception as error:  # the host goes on without us
            self._once(f"metrics are written no longer after {type(error).__name__}: {error}")
            self._collector.let_go()

    def _join(self) -> None:
        writer = _writer()
        if writer is not None and writer is not self:
            self._segment = writer._segment
            return
        settings = self._monitor.settings
        self._command = processes.command(processes.server())[:_LONGEST_COMMAND]
        self._segment, self._slot = join(
            self._key, self._once, settings.threshold_ns, settings.interval_ns
        )
        self._slot.asked = self._wake.set
        self._collector.start()
        self._collector.write_to(self._slot)

    def _serve(self) -> None:
        if self._place is None:
            return
        server = Server(Site(self._read_anew), self._place, self._once)
        if not server.bind():
            return
        with self._lock:
            if self._stopping:
                server.stop()
            else:
                server.start()
                self._server = server

    def _turn(self, now: int) -> None:
        lost = self._segment is None or not self._segment.current()
        if lost or (self._slot is None and _writer() is None):
            self._join()  # somebody has removed the file, or the one that wrote has stopped
        self._collector.refresh(now)
        self._publish(now)

    def _publish(self, now: int) -> None:
        if self._slot is None:
            return
        beside = {
            "stalls": list(self._collector.stalls),
            "address": self.address,
            "command": self._command,
        }
        self._slot.publish(now, snapshot.encode(METERS.families(), **beside))

    def _once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    # --- fork ---------------------------------------------------------------------------------

    def _after_fork(self) -> None:
        """In the child: silent until it runs a loop of its own."""
        self._monitor.unfollow(self._loop_found)
        self._monitor.unlisten(self._hear)
        self._collector.stop()
        if self._server is not None:
            self._server.forget()
        self._new()
        self._listen()


def _writer() -> Exporter | None:
    return next((each for each in list(_active) if each._slot is not None), None)


_active: weakref.WeakSet[Exporter] = weakref.WeakSet()


def _in_forked_child() -> None:
    for exporter in list(_active):
        exporter._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
