"""A closed-loop keep-alive generator: 64 connections, each sends again as soon as it has an answer.

    python -m benchmarks.support.client PORT PID PATH [CORE]     the plan as JSON on standard input

A plan is a list of windows; each may first call a path of the server (`/on/watch`), then settles, then
counts answers and the server's CPU time. Prints one JSON object per window, as a list.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from benchmarks.support.http import get, request_for
from benchmarks.support.machine import cpu_ns, pin

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Window:
    seconds: float
    settle: float
    call: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One window; `begun` and `answered` are totals at the answer to its call."""

    rps: float
    cpu_us: float
    """CPU time of the server for one request."""
    busy: float
    """Share of a core that the server used: near 1 at saturation."""
    bad: int
    begun: int | None
    answered: int


class Tally:
    __slots__ = ("answers", "bad")

    def __init__(self) -> None:
        self.answers = self.bad = 0


class Caller(asyncio.Protocol):
    def __init__(self, tally: Tally, request: bytes) -> None:
        self._tally = tally
        self._request = request

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write = cast(asyncio.Transport, transport).write  # uvloop's is none by inheritance
        self._write(self._request)

    def data_received(self, data: bytes) -> None:
        # Head and body may come apart; only the body ends with a brace.
        if data.startswith(b"HTTP/") and not data.startswith(b"HTTP/1.1 200"):
            self._tally.bad += 1
        if data.endswith(b"}"):
            self._tally.answers += 1
            self._write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self._tally.bad += 1


async def measure(port: int, pid: int, path: str, plan: list[Window]) -> list[Counted]:
    await get(port, path)  # returns when the service is up
    tally, request = Tally(), request_for(path)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Caller(tally, request), "127.0.0.1", port)
    counted = []
    for window in plan:
        begun = (await get(port, window.call))["begun"] if window.call else None
        answered = tally.answers
        await asyncio.sleep(window.settle)
        answers, cpu, at = tally.answers, cpu_ns(pid), time.monotonic_ns()
        await asyncio.sleep(window.seconds)
        answers, cpu, took = tally.answers - answers, cpu_ns(pid) - cpu, time.monotonic_ns() - at
        per_answer = cpu / max(1, answers) / 1e3
        counted.append(
            Counted(answers / took * 1e9, per_answer, cpu / took, tally.bad, begun, answered)
        )
    return counted


def main(port: int, pid: int, path: str, core: int | None) -> None:
    pin(core)
    plan = [Window(**window) for window in json.load(sys.stdin)]
    gc.disable()  # the generator makes no cycles, and must not pause
    counted = uvloop.run(measure(port, pid, path, plan))
    json.dump([asdict(window) for window in counted], sys.stdout)


if __name__ == "__main__":
    core_given = int(sys.argv[4]) if len(sys.argv) > 4 else None
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], core_given)
