"""Settings from the environment, as far as no command's test has them."""

from __future__ import annotations

import pytest

from unstall.clock import NS_PER_S
from unstall.errors import UsageError
from unstall.settings import Settings, from_environment


def test_numbers_are_told_every_five_seconds_unless_somebody_looks_closer() -> None:
    assert Settings().pulse_ns == 5 * NS_PER_S
    assert from_environment({}).pulse_ns == 5 * NS_PER_S
    assert from_environment({"UNSTALL_PULSE_S": "1"}).pulse_ns == NS_PER_S


@pytest.mark.parametrize("text", ["0", "61", "often", "nan"])
def test_a_pulse_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"UNSTALL_PULSE_S is '{text}': give seconds from 1 to 60"):
        from_environment({"UNSTALL_PULSE_S": text})
