"""POST /v1/imports stores and enqueues or does neither; GET tells how far it is."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, TypeAlias
from uuid import uuid4

import httpx2
import psycopg
import pytest
from fastapi import FastAPI, Request
from psycopg_pool import PoolTimeout

from tally import db, problems
from tally.problems import Problem
from tally.routes import imports
from tally.routes.imports import Deps, router
from tally.settings import Limits, Settings
from tally.worker import service
from tally.worker.jobs import PostgresJobs
from tally.worker.spool import Spool
from tests.reference.tally.events import text_of
from tests.reference.tally.worker.archives import EICAR, ndjson, zipped
from unstall import Lane

pytestmark = pytest.mark.live

TYPE = {"content-type": "application/x-ndjson"}
Test: TypeAlias = Callable[[httpx2.AsyncClient, Deps], Any]
Ask: TypeAlias = Callable[..., None]


async def customer(request: Request) -> int:
    key = request.headers.get("x-api-key", "")
    if not key.isdecimal():
        raise Problem(401, "unknown-key", "This key is not known.")
    return int(key)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[httpx2.AsyncClient, Deps]]:
    pool = db.async_pool(settings)
    with Lane("spool", threads=2) as lane:
        deps = Deps(customer, pool, PostgresJobs(pool), Spool(settings.spool, lane))
        app = FastAPI(max_body_size=1000)
        problems.handle(app)
        app.include_router(router(settings, deps))
        transport = httpx2.ASGITransport(app)
        async with pool, httpx2.AsyncClient(transport=transport, base_url="http://tally") as client:
            client.headers["x-api-key"] = "7"
            yield client, deps


@pytest.fixture
def ask(settings: Settings) -> Ask:
    def run(test: Test, **limits: int) -> None:
        async def main() -> None:
            async with serving(replace(settings, limits=Limits(**limits))) as (client, deps):
                await test(client, deps)

        asyncio.run(main())

    return run


async def jobs_in(deps: Deps) -> int:
    async with deps.pool.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM procrastinate_jobs")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


def left_in(deps: Deps) -> list[str]:
    return [path.name for path in deps.spool.folder.iterdir()] if deps.spool.folder.is_dir() else []


def test_an_upload_is_stored_and_its_job_enqueued(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        data = ndjson(text_of() for _ in range(100))
        answer = await client.post("/v1/imports?filename=a.ndjson", content=data, headers=TYPE)
        assert answer.status_code == 202
        told = answer.json()
        assert (told["state"], told["filename"], told["bytes"]) == ("queued", "a.ndjson", len(data))
        assert answer.headers["location"] == f"/v1/imports/{told['id']}"
        assert left_in(deps) == [told["id"]]
        assert await jobs_in(deps) == 1
        seen = await client.get(answer.headers["location"])
        assert (seen.status_code, seen.json()["state"]) == (200, "queued")
        assert "retry-after" in seen.headers

    ask(test)


def test_a_form_will_do(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        files = {"file": ("b.zip", zipped(ndjson([text_of()])), "application/zip")}
        answer = await client.post("/v1/imports", files=files)
        assert (answer.status_code, answer.json()["filename"]) == (202, "b.zip")

    ask(test)


@pytest.mark.slow
def test_a_worker_loads_it_and_tells_what_it_did_not_accept(ask: Ask, settings: Settings) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        good = await client.post("/v1/imports", content=ndjson([text_of(), b"{}"]), headers=TYPE)
        bad = await client.post(
            "/v1/imports",
            content=zipped(EICAR.encode()),
            headers={"content-type": "application/zip"},
        )
        stop = asyncio.Event()
        async with service.worker(settings) as worker:
            running = asyncio.create_task(worker.run(stop))
            done = await finished(client, good.headers["location"])
            refused = await finished(client, bad.headers["location"])
            stop.set()
            await running
        assert (done["state"], done["lines"], done["accepted"], done["rejected"]) == (
            "done",
            2,
            1,
            1,
        )
        (line,) = done["not_accepted"]
        assert (line["line"], line["status"]) == (2, "rejected")
        assert line["reason"].startswith("invalid: ")
        assert refused["state"] == "rejected"
        assert refused["reason"] == "malware: the scanner found eicar"

    ask(test)


async def finished(client: httpx2.AsyncClient, location: str) -> Any:
    async with asyncio.timeout(30):
        while True:
            told = (await client.get(location)).json()
            if told["finished_at"]:
                return told
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("content", "headers", "status", "reason"),
    [
        (b"x" * 5000, TYPE, 413, "too-large"),
        (b"", TYPE, 422, "empty"),
        (b"{}", {"content-type": "text/html"}, 415, "media-type"),
        (b"{}", {**TYPE, "x-api-key": "?"}, 401, "unknown-key"),
    ],
)
def test_what_is_refused_leaves_nothing(
    ask: Ask, content: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        answer = await client.post("/v1/imports", content=content, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)
        assert answer.headers["content-type"] == problems.MEDIA_TYPE
        assert left_in(deps) == []
        assert await jobs_in(deps) == 0

    ask(test, upload_bytes=4000)


def test_one_whose_length_nobody_said_is_cut_at_the_limit(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 1000

        answer = await client.post("/v1/imports", content=endless(), headers=TYPE)
        assert (answer.status_code, answer.json()["reason"]) == (413, "too-large")
        assert left_in(deps) == []

    ask(test, upload_bytes=4000)


def test_one_that_trickles_in_is_cut_off(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "UPLOAD_S", 0.1)

    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        async def endless() -> AsyncIterator[bytes]:
            yield b"{}"
            await asyncio.Event().wait()

        answer = await client.post("/v1/imports", content=endless(), headers=TYPE)
        assert (answer.status_code, answer.json()["reason"]) == (408, "too-slow")
        assert left_in(deps) == []

    ask(test)


def test_an_upload_may_be_larger_than_other_bodies(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        answer = await client.post("/v1/imports", content=b"x" * 100_000, headers=TYPE)
        assert answer.status_code == 202

    ask(test)


def test_what_is_not_yours_is_not_there(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        mine = await client.post("/v1/imports", content=b"{}", headers=TYPE)
        for path, key in ((mine.headers["location"], "8"), (f"/v1/imports/{uuid4()}", "7")):
            answer = await client.get(path, headers={"x-api-key": key})
            assert (answer.status_code, answer.json()["reason"]) == (404, "not-found")
        assert (await client.get("/v1/imports/seven")).status_code == 422

    ask(test)


def test_a_full_disk_is_told_and_acknowledges_nothing(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        monkeypatch.setattr(os, "fsync", full)
        answer = await client.post("/v1/imports", content=b"{}", headers=TYPE)
        assert (answer.status_code, answer.json()["reason"]) == (503, "storage")
        assert answer.headers["retry-after"] == "2"
        assert await jobs_in(deps) == 0

    ask(test)


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), PoolTimeout("none free")])
def test_without_the_database_nothing_is_acknowledged(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        def away() -> None:
            raise error

        monkeypatch.setattr(deps.pool, "connection", away)
        for answer in (
            await client.post("/v1/imports", content=b"{}", headers=TYPE),
            await client.get(f"/v1/imports/{uuid4()}"),
        ):
            assert (answer.status_code, answer.json()["reason"]) == (503, "database")

    ask(test)


def test_where_the_jobs_are_locked_nothing_is_acknowledged(ask: Ask, settings: Settings) -> None:
    """As a migration of the engine's tables does for a moment."""

    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        with psycopg.connect(settings.database_url) as migration:
            migration.execute("LOCK TABLE procrastinate_jobs")
            async with AsyncExitStack() as held:
                for _ in range(deps.pool.max_size):
                    connection = await held.enter_async_context(deps.pool.connection())
                    await connection.execute("SET statement_timeout = 50")
            refused = await client.post("/v1/imports", content=text_of(), headers=TYPE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        async with deps.pool.connection() as connection:
            cursor = await connection.execute("SELECT count(*) FROM imports")
            assert await cursor.fetchone() == (0,)

    ask(test)


def test_where_the_server_was_made_a_standby_another_try_meets_the_new_one(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        async with AsyncExitStack() as held:
            for _ in range(deps.pool.max_size):
                connection = await held.enter_async_context(deps.pool.connection())
                await connection.execute("SET default_transaction_read_only = on")
        refused = await client.post("/v1/imports", content=text_of(), headers=TYPE)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        taken = await client.post("/v1/imports", content=text_of(), headers=TYPE)
        assert taken.status_code == 202

    ask(test)


def test_the_description_names_every_type_that_is_taken(ask: Ask) -> None:
    async def test(client: httpx2.AsyncClient, deps: Deps) -> None:
        paths = (await client.get("/openapi.json")).json()["paths"]
        assert set(paths) == {"/v1/imports", "/v1/imports/{number}"}
        post = paths["/v1/imports"]["post"]
        assert {"application/x-ndjson", "application/zip", "multipart/form-data"} <= set(
            post["requestBody"]["content"]
        )
        assert [each["name"] for each in post["parameters"]] == ["filename"]
        assert "HTTPValidationError" not in str(paths)

    ask(test)
