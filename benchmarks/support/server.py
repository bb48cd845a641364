"""The measured service: a no-op FastAPI route under uvicorn with httptools, watched by one tool.

    python -m benchmarks.support.server TOOL LOOP [CORE]

The first line on standard output is the port. Beside `/` there are `/block` (stalls the loop), `/seen`
(what the tool noted), `/query` (one query, if there is a `BENCHMARK_DSN`), and `/on/{what}` and `/off`, which
switch unstall in place.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

import uvicorn
from fastapi import FastAPI

from benchmarks.support.machine import pin
from benchmarks.support.tools import TOOLS, Installed
from unstall import Monitor, Settings
from unstall.export import Exporter
from unstall.integrations.pools import Gates

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

    if dsn := os.environ.get("BENCHMARK_DSN"):
        _add_query(app, dsn)
    _add_switch(app)
    return app


def _add_query(app: FastAPI, dsn: str) -> None:
    import asyncpg

    pools: list[asyncpg.Pool] = []

    @app.get("/query")
    async def query() -> dict[str, int]:
        if not pools:
            pools.append(await asyncpg.create_pool(dsn, min_size=8, max_size=8))
        async with pools[0].acquire() as connection:
            return {"one": await connection.fetchval("select 1")}


ON_HALF_A_CORE = 200.0
"""A threshold. Beats are a fifth of it apart: as many for a CPU second as a whole core has by default."""


class Watch:
    """What `/on/{what}` switches on: the watch alone, or all that may stay on in production."""

    def __init__(self, what: str, shares: bool) -> None:
        settings = Settings(measure=what == "everything")
        self.monitor = Monitor(
            replace(settings, threshold_ms=ON_HALF_A_CORE) if shares else settings
        )
        self._parts: list[Gates | Exporter] = []
        if what == "everything":
            self._parts = [Gates(), Exporter(self.monitor, port=0)]

    def start(self) -> Watch:
        self.monitor.start()
        for part in self._parts:
            part.start()
        return self

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self.monitor.stop()


def _add_switch(app: FastAPI) -> None:
    watch: Watch | None = None
    begun = 0

    @app.get("/on/{what}")
    async def on(what: str, shares: bool = False) -> dict[str, int]:
        nonlocal watch, begun
        await off()  # two windows with it in a row begin alike
        watch = Watch(what, shares).start()
        begun = watch.monitor.statistics().requests  # counted per process, not per monitor
        return {"begun": begun}

    @app.get("/off")
    async def off() -> dict[str, int]:
        nonlocal watch, begun
        if watch is not None:
            watch.stop()
            begun = watch.monitor.statistics().requests
            watch = None
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
