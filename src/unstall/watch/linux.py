"""What Linux tells of one thread of this process: its system call, its CPU clock, its queueing.

Nothing here touches the file descriptors of the host beyond `getpeername` and `readlink`. Off Linux
every answer is None and `inactive` says so.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

from unstall.model.observation import Wait
from unstall.watch.syscalls import POLLS, SELECTS, TAKES_FD, names

_SYSCALL_NAMES = names(os.uname().machine) if sys.platform == "linux" else {}
_RUSAGE_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)
_POLLFD = struct.Struct("=ihh")
_MAX_POLLED = 16
_ONE_MOMENT_NS = 1_000_000


class Look(NamedTuple):
    """The thread at this moment: running, or in a system call."""

    running: bool
    wait: Wait | None


def cpu_clock_ns(tid: int) -> int | None:
    """CPU time of a thread of this process by its kernel id; None if it ended or has no such clock.

    The clock id is CPUCLOCK_SCHED of one thread as the kernel encodes it: pthread_getcpuclockid() would
    crash on a thread that has ended, this only fails.
    """
    try:
        return time.clock_gettime_ns((~tid << 3) | 6)
    except (OSError, AttributeError):
        return None


def switches() -> int | None:
    """How often the calling thread has been switched to, voluntarily or not; None where that is uncounted."""
    if _RUSAGE_THREAD is None:
        return None
    usage = resource.getrusage(_RUSAGE_THREAD)
    return usage.ru_nvcsw + usage.ru_nivcsw


def asleep_ns() -> int | None:
    """How long this machine has slept since it was started; None if that cannot be told just now."""
    try:
        before = time.monotonic_ns()
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        after = time.monotonic_ns()
    except (OSError, AttributeError):
        return None
    return boot - after if after - before < _ONE_MOMENT_NS else None


class ThreadProbe:
    """Reads one thread by its kernel id; every method returns None where the system is silent.

    The files stay open because opening them costs more than reading; `close` ends that. A probe is
    of no use in a forked child: make a new one.
    """

    def __init__(
        self,
        tid: int,
        names: Iterable[str] = ("syscall", "schedstat"),
        pread: Callable[[int, int, int], bytes] = os.pread,
    ) -> None:
        """`names` are those of its files that will be asked, with `pread`."""
        self._tid = tid
        self._pread = pread
        self._files: dict[str, int] = {}
        self._inodes: dict[int, int] = {}
        self.inactive: list[str] = []
        for name in names:
            try:
                file = os.open(f"/proc/self/task/{tid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
                os.pread(file, 256, 0)
            except OSError as error:
                self.inactive.append(f"/proc/self/task/*/{name}: {error.strerror}")
            else:
                self._files[name] = file
                self._inodes[file] = os.fstat(file).st_ino
        if self.cpu_ns() is None:
            self.inactive.append("per-thread CPU clock: not readable on this system")

    def cpu_ns(self) -> int | None:
        return cpu_clock_ns(self._tid)

    def queued_ns(self) -> int | None:
        """How long it was ready and queued for a processor."""
        try:
            _, queued, _ = self._read("schedstat").split()  # ns run, ns queued, times scheduled
            return int(queued)
        except ValueError:
            return None

    def look(self) -> Look | None:
        fields = self._read("syscall").split()
        if not fields:
            return None
        if fields[0] == b"running":
            return Look(running=True, wait=None)
        number = int(fields[0])
        if number < 0:  # blocked outside a system call: a page fault, or a stop
            return Look(running=False, wait=None)
        name = _SYSCALL_NAMES.get(number, f"syscall {number}")
        fd = _descriptor(name, [int(field, 16) for field in fields[1:4]])
        return Look(running=False, wait=Wait(name, fd, peer_of(fd) if fd is not None else None))

    def close(self) -> None:
        for file in self._files.values():
            try:
                # A host that turned itself into a daemon has closed our files and may use their numbers.
                if os.fstat(file).st_ino == self._inodes[file]:
                    os.close(file)
            except OSError:
                continue
        self._files.clear()

    def _read(self, name: str) -> bytes:
        file = self._files.get(name)
        if file is None:
            return b""
        try:
            return self._pread(file, 256, 0)
        except OSError:  # the thread has ended
            return b""


def keeping_pread(file: int, size: int, offset: int) -> bytes:
    """`os.pread` that does not let go of the interpreter lock: for files that answer at once."""
    if _kept_pread is None:
        raise OSError("no pread that keeps the lock")
    buffer = ctypes.create_string_buffer(size)
    read = _kept_pread(file, buffer, size, offset)
    if read < 0:
        raise OSError("pread")
    return buffer.raw[:read]


def _kept() -> Callable[[int, ctypes.Array[ctypes.c_char], int, int], int] | None:
    try:
        pread: Any = ctypes.PyDLL(None).pread
    except (OSError, AttributeError):
        return None
    pread.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
    pread.restype = ctypes.c_ssize_t
    return pread  # type: ignore[no-any-return]


_kept_pread = _kept() if sys.platform == "linux" else None


def _descriptor(name: str, args: list[int]) -> int | None:
    """The descriptor that a system call waits on, where it names exactly one."""
    if name in TAKES_FD:
        return args[0] if args[0] < 1 << 31 else None
    if name in POLLS and 0 < args[1] <= _MAX_POLLED:
        data = _own_memory(args[0], _POLLFD.size * args[1])
        waited = {fd for fd, events, _ in _POLLFD.iter_unpack(data) if fd >= 0 and events}
        return waited.pop() if len(waited) == 1 else None
    if name in SELECTS and 0 < args[0] <= 1024:
        sets = [_own_memory(at, (args[0] + 7) // 8) for at in args[1:] if at]
        waited = {
            8 * index + bit
            for bits in sets
            for index, byte in enumerate(bits)
            for bit in range(8)
            if byte >> bit & 1
        }
        return waited.pop() if len(waited) == 1 else None
    return None


def _own_memory(address: int, size: int) -> bytes:
    """Bytes of this process; through the kernel, so that an address gone stale is no crash."""
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(memory, size, address)
        finally:
            os.close(memory)
    except (OSError, OverflowError):
        return b""


def _getpeername() -> Callable[[int], bytes | None]:
    """`getpeername` on a bare descriptor.

    `socket.socket(fileno=…)` is not used: with a default time-out set it would switch the host's own
    socket to non-blocking.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def call(fd: int) -> bytes | None:
        buffer = ctypes.create_string_buffer(128)
        size = ctypes.c_uint32(len(buffer))
        if libc.getpeername(ctypes.c_int(fd), buffer, ctypes.byref(size)) != 0:
            return None
        return buffer.raw[: min(size.value, len(buffer))]

    return call


