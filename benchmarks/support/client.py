"""A closed-loop keep-alive generator: 64 connections a server, each sends again as soon as it has an answer.

    python -m benchmarks.support.client     the order as JSON on standard input

An order names one server or more, and a plan: a list of windows. Each may first call a path of each server
(`/on/watch`), then settles, then counts each server's answers and CPU time. Prints, as JSON, a list of
windows, each a list of what was counted of each server.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import cast

import uvloop

from benchmarks.support.http import get, request_for
from benchmarks.support.machine import cpu_ns, pin

CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class Window:
    seconds: float
    settle: float
    calls: Sequence[str] = ()
    """A path for each server, or nothing at all."""


@dataclass(frozen=True, slots=True)
class Order:
    servers: Sequence[tuple[int, int]]
    """Port and process id of each."""
    path: str
    core: int | None
    plan: Sequence[Window]


@dataclass(frozen=True, slots=True)
class Counted:
    """One window of one server; `begun` and `answered` are totals at the answer to its call."""

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


class Subject:
    """One server under load."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.tally = Tally()
        self.begun: int | None = None
        self.answered = self._answers = self._cpu_ns = self._at_ns = 0

    async def load(self, path: str) -> None:
        await get(self.port, path)  # returns when the service is up
        loop, request = asyncio.get_running_loop(), request_for(path)
        for _ in range(CONNECTIONS):
            await loop.create_connection(
                lambda: Caller(self.tally, request), "127.0.0.1", self.port
            )

    async def call(self, path: str | None) -> None:
        self.begun = (await get(self.port, path))["begun"] if path else None
        self.answered = self.tally.answers

    def begin(self) -> None:
        self._answers, self._cpu_ns = self.tally.answers, cpu_ns(self.pid)
        self._at_ns = time.monotonic_ns()

    def end(self) -> Counted:
        answers, cpu = self.tally.answers - self._answers, cpu_ns(self.pid) - self._cpu_ns
        took = time.monotonic_ns() - self._at_ns
        return Counted(
            answers / took * 1e9, cpu / max(1, answers) / 1e3, cpu / took, self.tally.bad,
            self.begun, self.answered,
        )  # fmt: skip


async def measure(order: Order) -> list[list[Counted]]:
    subjects = [Subject(port, pid) for port, pid in order.servers]
    for subject in subjects:
        await subject.load(order.path)
    counted = []
    for window in order.plan:
        for subject, path in zip_longest(subjects, window.calls):
            await subject.call(path)
        await asyncio.sleep(window.settle)
        for subject in subjects:
            subject.begin()
        await asyncio.sleep(window.seconds)
        counted.append([subject.end() for subject in subjects])
    return counted


def main() -> None:
    told = json.load(sys.stdin)
    order = Order(**{**told, "plan": [Window(**window) for window in told["plan"]]})
    pin(order.core)
    gc.disable()  # the generator makes no cycles, and must not pause
    counted = uvloop.run(measure(order))
    json.dump([[asdict(each) for each in window] for window in counted], sys.stdout)


if __name__ == "__main__":
    main()
