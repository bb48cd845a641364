"""Every error that unstall raises on purpose.

    UnstallError                 exit 2   docs/messages.md#<slug>
    ├── UsageError               exit 2   a flag, argument or setting cannot be used
    ├── RecordingError           exit 2   a recording cannot be read
    │   └── NewerRecording       exit 2   it was written by a later version
    ├── OutputError              exit 2   what was found could not be written
    ├── LaneError                exit 2   a lane did not do a call
    │   ├── LaneFull             exit 2   as many wait as may
    │   │   └── LaneStuck        exit 2   threads that outlived their callers hold every slot
    │   ├── LaneTimeout          exit 2   no slot came in time, so nothing was begun
    │   ├── LaneDeadline         exit 2   the work was begun and took too long
    │   ├── LaneClosed           exit 2   the lane takes no more calls
    │   └── LaneBroken           exit 2   a worker died, or its answer could not be brought back
    ├── BlockingCallError        exit 2   a call that blocks the loop, refused by a strict trap
    ├── DeadlinePassed           exit 2   the request's time was over before a call was made
    ├── SwitchedOff              exit 2   what was called is switched off
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


class OutputError(UnstallError):
    """Standard output does not take what was asked for: a full disk, a terminal that is gone."""

    slug = "output"


class LaneError(UnstallError):
    """A lane did not do a call, or could not say how it ended."""

    slug = "lane"

    def __init__(self, message: str, lane: str = "", retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.lane = lane
        """The lane's name."""
        self.retry_after = retry_after
        """Seconds after which another try has a chance, as far as the lane can tell."""

    def __reduce__(self) -> tuple[type[LaneError], tuple[str, str, float]]:
        return type(self), (str(self), self.lane, self.retry_after)


class LaneFull(LaneError):
    """As many calls wait for a slot as may; nothing was begun."""

    slug = "lane-full"


class LaneStuck(LaneFull):
    """Threads that outlived their callers hold every slot; nothing was begun."""

    slug = "lane-stuck"


class LaneTimeout(LaneError):
    """No slot came free in time; nothing was begun."""

    slug = "lane-timeout"


class LaneDeadline(LaneError):
    """The work was begun and took longer than the deadline; a thread may still be at it."""

    slug = "lane-deadline"


class LaneClosed(LaneError):
    """The lane has been closed; nothing was begun."""

    slug = "lane-closed"


class LaneBroken(LaneError):
    """A worker of the lane died, or what it answered could not be brought back."""

    slug = "lane-broken"


class BlockingCallError(UnstallError):
    """A strict trap refuses a call that blocks the event loop; it is on the record already."""

    slug = "blocking-call"


class DeadlinePassed(UnstallError):
    """The request that is worked for has no time left, so the call was not made."""

    slug = "deadline-passed"


class SwitchedOff(UnstallError):
    """A feature switch is off for this call, and it has nothing to answer instead."""

    slug = "switched-off"

    def __init__(self, message: str, switch: str = "") -> None:
        super().__init__(message)
        self.switch = switch


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
