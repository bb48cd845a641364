"""Which looks are kept of a stretch that had more than there is room for."""

from __future__ import annotations

from dataclasses import replace

from unstall.model.observation import Look


def keep(looks: list[Look], look: Look, room: int) -> bool:
    """Adds a look to those of a stretch, of which at most `room` are kept; False if one was lost for it.

    How long each step was seen outlives what it looked like in between: that gives way first, to the
    newest look at the same step, then to steps not seen before.
    """
    if looks and _is_same(looks[-1], look):
        looks[-1] = replace(looks[-1], last_ns=look.last_ns, times=looks[-1].times + look.times)
        return True
    if len(looks) < room:
        looks.append(look)
        return True
    if len(looks) > 1 and looks[-1].step == looks[-2].step == look.step:
        looks[-1] = look
        return False
    at = next((n for n in range(1, len(looks) - 1) if _is_between(looks, n)), None)
    if at is not None:
        del looks[at]
        looks.append(look)
    return False


def _is_same(last: Look, look: Look) -> bool:
    return replace(look, first_ns=last.first_ns, last_ns=last.last_ns, times=last.times) == last


def _is_between(looks: list[Look], at: int) -> bool:
    """Whether its step was seen before and after it, and it was but a glimpse."""
    return looks[at - 1].step == looks[at].step == looks[at + 1].step and looks[at].times == 1
