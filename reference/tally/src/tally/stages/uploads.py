"""Imports, the same in every stage: files are written in a lane, and a worker does the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI

from tally.db import Pool
from tally.routes.imports import Deps, router
from tally.settings import Settings
from tally.worker.jobs import PostgresJobs
from tally.worker.spool import Spool
from unstall import Lane


def include(app: FastAPI, settings: Settings, pool: Pool, customer: Callable[..., Any]) -> None:
    """`customer` is a dependency that tells whose request it is. The lane ends with the app."""
    disk = Lane("spool", threads=2, queue=16)

    @asynccontextmanager
    async def lane(_: FastAPI) -> AsyncIterator[None]:
        with disk:
            yield

    deps = Deps(customer, pool, PostgresJobs(pool), Spool(settings.spool, disk))
    app.include_router(router(settings, deps))
    app.include_router(APIRouter(lifespan=lane))
