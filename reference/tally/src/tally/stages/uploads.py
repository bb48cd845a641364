"""Imports, the same in every stage: files are written in a lane, and a worker does the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from tally.db import Pool
from tally.routes.imports import Deps, router
from tally.settings import Settings
from tally.worker.jobs import PostgresJobs
from tally.worker.spool import Spool
from unstall import Lane


def include(app: FastAPI, settings: Settings, pool: Pool, customer: Callable[..., Any]) -> None:
    """`customer` is a dependency that tells whose request it is."""
    disk = Lane("spool", threads=2, queue=16)
    deps = Deps(customer, pool, PostgresJobs(pool), Spool(settings.spool, disk))
    app.include_router(router(settings, deps))
