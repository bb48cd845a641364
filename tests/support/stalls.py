"""Which stalls accuse somebody, on a machine that may be out of processors."""

from __future__ import annotations

from unstall.model.finding import Cause, Stall


def accuses(stall: Stall) -> bool:
    """Not of one that the system made, nor of one of which too little was seen to blame a line."""
    if stall.cause is Cause.UNKNOWN:
        return stall.site is not None
    return stall.cause is not Cause.STARVED
