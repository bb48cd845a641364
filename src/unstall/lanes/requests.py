"""A call as bytes for another interpreter, and its answer as a value."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from unstall.errors import LaneBroken, UsageError
from unstall.lanes.child import RAISED, RETURNED, UNREAD
from unstall.lanes.jobs import name_of

if TYPE_CHECKING:
    from unstall.lanes.jobs import Job

HIDDEN = "__unstall_hidden__"
"""Marks a function that a lane's decorator has put another in front of, under the same name."""


class WorkerTraceback(Exception):
    """The cause of an error that was raised in another interpreter: where it was raised there."""

    def __init__(self, trace: str) -> None:
        super().__init__(f"\n\n{trace}")


def request_of(job: Job, lane: str) -> bytes:
    """Raises UsageError for what cannot be pickled."""
    function: Any = job.function
    if getattr(function, HIDDEN, False):
        function = (function.__module__, function.__qualname__)
    try:
        return pickle.dumps((function, job.args, dict(job.named)), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise UsageError(
            f"{name_of(job.function)} or its arguments cannot be pickled for the lane {lane!r} ({error}): "
            "give a function of a module and plain values, or use a lane of threads"
        ) from None


def result_of(answer: bytes, job: Job, lane: str) -> Any:
    """Returns or raises what the function did; LaneBroken when that cannot be told."""
    try:
        kind, *rest = pickle.loads(answer)
    except Exception as error:
        raise LaneBroken(
            f"what {name_of(job.function)} returned in the lane {lane!r} cannot be read back "
            f"({type(error).__name__}: {error}): return plain values",
            lane,
        ) from error
    if kind == RETURNED:
        return rest[0]
    if kind == RAISED:
        pickled, told, trace = rest
        if pickled:
            raise _error_in(pickled, told, lane) from WorkerTraceback(trace)
        raise LaneBroken(
            f"{name_of(job.function)} raised {told} in the lane {lane!r}, an error that cannot be pickled",
            lane,
        ) from WorkerTraceback(trace)
    if kind == UNREAD:
        raise LaneBroken(
            f"a worker of the lane {lane!r} could not load {name_of(job.function)} ({rest[0]}): "
            "give a function that another process can import",
            lane,
        )
    raise LaneBroken(
        f"what {name_of(job.function)} returned in the lane {lane!r} cannot be pickled ({rest[0]}): "
        "return plain values",
        lane,
    )


def _error_in(pickled: bytes, told: str, lane: str) -> BaseException:
    try:
        error = pickle.loads(pickled)
    except Exception:
        error = None
    if isinstance(error, BaseException):
        return error
    return LaneBroken(f"a worker of the lane {lane!r} raised {told}", lane)
