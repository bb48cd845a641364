"""Does every hook work on this interpreter and this system? What does not is named, with its reason."""

from __future__ import annotations

import sys
import threading
import time

from unstall.threads import BESIDE_INTERPRETERS, beside_interpreters
from unstall.threads import frames as thread_frames
from unstall.watch.linux import ThreadProbe

_PATIENCE_S = 0.25


def inactive_hooks() -> tuple[str, ...]:
    """Looks at a thread that certainly waits for a lock, and lists what could not be seen of it."""
    gate = threading.Lock()
    known = threading.Event()
    tid = ident = 0

    def wait() -> None:
        nonlocal tid, ident
        tid, ident = threading.get_native_id(), threading.get_ident()
        known.set()
        with gate:
            pass

    gate.acquire()
    thread = threading.Thread(target=wait, name="unstall-selftest", daemon=True)
    thread.start()
    try:
        known.wait(_PATIENCE_S)
        return tuple(_failures(tid, ident))
    finally:
        gate.release()
        thread.join()


def _failures(tid: int, ident: int) -> list[str]:
    failures = []
    if beside_interpreters():
        failures.append(BESIDE_INTERPRETERS)
    elif thread_frames().get(ident) is None:
        failures.append("stacks: sys._current_frames() does not show another thread")
    if sys.platform != "linux":
        failures.append(
            f"thread states: {sys.platform} has no /proc, causes rest on CPU time alone"
        )
        return failures
    probe = ThreadProbe(tid)
    failures += probe.inactive
    if not probe.inactive and not _sees_futex(probe):
        failures.append("/proc/self/task/*/syscall: does not show a thread that waits for a lock")
    probe.close()
    return failures


def _sees_futex(probe: ThreadProbe) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        look = probe.look()
        if look is not None and look.wait is not None and look.wait.syscall.startswith("futex"):
            return True
        time.sleep(0.001)
    return False
