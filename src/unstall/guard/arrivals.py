"""How long a request waited before it came here, by the header that proxies write."""

from __future__ import annotations

_UNITS = ((1e17, 1.0), (1e14, 1e3), (1e11, 1e6), (1e8, 1e9))
"""A moment of these years is nanoseconds, microseconds, milliseconds or seconds by its size; times so
many ns.
"""
_LONGEST_NS = 3_600 * 1_000_000_000


def waited_ns(text: str, epoch_s: float) -> int | None:
    """From X-Request-Start to now; None for what no clock would say.

    `t=1763719200.250` of nginx in seconds, others in milli- or microseconds."""
    try:
        value = float(text.strip().removeprefix("t="))
    except ValueError:
        return None
    for least, factor in _UNITS:
        if least <= value < least * 1e3:
            waited = int(epoch_s * 1e9 - value * factor)
            return waited if 0 <= waited < _LONGEST_NS else None
    return None
