"""One frozen value with every setting of the watch; flags win over `UNSTALL_*`, that over defaults."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from unstall.clock import NS_PER_MS, NS_PER_S
from unstall.errors import UsageError

MIN_THRESHOLD_MS = 5.0
MAX_THRESHOLD_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Settings:
    threshold_ms: float = 100.0
    """A loop kept from its work for longer than this has stalled."""
    root: Path = Path()
    """Paths are reported relative to this folder; code below it is application code."""
    count: bool = True
    """Whether requests are counted, by a wrapper around what servers or frameworks call for each."""
    measure: bool = True
    """Whether requests are taken apart: how long each piece held the loop and waited."""
    slow_ms: float = 1_000.0
    """A request that took longer is told of with its whole path."""
    latent: bool = False
    """Whether calls on the loop that wait for somebody are told of before that somebody is slow."""
    pulse_s: float = 5.0
    """How often each loop's numbers are told; a process that is watched closely is woken more often."""
    server_timing: bool = False
    """Whether measured requests are answered with a `Server-Timing` header."""
    keep_stretches: int = 400
    keep_pulses: int = 900
    """Beyond this, pairs of seconds are merged into one: resolution is lost, nothing else."""
    keep_looks: int = 24
    """Distinct looks kept for one stretch."""

    @property
    def threshold_ns(self) -> int:
        return int(self.threshold_ms * NS_PER_MS)

    @property
    def slow_ns(self) -> int:
        return int(self.slow_ms * NS_PER_MS)

    @property
    def pulse_ns(self) -> int:
        return int(self.pulse_s * NS_PER_S)

    @property
    def interval_ns(self) -> int:
        """Heartbeats are a fifth of the threshold apart, so a stall is measured to 20 % of it."""
        return self.threshold_ns // 5

    @property
    def look_after_ns(self) -> int:
        """The watchdog looks before the threshold, so that the first word has a stack behind it."""
        return self.threshold_ns // 2


def threshold_of(text: str, name: str) -> float:
    """Milliseconds from what a user typed for the flag or variable `name`; raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        raise UsageError(
            f"{name} is {text!r}, which is not a number: give milliseconds, for example 100"
        ) from None
    if not math.isfinite(value) or not MIN_THRESHOLD_MS <= value <= MAX_THRESHOLD_MS:
        raise UsageError(
            f"{name} is {text}, outside {MIN_THRESHOLD_MS:g} to {MAX_THRESHOLD_MS:g}: "
            "give milliseconds, for example 100"
        )
    return value


def switch_of(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """From `1`, `0`, `true`, `false`, `yes`, `no`, `on`, `off`; raises UsageError."""
    text = environ.get(name, "").strip().lower()
    if not text:
        return default
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off"):
        return False
    raise UsageError(f"{name} is {text!r}, which is neither on nor off: give 1 or 0")


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the environment's `UNSTALL_…`; raises UsageError."""
    threshold = environ.get("UNSTALL_THRESHOLD_MS")
    slow = environ.get("UNSTALL_SLOW_MS")
    return Settings(
        threshold_ms=threshold_of(threshold, "UNSTALL_THRESHOLD_MS") if threshold else 100.0,
        measure=switch_of(environ, "UNSTALL_MEASURE", default=True),
        slow_ms=threshold_of(slow, "UNSTALL_SLOW_MS") if slow else 1_000.0,
        latent=switch_of(environ, "UNSTALL_LATENT", default=False),
        pulse_s=_pulse_of(environ.get("UNSTALL_PULSE_S") or "5"),
        server_timing=switch_of(environ, "UNSTALL_SERVER_TIMING", default=False),
        root=Path(environ.get("UNSTALL_ROOT") or working_folder()).resolve(),
    )


def _pulse_of(text: str) -> float:
    """Seconds; raises UsageError."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= 60:
        raise UsageError(f"UNSTALL_PULSE_S is {text!r}: give seconds from 1 to 60")
    return value


def working_folder() -> Path:
    """The current folder, or `/` if it has been deleted under us."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")
