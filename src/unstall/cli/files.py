"""Files that an option names to write something into."""

from __future__ import annotations

from pathlib import Path

from unstall.errors import UsageError


def check_folder(option: str, file: Path | None) -> None:
    """Before a report is made. Raises UsageError where there is no folder for it."""
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"{option} {file} cannot be written: name a file in a folder there is")


def check_output(option: str, file: Path | None) -> None:
    """Before anything is started for it. Raises UsageError for what can be no file."""
    if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
        raise UsageError(
            f"{option} {file} is no file that can be written: name one in a folder there is"
        )


def write_output(option: str, file: Path, text: str) -> None:
    """With a line's end. Raises UsageError."""
    try:
        file.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(
            f"{option} {file} cannot be written ({error.strerror}): name another file"
        ) from None
