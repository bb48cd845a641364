"""What to do about a blocking call, in one sentence: what the catalog has instead, and the way around."""

from __future__ import annotations

from unstall.catalog.row import Row
from unstall.rules import BY_CODE

_DOES = ("await ", "load ", "read ", "poll ")
"""What begins so says what to do; anything else is a thing to use."""
_THREAD = "or call it in anyio.to_thread.run_sync with a limiter"
_OTHERWISE = {
    "US103": "or make the route a plain def",
    **dict.fromkeys("US102 US104 US105 US106 US108 US110 US111 US603".split(), _THREAD),
}
"""For who cannot change to the asynchronous way."""
_ELSEWHERE = ("thread", "process", "executor", "plain def", "start-up", "before requests")
"""What names one of these is a way around already."""


def remedy_of(row: Row) -> str:
    if not row.instead:
        return BY_CODE[row.code].remedy
    said = row.instead if row.instead.startswith(_DOES) else f"use {row.instead}"
    around = _OTHERWISE.get(row.code)
    if around is None or any(word in row.instead for word in _ELSEWHERE):
        return said
    return f"{said}; {around}" if "," in said else f"{said}, {around}"
