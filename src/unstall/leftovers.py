"""Temporary folders that killed processes have left: whoever comes next removes them."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable
from itertools import islice
from pathlib import Path

_MOST_ENTRIES = 10_000  # of a crowded folder the rest is left for another time


def remove_leftovers(
    folder: Path | str,
    name: re.Pattern[str],
    is_given_up: Callable[[str, float], bool],
    now: Callable[[], float],
) -> None:
    """Removes the folders in `folder` of that name that are ours, of dead processes, and given up.

    The first group of `name` is the process's number. `is_given_up` gets a path and how many seconds ago it
    was changed: in a container that shares the folder the same number is another process.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                named = name.fullmatch(entry.name)
                if named and _is_left(entry, int(named[1]), is_given_up, now()):
                    shutil.rmtree(entry.path, ignore_errors=True)
    except OSError:
        return


def _is_left(
    entry: os.DirEntry[str], pid: int, is_given_up: Callable[[str, float], bool], now_s: float
) -> bool:
    try:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return False
        return not _is_alive(pid) and is_given_up(entry.path, now_s - status.st_mtime)
    except OSError:  # removed in the meantime
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True
