"""Files that an option names to write something into."""

from __future__ import annotations

import os
from errno import EISDIR
from pathlib import Path

from unstall.errors import UsageError


def check_output(option: str, file: Path | None) -> None:
    """Before any work is done for it. Raises UsageError for what can be no file."""
    if file is None:
        return
    if not file.absolute().parent.is_dir():
        raise UsageError(f"{option} {file} cannot be written: name a file in a folder there is")
    if file.is_dir():
        raise _refused(option, file, os.strerror(EISDIR))


def write_output(option: str, file: Path, text: str) -> None:
    """With a line's end. Raises UsageError."""
    try:
        file.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _refused(option, file, str(error.strerror)) from None


def _refused(option: str, file: Path, why: str) -> UsageError:
    return UsageError(f"{option} {file} cannot be written ({why}): name another file")
