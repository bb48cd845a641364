"""Signals for the command that reach its parent.

They are blocked before the command starts and taken by a thread, because only so can it be seen who sent
one: what the terminal sends goes to the whole process group, and must not be sent twice.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable

_NAMES = "SIGINT SIGTERM SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGWINCH SIGTTIN SIGTTOU SIGALRM"
FORWARDED = frozenset(
    number for name in _NAMES.split() if (number := getattr(signal, name, None)) is not None
)
_SI_KERNEL = 0x80


def hold_back() -> None:
    """To be called before the command starts, while there is one thread only."""
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)


def let_through() -> None:
    """In the command's process, before it is executed: it starts as if nobody had held anything back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)


def forward(pid: int, is_over: Callable[[], bool]) -> None:
    """Passes on, from now on and on a thread, what was meant for the command alone."""
    threading.Thread(target=_forward, args=(pid, is_over), name="signals", daemon=True).start()


def _forward(pid: int, is_over: Callable[[], bool]) -> None:
    while True:
        number, by_terminal = _wait(FORWARDED)
        if by_terminal or is_over():
            continue
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _wait(signals: Iterable[signal.Signals]) -> tuple[int, bool]:
    if hasattr(signal, "sigwaitinfo"):
        told = signal.sigwaitinfo(signals)
        # The terminal sends these to the whole group; a hang-up only to the session's leader.
        shared = told.si_signo in (signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH)
        return told.si_signo, shared and told.si_code == _SI_KERNEL
    number = signal.sigwait(signals)
    return number, number == signal.SIGINT and _in_foreground()


def _in_foreground() -> bool:
    """Whether Ctrl-C in the terminal would reach us: the best guess where senders are not told."""
    try:
        terminal = os.open(os.ctermid(), os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