_peer: Callable[[int], bytes | None] | None = None


def peer_of(fd: int) -> str | None:
    """The other end of a descriptor as text, None if it has none or cannot be told."""
    global _peer  # noqa: PLW0603 - libc is looked up once, at the first stall
    try:
        target = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
    if not target.startswith("socket:"):
        return target if target.startswith("/") else target.split(":", 1)[0]
    try:
        if _peer is None:
            _peer = _getpeername()
        return _address(_peer(fd))
    except (OSError, AttributeError, ValueError):
        return None


def _address(raw: bytes | None) -> str | None:
    if raw is None or len(raw) < 2:
        return None
    family = struct.unpack("=H", raw[:2])[0]
    if family == socket.AF_INET:
        port, host = struct.unpack("!H4s", raw[2:8])
        return f"{socket.inet_ntop(socket.AF_INET, host)}:{port}"
    if family == socket.AF_INET6:
        port, _flow, host = struct.unpack("!HI16s", raw[2:24])
        return f"[{socket.inet_ntop(socket.AF_INET6, host)}]:{port}"
    if family == socket.AF_UNIX:
        path = raw[2:]
        text = path.lstrip(b"\0").split(b"\0")[0].decode(errors="replace")
        return ("@" if path[:1] == b"\0" else "") + text if text else "unix socket"
    return None
