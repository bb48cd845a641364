"""The machine below a benchmark: its cores, what others use of it, one process's CPU and memory."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


def pin(core: int | None) -> None:
    """Keeps this process on one core, where the system has such a call and such a core."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, {core})
        except OSError:
            return


def two_cores() -> tuple[int | None, int | None]:
    """A core for the server and another for the client; None and None where there is one only."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


class Others:
    """CPU that other processes of the machine use from now on.

    Interrupts are left out: the loopback's belong to us and nobody can tell. Our own children count
    when they have been waited for, so ask only after they have ended.
    """

    def __init__(self) -> None:
        self._from_s = time.monotonic()
        self._busy_s = _busy_s()
        self._own_s = _own_s()

    def cores(self) -> float:
        """Cores busy for others on average; 0.0 where the system does not tell."""
        wall = time.monotonic() - self._from_s
        busy, own = _busy_s() - self._busy_s, _own_s() - self._own_s
        return max(0.0, (busy - own) / wall) if wall > 0 and busy > 0 else 0.0


def _busy_s() -> float:
    """User, nice, system and stolen time of all cores since boot."""
    try:
        first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system, stolen = (int(first[at]) for at in (1, 2, 3, 8))
    return (user + nice + system + stolen) / _TICKS


def _own_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def cpu_ns(pid: int) -> int:
    """CPU time of a process with all its threads, to the nanosecond; /proc/PID/stat has only ticks.

    The clock id is CPUCLOCK_SCHED of a process, as clock_getcpuclockid() makes it.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def rss_kib(pid: int) -> int:
    """Resident memory, from smaps_rollup: the counters in statm lag behind by some pages a core."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    raise OSError(f"process {pid} tells no Rss")


def description() -> dict[str, str]:
    """What belongs beside figures: when, what, where."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} x {_processor()}, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    models = (line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line)
    return next(models, platform.machine())


def _commit() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
