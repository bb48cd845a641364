"""The word that gets out while a call in C holds the interpreter lock, and no Python thread can speak.

The watchdog sends a beat to another process on each turn. When the beats fail although the watchdog's
thread is awake and one single thread runs, that process knows that the lock is held, and says so.

With `stacks` it also asks for the line: it sends SIGURG to exactly this thread, and the handler that
`faulthandler` keeps in C writes every thread's stack to the same socket, without the lock. To read frames
without the lock is never quite safe: if the call ends in that very moment, the process can crash. So it is
asked for by name (`unstall run --inside-c`), and only after it was made sure that one thread alone runs.

`faulthandler.dump_traceback_later`, the obvious timer, was tried and left. To move it further off it must
be cancelled, and cancelling joins its thread with the interpreter lock held: measured at 16 a second,
60 us as a rule, but 20 ms at p99 and 224 ms at worst while four other processes wanted these two cores.
A beat is one `send` of 10 us and holds nobody up.

SIGURG, because its default is to be ignored: one that comes too late, after an `exec`, does nothing.
"""

from __future__ import annotations

import _socket  # the class below `socket.socket`, which a host may have patched
import faulthandler
import json
import os
import signal
import sys
import sysconfig
import threading

from unstall.model.observation import Process

BEAT_NS = 50_000_000
"""Beats are at least this far apart."""
PAUSE_NS = 100_000_000
"""While a loop is watched the watchdog turns at least this often, so beats are no further apart."""

_RETRY_NS = 5_000_000_000
_CONNECT_S = 0.1
_BUFFER = 1 << 20  # as much of a dump as the kernel allows: what does not fit is lost

NO_SIGNAL = getattr(_socket, "MSG_NOSIGNAL", 0)  # a host may have SIGPIPE kill it

Thread = tuple[int, int, int]
"""Of a watched loop: its number, its thread's ident, and its thread's kernel id."""


class Deadman:
    """Used on the watchdog's thread while that runs. Never raises, never waits."""

    def __init__(self, path: str, *, stacks: bool = False) -> None:
        self._path = path
        self._socket: _socket.socket | None = None
        self._inode = (0, 0)
        self._told: tuple[Thread, ...] = ()
        self._beat_ns = self._retry_ns = 0
        self._hello: dict[str, str | int] = {}
        self._stacks = stacks
        self.inactive = _inactive(stacks)
        """Why there can be no word from here, as a sentence; None if there can."""

    def speaks_for(self, process: Process, interval_ns: int) -> None:
        """What the other end must know to tell late from dead; called once before the first beat."""
        self._hello = {
            "kind": "deadman",
            "process": process.process,
            "pid": process.pid,
            "threshold_ns": process.threshold_ns,
            "interval_ns": interval_ns,
            "switch_ns": int(sys.getswitchinterval() * 1e9),
            "stdlib": os.path.realpath(sysconfig.get_path("stdlib")),
        }

    def alive(self, now: int, begun: int, loops: tuple[Thread, ...]) -> None:
        """The watchdog's thread runs, and these loops are watched; `begun` requests began so far."""
        if self.inactive is not None or (loops == self._told and now - self._beat_ns < BEAT_NS):
            return
        if self._stacks and _is_taken():  # by now: who asks would ask the program's handler
            self.inactive = _inactive(self._stacks)
            self.stop()
            return
        if self._socket is None and not (loops and now >= self._retry_ns and self._connect(now)):
            return
        line = f"b {now} {begun}\n"
        if loops != self._told:
            line += json.dumps({"loops": loops}) + "\n"
        if self._send(line):
            self._beat_ns, self._told = now, loops

    def punctual(self, now: int, begun: int) -> None:
        """As `alive`, from a loop's own thread: its beats come in time, and the watchdog sleeps.

        What fails is left to the watchdog, which knows how to connect anew.
        """
        ours = self._socket
        if ours is not None and self._told and now - self._beat_ns >= BEAT_NS:
            self._beat_ns = now
            try:
                ours.send(f"b {now} {begun}\n".encode(), NO_SIGNAL)
            except OSError:
                return

    def stop(self) -> None:
        """Puts the signal back as it was. In a forked child too: the connection is another process's."""
        ours, self._socket = self._socket, None
        self._told = ()
        self._retry_ns = 0
        if ours is None:
            return
        try:
            # First: the number may soon be another file's. But to unregister would also put back what was
            # there before us, and a handler that the program has installed since would be gone.
            if self._stacks and not _is_taken():
                faulthandler.unregister(signal.SIGURG)
        except (OSError, ValueError):
            pass
        let_go(ours, self._inode)

    def _connect(self, now: int) -> bool:
        self._retry_ns = now + _RETRY_NS
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _BUFFER)
            connection.settimeout(_CONNECT_S)
            connection.connect(self._path)
            connection.setblocking(False)  # a handler in C must not wait for a slow reader
            hello = self._hello | {"tid": threading.get_native_id()}
            connection.send(json.dumps(hello).encode() + b"\n")
            self._inode = inode_of(connection)
            if self._stacks:
                faulthandler.register(
                    signal.SIGURG, file=connection.fileno(), all_threads=True, chain=False
                )
        except (OSError, ValueError, RuntimeError):
            connection.close()
            return False
        self._socket = connection
        return True

    def _send(self, line: str) -> bool:
        ours, data = self._socket, line.encode()
        try:
            if ours is None or not is_same(ours, self._inode):
                raise OSError("the descriptor is another file's")
            if ours.send(data, NO_SIGNAL) == len(data):
                return True
        except BlockingIOError:
            return False  # the reader is slow: one beat less
        except (OSError, ValueError):
            pass
        retry_ns = self._retry_ns
        self.stop()
        self._retry_ns = retry_ns
        return False


def inode_of(connection: _socket.socket) -> tuple[int, int]:
    status = os.fstat(connection.fileno())
    return status.st_dev, status.st_ino


def is_same(connection: _socket.socket, inode: tuple[int, int]) -> bool:
    """Whether the descriptor is still ours: a host that closes all of them frees its number for others."""
    try:
        return inode_of(connection) == inode
    except OSError:
        return False


def let_go(connection: _socket.socket, inode: tuple[int, int]) -> None:
    """Closes what is ours, and only forgets a number that is somebody else's by now."""
    if is_same(connection, inode):
        connection.close()
    else:
        connection.detach()


def _is_taken() -> bool:
    """Whether the program handles SIGURG; what `faulthandler` installs in C is not seen here."""
    return signal.getsignal(signal.SIGURG) not in (signal.SIG_DFL, signal.SIG_IGN)


def _inactive(stacks: bool) -> str | None:
    """Why there can be no deadman in this process, as a sentence for `Process.inactive`."""
    if sys.platform != "linux":
        reason = f"{sys.platform} cannot signal a single thread"
    elif not getattr(sys, "_is_gil_enabled", lambda: True)():
        reason = "this interpreter has no such lock"
    elif stacks and _is_taken():
        reason = "the program uses SIGURG itself"
    else:
        return None
    return f"live word while the interpreter lock is held: {reason}"
