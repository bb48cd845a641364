"""Processes that end when we do, also when we are killed and cannot end them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# It waits at the end of a pipe that nobody writes to: the system closes the pipe, however we end.
_SCRIPT = """
read -r _
kill -TERM -"$1"
rounds=0
while kill -0 -"$1" && [ $rounds -lt 30 ]; do sleep 0.1; rounds=$((rounds + 1)); done
kill -KILL -"$1"
"""
NAME = "unstall-reaper"


@contextmanager
def ended_with_us(group: int) -> Iterator[None]:
    """Within the block the process group ends 3 s after us at the latest; after it, it is the caller's again.

    Where there is no shell nothing is done.
    """
    reaper = _reaper(group)
    try:
        yield
    finally:
        if reaper is not None:
            reaper.kill()  # before its pipe is closed: it must not see us gone
            reaper.communicate()


def _reaper(group: int) -> subprocess.Popen[bytes] | None:
    if sys.platform == "win32":
        return None
    with suppress(OSError):
        return subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, NAME, str(group)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # what ends our group must not end it
        )
    return None
