"""A small service with one of each: what blocks, what waits, what leaks, and what is cheap."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException

from unstall import Lane, LaneFull


class Service:
    """One app with what it holds, so that each test has its own."""

    def __init__(self) -> None:
        self.lane = Lane("billing", threads=2, queue=2)
        self.lock = asyncio.Lock()
        self.app = FastAPI()
        self.let_go = threading.Event()
        self._cheap()
        self._slow()
        self._locked()

    def close(self) -> None:
        self.let_go.set()
        self.lane.close()

    def _cheap(self) -> None:
        @self.app.get("/livez")
        async def livez() -> dict[str, bool]:
            return {"ok": True}

    def _slow(self) -> None:
        app, lane = self.app, self.lane

        @app.get("/blocks")
        async def blocks() -> None:
            time.sleep(0.15)

        @app.get("/waits")
        async def waits() -> None:
            await asyncio.sleep(0.1)

        @app.get("/fails")
        async def fails() -> None:
            raise HTTPException(500)

        @app.get("/in-lane")
        async def in_lane() -> None:
            try:
                await lane.run(time.sleep, 0.05)
            except LaneFull as error:
                raise HTTPException(503) from error

        @app.get("/async-dependency")
        async def async_dependency(value: Annotated[int, Depends(fetched)]) -> int:
            return value

        @app.get("/blocking-dependency")
        async def blocking_dependency(value: Annotated[int, Depends(fetched_on_the_loop)]) -> int:
            return value

    def _locked(self) -> None:
        app, lock = self.app, self.lock

        @app.get("/tidy")
        async def tidy() -> None:
            async with lock:
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    logging.getLogger("shop").warning("an order was cancelled")
                    raise

        @app.get("/silent")
        async def silent() -> None:
            async with lock:
                await asyncio.sleep(30)

        @app.get("/leaks-lock")
        async def leaks_lock() -> None:
            await lock.acquire()
            logging.getLogger("shop").warning("an order was begun")
            await asyncio.sleep(30)

        @app.get("/leaves-thread")
        async def leaves_thread() -> None:
            logging.getLogger("shop").warning("an order was begun")
            await asyncio.to_thread(self.hang)

        @app.get("/stubborn")
        async def stubborn() -> None:
            while not self.let_go.is_set():
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    logging.getLogger("shop").warning("I stay")

    def hang(self) -> None:
        self.let_go.wait(30)


async def fetched() -> AsyncIterator[int]:
    yield 7


async def fetched_on_the_loop() -> int:
    return call()


def call() -> int:
    """Replaced by tests with what blocks."""
    return 7
