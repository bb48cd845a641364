"""A trap that sees nothing says so before the first test."""

from __future__ import annotations

import sys

import pytest

from unstall.errors import TargetError
from unstall.traps.canary import NEEDED, Hook, inactive_hooks


def test_every_kind_of_hook_fires_on_this_interpreter() -> None:
    inactive = inactive_hooks()
    assert bool(inactive) == (sys.version_info < (3, 12))


def test_a_hook_that_stays_silent_fails_loudly() -> None:
    dead = Hook("calls of nobody", "nobody.calls", "pass")
    with pytest.raises(TargetError, match=r"not armed: Python .* showed it no calls of nobody"):
        inactive_hooks((*NEEDED, dead))
