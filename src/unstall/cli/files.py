"""Files that an option names to write something into."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from unstall.errors import UsageError


def check_folder(option: str, file: Path | None) -> None:
    """Before a report is made. Raises UsageError where there is no folder for it."""
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"{option} {file} cannot be written: name a file in a folder there is")


def check_outputs(files: Mapping[str, Path | None]) -> None:
    """By their options. Raises UsageError, also for two that would be one file."""
    named: dict[Path, str] = {}
    for option, file in files.items():
        check_output(option, file)
        if file is not None and (first := named.setdefault(file.resolve(), option)) != option:
            raise UsageError(f"{first} and {option} both name {file}: give each a file of its own")


def check_output(option: str, file: Path | None) -> None:
    """Before anything is started for it. Raises UsageError for what can be no file, or not be written."""
    if file is None:
        return
    if file.is_dir() or not file.absolute().parent.is_dir():
        raise UsageError(
            f"{option} {file} is no file that can be written: name one in a folder there is"
        )
    try:
        _try(file)
    except OSError as error:
        raise _unwritable(option, file, error) from None


def write_output(option: str, file: Path, text: str) -> None:
    """With a line's end. Raises UsageError."""
    try:
        file.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise _unwritable(option, file, error) from None


def _try(file: Path) -> None:
    """Leaves it as it is: rights do not say whether a system takes a file there."""
    if not os.path.lexists(file):
        file.open("xb").close()
        file.unlink()
    elif file.is_file():  # to open a pipe waits for its reader
        file.open("ab").close()


def _unwritable(option: str, file: Path, error: OSError) -> UsageError:
    return UsageError(f"{option} {file} cannot be written ({error.strerror}): name another file")
