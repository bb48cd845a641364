"""A service with a known capacity, behind a guard or not.

    python -m benchmarks.support.guarded KIND GUARD [CORE]

`pool` waits 50 ms for one of ten slots, `loop` computes for 10 ms on the loop, `noop` does nothing. They run
on uvloop but for `loop`, which runs on asyncio's loop; `uvloop` is the same on the other. GUARD
is `off`, `on`, or `switched`: then `/guard/on` and `/guard/off` take it in and out in place, and `/cpu`
says what the process used so far, in us. The first line on standard output is the port.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import Any

import uvicorn
from fastapi import FastAPI

from benchmarks.support.machine import pin
from benchmarks.support.toil import compute
from unstall import Guard
from unstall.guard.guard import Route

SLOTS, WAIT_S, COMPUTE_S = 10, 0.05, 0.01
GUARDS: dict[str, dict[str, Any]] = {
    "pool": {"in_flight": 2 * SLOTS},
    "loop": {"in_flight": 20, "lag_ms": 100},
    "uvloop": {"in_flight": 20, "lag_ms": 100},
    "noop": {
        "in_flight": 1_000,
        "queue": 100,
        "lag_ms": 1_000,
        "utilization": 1.0,
        "routes": {"/pay": Route(priority="critical"), "/orders/{id}": Route(in_flight=8)},
    },
}


class Switched:
    """One of two apps, for as long as it is chosen."""

    def __init__(self, bare: Any, guarded: Any) -> None:
        self.apps = {"/guard/off": bare, "/guard/on": guarded}
        self.app = bare

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.app = self.apps.get(scope.get("path", ""), self.app)
        await self.app(scope, receive, send)


def application(kind: str, guard: str) -> Any:
    app = FastAPI()
    slots = asyncio.Semaphore(SLOTS)

    @app.get("/work")
    async def work() -> dict[str, bool]:
        if kind == "pool":
            async with slots:
                await asyncio.sleep(WAIT_S)
        elif kind in ("loop", "uvloop"):
            compute(COMPUTE_S)
        return {"ok": True}

    @app.get("/cpu")
    async def cpu() -> dict[str, int]:
        return {"us": time.process_time_ns() // 1_000}

    @app.get("/guard/{state}")
    async def state(state: str) -> dict[str, bool]:
        return {"ok": True}

    if guard == "off":
        return app
    guarded = Guard(app, **GUARDS[kind])
    return guarded if guard == "on" else Switched(app, guarded)


def main(kind: str, guard: str, core: int | None) -> None:
    pin(core)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(
        application(kind, guard),
        http="httptools", loop="asyncio" if kind == "loop" else "uvloop",
        log_level="error", access_log=False,
    )  # fmt: skip
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
