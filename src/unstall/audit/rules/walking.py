"""What a blocking call costs, and whether anything bounds it."""

from __future__ import annotations

import ast

from unstall.audit.functions import is_open
from unstall.audit.ir import Via
from unstall.audit.judge import Hit
from unstall.audit.rules.arguments import argument, is_none, number
from unstall.catalog.row import Cost

OWN = (
    "Lock.acquire",
    "Semaphore.acquire",
    "Future.result",
    "Thread.join",
    "futures.wait",
    "Executor.shutdown",
)
"""Waits for code of one's own, which ends when that does."""


def is_endless(hit: Hit) -> bool:
    """It may wait for ever: it has a time-out, the default is none, and none is given."""
    row, call = hit.row, hit.outside.seen.node
    if hit.name.endswith(OWN):
        return False
    if row.cost is not Cost.UNBOUNDED or row.time_out is None or row.time_out.default != "none":
        return False
    if (
        row.time_out.at
        or hit.outside.seen.via is not Via.CALL
        or not isinstance(call, ast.Call)
        or is_open(call)
    ):
        return False
    given = argument(call, row.time_out.parameter)
    if given is not None:
        return is_none(given)
    # A position: `join(2)`, `wait(2)`.
    return all(number(each) is None for each in call.args)


def is_long(hit: Hit) -> bool:
    return hit.row.cost is Cost.UNBOUNDED or is_computing(hit)


def is_computing(hit: Hit) -> bool:
    return hit.row.code.startswith("US2") and hit.row.cost is not Cost.US
