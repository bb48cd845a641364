"""Who is to blame when PostgreSQL refuses: the row, the moment, the connection, or the server."""

from __future__ import annotations

from enum import Enum
from typing import Final

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests


class Unavailable(Exception):
    """Nothing was acknowledged; it may be sent again."""


class Fault(Enum):
    ROW = "it would fail again, alone or in company"
    TURN = "it met another transaction, and may be tried again at once"
    CONNECTION = "another connection may help"
    PLACE = "writing is done on another server now, and every connection to this one is of no use"
    SERVER = "it may help to wait"


_BY_CODE: Final = {
    "22": Fault.ROW,  # data exception
    "23503": Fault.ROW,  # foreign key violation
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
