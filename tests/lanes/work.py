"""What lanes are given to do. Processes import it, so it imports little."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable


class Hang:
    """A call that hangs until it is let go, and counts who came in and out."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._lock = threading.Lock()
        self.entered = 0
        self.left = 0

    def __call__(self, answer: object = None) -> object:
        with self._lock:
            self.entered += 1
        self._go.wait(30)
        with self._lock:
            self.left += 1
        return answer

    def release(self) -> None:
        self._go.set()


def eventually(holds: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Whether it holds before long; for what other threads do."""
    end = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


# --- for processes --------------------------------------------------------------------------


def double(number: int) -> int:
    return 2 * number


def pid() -> int:
    return os.getpid()


def doze(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def spin(seconds: float) -> int:
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
    return rounds


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def quit_with(code: int) -> None:
    os._exit(code)


def shout() -> str:
    print("printed by the work")
    return sys.stdin.read()


def unpicklable() -> object:
    return threading.Lock()


class Odd(Exception):
    """Can be pickled and not read back."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def odd() -> None:
    raise Odd(1, 2)


def fail(text: str) -> None:
    raise ValueError(text)


def imported(module: str) -> bool:
    return module in sys.modules


def ignores_interrupt() -> bool:
    os.kill(os.getpid(), signal.SIGINT)
    return True
