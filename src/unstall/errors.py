"""Every error that unstall raises on purpose.

    UnstallError                 exit 2   docs/messages.md#<slug>
    ├── UsageError               exit 2   a flag, argument or setting cannot be used
    ├── RecordingError           exit 2   a recording cannot be read
    │   └── NewerRecording       exit 2   it was written by a later version
    ├── NotEnoughData            exit 3   nothing was seen that a verdict could stand on
    └── TargetError              exit 4   the target could not be started or imported
        └── MissingExtra         exit 4   an optional library is not installed

A message says what happened, the value seen, and what to do next, in one sentence.
"""

from __future__ import annotations

from typing import ClassVar


class UnstallError(Exception):
    """Base of the tree; the command line turns it into one line and `exit_code`."""

    exit_code: ClassVar[int] = 2
    slug: ClassVar[str] = "error"


class UsageError(UnstallError):
    """A flag, an argument or a setting has a value that cannot be used."""

    slug = "usage"


class RecordingError(UnstallError):
    """A file is not a recording, or nothing in it can be read."""

    slug = "recording"


class NewerRecording(RecordingError):
    """A recording was written by a later version of the format."""

    slug = "newer-recording"


class NotEnoughData(UnstallError):
    """Too little was seen to say anything."""

    exit_code = 3
    slug = "not-enough-data"


class TargetError(UnstallError):
    """The program to watch could not be started or imported."""

    exit_code = 4
    slug = "target"


class MissingExtra(TargetError):
    """An optional library is needed for this command."""

    slug = "missing-extra"

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(
            f"{library} is not installed, and this command needs it: pip install 'unstall[{extra}]'"
        )
