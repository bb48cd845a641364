"""Who is to blame when PostgreSQL refuses: the row, the moment, the connection, or the server."""

from __future__ import annotations

from enum import Enum
from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from tally.model import Rejected


class Unavailable(Exception):
    """Nothing was acknowledged; it may be sent again."""


class Fault(Enum):
    ROW = "it would fail again, alone or in company"
    DAY = "there is no partition for its day, until one is opened"
    TURN = "it met another transaction, and may be tried again at once"
    CONNECTION = "another connection may help"
    PLACE = "writing is done on another server now, and every connection to this one is of no use"
    SERVER = "it may help to wait"


BLAMED: Final = (Fault.ROW, Fault.DAY)
"""What one row brings upon all in its transaction."""
_BY_CODE: Final = {
    "22": Fault.ROW,  # data exception
    "23514": Fault.DAY,  # a check, and the only one that these tables have is that of partitions
    "54": Fault.ROW,  # larger than what an index or a row can hold
    "40": Fault.TURN,  # deadlock, serialisation
    "08": Fault.CONNECTION,
    "25006": Fault.PLACE,  # read-only: this one was made a standby
    "57P": Fault.CONNECTION,  # shutdown, crash, not yet up
}
"""By the beginning of SQLSTATE. What is not here, as 53100 for a full disk, is the server's."""


def fault_of(error: BaseException) -> Fault:
    if isinstance(error, psycopg.DataError):
        return Fault.ROW  # also what the driver itself refuses to send
    if isinstance(error, PoolClosed | PoolTimeout | TooManyRequests):
        return Fault.SERVER  # the pool has tried already
    code = getattr(error, "sqlstate", None)
    if code is None:
        return Fault.CONNECTION  # it never came to an answer
    for length in (5, 3, 2):
        found = _BY_CODE.get(code[:length])
        if found is not None:
            return found
    return Fault.SERVER


def refused(error: psycopg.Error) -> Rejected:
    """Of a row that was found to be the one to blame."""
    if fault_of(error) is Fault.DAY:
        return Rejected("day-not-open", "its day has no table yet: send it again later", status=503)
    why = error.diag.message_primary or type(error).__name__
    return Rejected("not-storable", f"the database does not take it: {why}")
