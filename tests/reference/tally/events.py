"""Events as clients send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

_NUMBER = count(1)


def moment(**ago: float) -> str:
    """So long ago, as JSON has it."""
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def event(**changed: Any) -> dict[str, Any]:
    """A good one that nobody has sent before; `...` leaves a field out."""
    found: dict[str, Any] = {
        "event_id": f"e-{next(_NUMBER)}",
        "name": "page_view",
        "at": moment(seconds=1),
        "value": 2.5,
        "dimensions": {"country": "de", "plan": "pro"},
        "properties": {"path": "/start", "screen": {"width": 1440, "height": 900}},
    }
    return {key: value for key, value in (found | changed).items() if value is not ...}


def text_of(**changed: Any) -> bytes:
    return json.dumps(event(**changed)).encode()


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"end": 1}
    for _ in range(levels - 1):
        found = {"level": found}
    return found
