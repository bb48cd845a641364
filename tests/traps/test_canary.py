"""A trap that sees nothing says so before the first test."""

from __future__ import annotations

import sys

import pytest

from unstall.errors import TargetError
from unstall.traps.canary import NEEDED, Hook, inactive_hooks


def test_every_kind_of_hook_fires_on_this_interpreter() -> None:
    inactive = inactive_hooks()
    assert [each.partition(":")[0] for each in inactive] == (
        [] if sys.version_info >= (3, 12) else ["calls of C code are seen from Python 3.12 on"]
    )


def test_a_hook_that_stays_silent_fails_loudly() -> None:
    dead = Hook("calls of nobody", "nobody.calls", "pass")
    with pytest.raises(TargetError, match=r"not armed: Python .* showed it no calls of nobody"):
        inactive_hooks((*NEEDED, dead))


def test_one_that_a_trap_can_do_without_is_a_gap() -> None:
    dead = Hook("calls of nobody", "nobody.calls", "pass", vital=False)
    new = set(inactive_hooks((*NEEDED, dead))) - set(inactive_hooks())
    assert new == {"calls of nobody: it is not as unstall knows it"}
