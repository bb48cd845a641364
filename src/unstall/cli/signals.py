"""What a command hears while its loop runs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def heard(told: Callable[[int], object], *numbers: int) -> Iterator[None]:
    """The running loop calls `told` with each of these signals; then they do as they did.

    A loop of uvloop that is closed would swallow them for good; asyncio would give them their defaults.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):  # Windows
                loop.add_signal_handler(number, told, number)
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
                # None is a handler of C code: nobody can put it back.
                if before[number] is not None:
                    signal.signal(number, before[number])
