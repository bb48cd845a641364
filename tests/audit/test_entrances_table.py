"""The facts about where functions run hold for what is installed here."""

from __future__ import annotations

import inspect

import fastapi.security

from unstall.audit.entrances_table import ASYNC_CALLABLES, DECORATED, ROWS, STEPS, SUBCLASSES, short
from unstall.audit.ir import Place


def test_names_are_short_wherever_something_is_imported_from() -> None:
    assert (
        short("fastapi.routing.APIRouter.get")
        == short("fastapi.APIRouter.get")
        == "fastapi.APIRouter.get"
    )
    assert (
        short("asyncio.tasks.create_task") == short("asyncio.create_task") == "asyncio.create_task"
    )
    assert short("open") == "open"


def test_every_security_scheme_of_fastapi_is_known_to_be_async() -> None:
    schemes = {
        f"fastapi.{name}"
        for name, one in vars(fastapi.security).items()
        if inspect.isclass(one) and inspect.iscoroutinefunction(vars(one).get("__call__"))
    }
    assert schemes == {name for name in ASYNC_CALLABLES if name.startswith("fastapi.")}


def test_every_row_takes_some_function_and_says_why() -> None:
    rows = [row for rows in ROWS.values() for row in rows]
    assert len(rows) > 200
    for row in rows:
        assert row.on_async or row.on_sync, row.name
        assert row.function >= DECORATED
        assert row.name.count(".") in (1, 2)
    keys = [(row.name, row.function) for row in rows]
    assert len(keys) == len(set(keys))


def test_a_reason_is_a_clause_that_fits_its_place() -> None:
    said = {
        Place.LOOP: "loop",
        Place.THREAD_POOL: "thread",
        Place.EXECUTOR: "executor",
        Place.OFFLINE: "no request",
        Place.STARTUP: "all requests",
        Place.SHUTDOWN: "after all requests",
        Place.UNKNOWN: "thread pool",
    }
    found = [*STEPS.values()]
    for row in (row for rows in ROWS.values() for row in rows):
        found += [runs for runs in (row.on_async, row.on_sync) if runs is not None]
    for methods in SUBCLASSES.values():
        found += [methods.on_async, methods.on_sync]
    for runs in found:
        assert said[runs.place] in runs.why
        assert not runs.why.endswith(".")
