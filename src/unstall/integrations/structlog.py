"""structlog: the records of `unstall.integrations.logs`, with what the request had bound.

What a handler of the culprit bound with `structlog.contextvars.bind_contextvars` is in the record.
"""

from __future__ import annotations

from typing import Any

from unstall.errors import UsageError
from unstall.integrations.logs import StallLog, Write
from unstall.watch.monitor import Monitor


def stall_log(monitor: Monitor, logger: Any = None) -> StallLog:
    """To be started and stopped; to structlog's logger `unstall` unless another one is given.

    Raises UsageError where structlog is not installed.
    """
    try:
        import structlog
    except ImportError:
        raise UsageError(
            "structlog is not installed, and its integration needs it: pip install structlog"
        ) from None
    if logger is None:
        logger = structlog.get_logger("unstall")
    return StallLog(monitor, to(logger), bind=structlog.contextvars.get_contextvars)


def to(logger: Any) -> Write:
    def write(level: int, sentence: str, fields: dict[str, Any]) -> None:
        event = fields.pop("event")
        logger.log(level, event, message=sentence, **fields)

    return write
