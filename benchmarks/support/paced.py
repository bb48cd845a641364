"""An open-model generator: requests leave at a fixed rate, however slow the answers are.

    python -m benchmarks.support.paced RATE WARM_UP SECONDS CORE PORT:PID...     CORE may be `-`

Loads all servers at once, each at the rate, and reads the resident memory of each after the warm-up and
at the end. Prints one JSON object per server, as a list.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections import deque
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from benchmarks.support.http import get, request_for
from benchmarks.support.machine import pin, rss_kib

CONNECTIONS = 100
_REQUEST = request_for("/")


@dataclass(frozen=True, slots=True)
class Grown:
    warm_kib: int
    end_kib: int
    answers: int
    bad: int
    most_waiting: int
    """Requests that were due while all connections were taken."""

    @property
    def kib(self) -> int:
        return self.end_kib - self.warm_kib


class Target:
    """One server, its free connections, and the requests that wait for one."""

    def __init__(self, port: int, pid: int) -> None:
        self.port, self.pid = port, pid
        self.free: deque[Caller] = deque()  # in turn: uvicorn closes what is unused for 5 s
        self.sent = self.waiting = self.most_waiting = self.answers = self.bad = 0

    async def connect(self) -> None:
        await get(self.port, "/")  # returns when the service is up
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, caller = await loop.create_connection(lambda: Caller(self), "127.0.0.1", self.port)
            self.free.append(caller)

    def send(self, due: int) -> None:
        """Whatever is due by now and was not sent."""
        self.waiting += due - self.sent
        self.sent = due
        while self.waiting and self.free:
            self.waiting -= 1
            self.free.popleft().call()
        self.most_waiting = max(self.most_waiting, self.waiting)


class Caller(asyncio.Protocol):
    def __init__(self, target: Target) -> None:
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def call(self) -> None:
        self._transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/") and not data.startswith(b"HTTP/1.1 200"):
            self._target.bad += 1
        if data.endswith(b"}"):
            self._target.answers += 1
            self._target.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._target.bad += 1


async def load(targets: list[Target], rate: int, warm_up: float, seconds: float) -> list[Grown]:
    for target in targets:
        await target.connect()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    warm: list[int] = []
    while (passed := loop.time() - begun) < warm_up + seconds:
        if not warm and passed >= warm_up:
            warm = [rss_kib(target.pid) for target in targets]
        for target in targets:
            target.send(int(passed * rate))
        await asyncio.sleep(0.001)
    return [
        Grown(before, rss_kib(target.pid), target.answers, target.bad, target.most_waiting)
        for target, before in zip(targets, warm, strict=True)
    ]


def main(rate: int, warm_up: float, seconds: float, core: str, servers: list[str]) -> None:
    pin(None if core == "-" else int(core))
    gc.disable()  # the generator makes no cycles, and must not pause
    pairs = [server.split(":") for server in servers]
    targets = [Target(int(port), int(pid)) for port, pid in pairs]
    grown = uvloop.run(load(targets, rate, warm_up, seconds))
    json.dump([asdict(one) for one in grown], sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
