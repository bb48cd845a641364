"""The standard streams as they come: closed, full, on a terminal, or left by whoever read them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from unstall.errors import OutputError


def open_streams() -> None:
    """Puts the null device where a standard stream is closed.

    Otherwise the next file or socket would get its number. A command that is started does not inherit it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
    # Paths and ids may hold what the terminal's encoding does not know.
    if (change := getattr(sys.stdout, "reconfigure", None)) is not None:
        change(errors="backslashreplace")


def write(text: str) -> None:
    """A line or more to standard output, now. Raises OutputError if it cannot take them.

    A reader that has left, as `head` does, is no error.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        _failed(error)


def flush() -> None:
    """What others have written to standard output. Raises OutputError as `write` does."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _failed(error)


def complain(text: str) -> bool:
    """A line or more to standard error; False if nobody can read it."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _hush(sys.stderr)
        return False
    return True


def has_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether `stream` is a terminal that wants colour: NO_COLOR and TERM=dumb say that it does not."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb" and stream.isatty()


def _failed(error: OSError) -> None:
    _hush(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        raise OutputError(
            f"standard output did not take all of it ({error.strerror or error}): "
            "send it to where there is room"
        ) from None


def _hush(stream: TextIO) -> None:
    """Python would complain about the rest once more at exit, and change the exit code."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
