"""The measured service: a no-op FastAPI route under uvicorn with httptools, watched by one tool.

    python -m benchmarks.support.server TOOL LOOP [CORE]

The first line on standard output is the port. Beside `/` there are `/block` (stalls the loop), `/seen`
(what the tool noted), and `/on` and `/off`, which switch unstall in place.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn
from fastapi import FastAPI

from benchmarks.support.machine import pin
from benchmarks.support.tools import TOOLS, Installed
from unstall import Monitor

BLOCK_S = 0.15


def application(tool: str) -> FastAPI:
    installed = Installed(seen=lambda: 0)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        installed.started()
        yield

    app = FastAPI(lifespan=lifespan)
    installed = TOOLS[tool](app)

    @app.get("/")
    async def noop() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/block")
    async def block() -> dict[str, bool]:
        time.sleep(BLOCK_S)
        return {"ok": True}

    @app.get("/seen")
    async def seen() -> dict[str, int]:
        return {"seen": installed.seen()}

    _add_switch(app)
    return app


def _add_switch(app: FastAPI) -> None:
    monitor: Monitor | None = None
    begun = 0

    @app.get("/on")
    async def on() -> dict[str, int]:
        nonlocal monitor, begun
        await off()  # two windows with it in a row begin alike
        monitor = Monitor().start()
        begun = monitor.statistics().requests  # counted per process, not per monitor
        return {"begun": begun}

    @app.get("/off")
    async def off() -> dict[str, int]:
        nonlocal monitor, begun
        if monitor is not None:
            monitor.stop()
            begun = monitor.statistics().requests
        return {"begun": begun}


def main(tool: str, loop: Literal["asyncio", "uvloop"], core: int | None) -> None:
    pin(core)
    # With its protocol named, as getaddrinfo does: else asyncio would not switch Nagle's delay off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(
        application(tool), loop=loop, http="httptools", log_level="error", access_log=False
    )
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    chosen: Literal["asyncio", "uvloop"] = "uvloop" if sys.argv[2] == "uvloop" else "asyncio"
    main(sys.argv[1], chosen, int(sys.argv[3]) if len(sys.argv) > 3 else None)
