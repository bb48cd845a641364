"""One file in shared memory for all workers of a server: a slot for each, and one for those that are gone.

The first worker creates it, the others find it by its name: `UNSTALL_SEGMENT`, or the process that stands for
the server. It lies in a folder of this user alone. Its pages are allocated before they are mapped, because a
full `/dev/shm` would kill who writes to one that is not. Readers do not map it at all.

What a worker counted must not vanish with it, or every restart would look like a counter's reset. So the
slot of a dead worker is read on, until a new one takes its place, and its numbers those of the gone.
"""

from __future__ import annotations

import os
import stat
import struct
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

from unstall.export import processes, slot, snapshot
from unstall.export.slot import Slot, SlotState

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

Say = Callable[[str], None]

MOST_SLOTS = 257
_HEAD = struct.Struct("@8sqq")
_MAGIC = b"unstall\x01"
_SLOTS_AT = 1 << 16  # where a mapping may begin on every machine
_STRIDE = -(-slot.SIZE // _SLOTS_AT) * _SLOTS_AT
_GONE = 0
_REMEMBERED = 32
_TRIES = 10
_PATIENCE_S = 1.0
_PAUSE_S = 0.005


class Segment:
    """An open segment. Raises OSError where nothing can be shared."""

    def __init__(self, file: Path, say: Say = lambda _: None) -> None:
        if fcntl is None:
            raise OSError("this system has no flock")
        self.file = file
        self._say = say
        self._fd = -1
        self._own: Slot | None = None
        _make_private(file.parent)
        for _ in range(_TRIES):
            if self._open():
                close = weakref.finalize(self, _close, self._fd, os.fstat(self._fd).st_ino)
                close.atexit = False
                return
        raise OSError(f"{file} is replaced again and again")

    def claim(self, threshold_ns: int = 0, interval_ns: int = 0) -> Slot:
        """A slot for this process, which may have one in each segment."""
        pid = os.getpid()
        with self._locked():
            if not self.current():
                raise FileNotFoundError(f"{self.file} was removed")
            mapped = mmap(self._fd, _STRIDE, offset=_offset(self._vacant()))
            self._own = Slot.begin(mapped, pid, processes.started(pid), threshold_ns, interval_ns)
        return self._own

    def release(self) -> None:
        """This process says no more, and goes on living; its numbers are taken back."""
        if self._own is not None:
            self._own.clear()
        self._own = None
        self.leave()

    def leave(self) -> None:
        """The file goes with the last process that has something in it, this one left out."""
        me = os.getpid()
        try:
            with self._locked():
                if not any(pid != me for pid in self._living()) and self.current():
                    self.file.unlink()
        except OSError:
            return  # the next start finds it, and sees that all are dead

    def current(self) -> bool:
        """Whether others who ask for its name find this file; and our number for it has not been closed."""
        try:
            ours, there = os.fstat(self._fd), self.file.stat()
        except OSError:
            return False
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def ask(self, now: int) -> None:
        """All workers for a new snapshot."""
        for index in range(1, self._count()):
            start = _offset(index)
            slot.ask(lambda at, data, start=start: os.pwrite(self._fd, data, start + at), now)  # type: ignore[misc]

    def owed(self, asked: int) -> bool:
        """Whether somebody who could has not answered yet to what was asked at `asked`."""
        return any(slot.owes(self._reader(index), asked) for index in range(1, self._count()))

    def read(self) -> tuple[SlotState, ...]:
        """All that have written, dead ones included; the last is the sum of the gone.

        That is read last, and who is in it already is left out: so nobody is missed or counted twice,
        though somebody is buried meanwhile.
        """
        states = [slot.parse(self._reader(index)) for index in (*range(1, self._count()), _GONE)]
        gone = states[-1]
        buried = snapshot.buried_in(gone.snapshot) if gone and gone.snapshot else []
        return tuple(s for s in states if s is not None and [s.pid, s.since_ns] not in buried)

    # --- the file -----------------------------------------------------------------------------

    def _open(self) -> bool:
        """False if somebody removed the file under us."""
        self._fd = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with self._locked():
                if not self.current():
                    raise FileNotFoundError
                if os.fstat(self._fd).st_size == 0:
                    self._format()
                elif not self._usable():
                    self.file.unlink()
                    raise FileNotFoundError
        except FileNotFoundError:
            os.close(self._fd)
            return False
        except BaseException:
            os.close(self._fd)
            raise
        return True

    def _usable(self) -> bool:
        """Not if an unfit version wrote it, or if all who did are dead."""
        if os.pread(self._fd, _HEAD.size, 0) != _head():
            return False
        pids = [pid for pid, _ in self._owners() if pid]
        if pids and not any(self._living()):
            gone = ", ".join(map(str, pids[:5])) + (", …" if len(pids) > 5 else "")
            self._say(
                f"the shared numbers in {self.file} were left by processes that are gone ({gone}): "
                "they are dropped, and counting begins anew"
            )
            return False
        return True

    def _format(self) -> None:
        try:
            _allocate(self._fd, 0, _SLOTS_AT + _STRIDE)
            Slot.begin(mmap(self._fd, _STRIDE, offset=_offset(_GONE)), 0, -1)
            os.pwrite(self._fd, _head(), 0)
        except BaseException:
            self.file.unlink()
            raise

    def _count(self) -> int:
        return (os.fstat(self._fd).st_size - _SLOTS_AT) // _STRIDE

    def _reader(self, index: int) -> slot.Read:
        fd, start = self._fd, _offset(index)
        return lambda at, size: os.pread(fd, size, start + at)

    def _owners(self) -> list[tuple[int, int]]:
        return [slot.owner(self._reader(index)) for index in range(1, self._count())]

    def _living(self) -> list[int]:
        return [pid for pid, began in self._owners() if pid and processes.status(pid, began).alive]

    def _vacant(self) -> int:
        """The number of a slot that nobody has; held by the lock."""
        for index, (pid, began) in enumerate(self._owners(), 1):
            if not pid:
                return index
            # Our own number: this process was another program before an `exec`.
            if pid == os.getpid() or not processes.status(pid, began).alive:
                self._bury(index)
                return index
        index = self._count()
        if index >= MOST_SLOTS:
            raise OSError(f"{MOST_SLOTS - 1} processes write to {self.file} already")
        _allocate(self._fd, _offset(index), _STRIDE)
        return index

    def _bury(self, index: int) -> None:
        """Adds what a dead worker counted to the sum of the gone."""
        gone, dead = slot.parse(self._reader(_GONE)), slot.parse(self._reader(index))
        if dead is None or dead.snapshot is None:
            return
        before = gone.snapshot if gone is not None and gone.snapshot is not None else {}
        buried = snapshot.buried_in(before)
        if [dead.pid, dead.since_ns] in buried:  # whoever did it died before taking the slot
            return
        families = snapshot.summed(map(snapshot.families_in, (before, dead.snapshot)))
        buried = [*buried, [dead.pid, dead.since_ns]][-_REMEMBERED:]
        writer = Slot(mmap(self._fd, _STRIDE, offset=_offset(_GONE)))
        writer.publish(time.monotonic_ns(), snapshot.encode(families, buried=buried))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Waits no longer than a second: who holds the lock may be frozen."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise BlockingIOError(
                        f"another process holds the lock of {self.file}"
                    ) from None
                time.sleep(_PAUSE_S)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)


def _make_private(folder: Path) -> None:
    folder.mkdir(0o700, exist_ok=True)
    found = folder.lstat()
    mine = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    if not stat.S_ISDIR(found.st_mode) or not mine or found.st_mode & 0o077:
        raise OSError(f"{folder} is open to others")


def _close(fd: int, inode: int) -> None:
    """Only when nobody can read it any more: another file might get its number."""
    try:
        if os.fstat(fd).st_ino == inode:
            os.close(fd)
    except OSError:
        return  # a host that turned itself into a daemon has closed it


def _allocate(fd: int, at: int, size: int) -> None:
    """Writes zeros; all of them or, with an OSError, none that count."""
    if os.pwrite(fd, bytes(size), at) != size:
        os.ftruncate(fd, at)
        raise OSError("no space left for shared memory")


def _offset(index: int) -> int:
    return _SLOTS_AT + index * _STRIDE


def _head() -> bytes:
    return _HEAD.pack(_MAGIC, _STRIDE, slot.SIZE)
