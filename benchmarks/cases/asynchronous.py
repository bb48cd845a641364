"""Asynchronous work, each piece long enough by the clock to tempt a detector. Nobody is to be accused."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import anyio
import asyncpg
import httpx
import psycopg
import redis.asyncio
import sqlalchemy
from fastapi import BackgroundTasks, Depends, Request, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.cases.case import AT, SLOW_S, Case, Group, Place, Send

kept = SimpleNamespace()
logger = logging.getLogger("shop")
SLEEP = f"select pg_sleep({SLOW_S})"


# --- before the loop, and at start-up ---------------------------------------------------------------


def make_file() -> None:
    kept.folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    kept.file = kept.folder / "orders.txt"
    kept.file.write_bytes(b"order\n" * 300_000)


def count_rounds() -> None:
    began = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"password", b"salt", 100_000)
    kept.rounds = int(100_000 * SLOW_S / (time.perf_counter() - began))
    kept.pool = ThreadPoolExecutor(1)
    kept.pool.submit(int).result()


def start_processes() -> None:
    kept.processes = ProcessPoolExecutor(1)
    kept.processes.submit(int).result()


def log_somewhere() -> None:
    logger.addHandler(logging.StreamHandler(sys.stderr))


async def connect_asyncpg() -> None:
    kept.asyncpg = await asyncpg.connect(AT.postgres)


async def connect_psycopg() -> None:
    kept.psycopg = await psycopg.AsyncConnection.connect(AT.postgres)


async def connect_engine() -> None:
    kept.engine = create_async_engine(AT.postgres.replace("postgresql:", "postgresql+asyncpg:"))
    async with kept.engine.connect() as connection:
        await connection.execute(sqlalchemy.text("select 1"))


async def connect_redis() -> None:
    kept.redis = redis.asyncio.from_url(f"redis://{AT.valkey}")
    await kept.redis.ping()


async def make_client() -> None:
    kept.client = httpx.AsyncClient()


# --- waiting, without holding the loop --------------------------------------------------------------


async def asyncio_sleep(item: int) -> None:
    await asyncio.sleep(SLOW_S)


async def asyncpg_connect(item: int) -> None:
    connection = await asyncpg.connect(AT.postgres)
    await connection.execute(SLEEP)
    await connection.close()


async def asyncpg_query(item: int) -> None:
    await kept.asyncpg.execute(SLEEP)


async def psycopg_async(item: int) -> None:
    await kept.psycopg.execute(SLEEP)


async def sqlalchemy_async(item: int) -> None:
    async with kept.engine.connect() as connection:
        await connection.execute(sqlalchemy.text(SLEEP))


async def redis_async(item: int) -> None:
    await kept.redis.blpop("nothing", timeout=SLOW_S)


async def httpx_async(item: int) -> None:
    await kept.client.get(f"{AT.http}/slow")


async def httpx_multipart(item: int) -> None:
    files = {"file": ("orders.txt", b"x" * 100_000, None)}
    await kept.client.post(f"{AT.http}/slow", files=files)


async def asyncio_streams(item: int) -> None:
    host, _, port = AT.late.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    writer.close()


async def loop_getaddrinfo(item: int) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)


async def asyncio_subprocess(item: int) -> None:
    process = await asyncio.create_subprocess_exec("sleep", str(SLOW_S))
    await process.wait()


async def asyncio_lock(item: int) -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    asyncio.get_running_loop().call_later(SLOW_S, lock.release)
    async with lock:
        pass


async def asyncio_queue(item: int) -> None:
    jobs: asyncio.Queue[int] = asyncio.Queue()
    asyncio.get_running_loop().call_later(SLOW_S, jobs.put_nowait, 1)
    await jobs.get()


async def asyncio_timeout(item: int) -> None:
    try:
        async with asyncio.timeout(SLOW_S):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def gather_many(item: int) -> None:
    await asyncio.gather(*(asyncio.sleep(SLOW_S) for _ in range(500)))


async def task_group(item: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(asyncio.sleep(SLOW_S))


# --- work off the loop ------------------------------------------------------------------------------


async def to_thread(item: int) -> None:
    await asyncio.to_thread(time.sleep, SLOW_S)


def plain_route(item: int) -> None:
    time.sleep(SLOW_S)


def pause() -> float:
    time.sleep(SLOW_S)
    return SLOW_S


async def plain_dependency(item: int, paused: Annotated[float, Depends(pause)]) -> float:
    return paused


async def threadpool(item: int) -> None:
    await run_in_threadpool(time.sleep, SLOW_S)


async def hashing_in_a_thread(item: int) -> None:
    loop = asyncio.get_running_loop()
    arguments = ("sha256", b"password", b"salt", kept.rounds)
    await loop.run_in_executor(kept.pool, hashlib.pbkdf2_hmac, *arguments)


async def work_in_a_process(item: int) -> None:
    await asyncio.get_running_loop().run_in_executor(kept.processes, pause)


async def many_yields(item: int) -> None:
    """Half a second of computing that lets the others in each hundredth."""
    for _ in range(50):
        end = time.thread_time() + SLOW_S / 50
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0)


# --- what a web framework does ----------------------------------------------------------------------


async def first_request(item: int) -> dict[str, int]:
    return {"item": item}


async def upload(item: int, request: Request) -> int:
    return sum([len(chunk) async for chunk in request.stream()])


async def file_response(item: int) -> FileResponse:
    return FileResponse(kept.file)


async def streaming_response(item: int) -> StreamingResponse:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"order\n"
            await asyncio.sleep(SLOW_S / 10)

    return StreamingResponse(body())


async def background_task(item: int, later: BackgroundTasks) -> None:
    later.add_task(asyncio.sleep, SLOW_S)


async def websocket(socket: WebSocket, item: int) -> None:
    await socket.accept()
    for _ in range(5):
        await socket.send_text(await socket.receive_text())
        await asyncio.sleep(SLOW_S / 5)
    await socket.close()


async def anyio_file(item: int) -> int:
    async with await anyio.open_file(kept.file) as file:
        return len(await file.read())


async def logging_exception(item: int) -> None:
    try:
        raise ValueError("an order without a price")
    except ValueError:
        logger.exception("refused")
    await asyncio.sleep(SLOW_S)


async def json_answer(item: int) -> list[dict[str, Any]]:
    await asyncio.sleep(SLOW_S)
    return [{"order": n, "text": "x" * 20} for n in range(100)]


_CLEAN = (Group.CLEAN,)
_PG, _HTTP = ("postgres",), ("http",)

CASES = (
    Case(asyncio_sleep, *_CLEAN),
    Case(asyncpg_connect, *_CLEAN, needs=_PG),
    Case(asyncpg_query, *_CLEAN, connect=connect_asyncpg, needs=_PG, quick=True),
    Case(psycopg_async, *_CLEAN, connect=connect_psycopg, needs=_PG),
    Case(sqlalchemy_async, *_CLEAN, connect=connect_engine, needs=_PG),
    Case(redis_async, *_CLEAN, connect=connect_redis, needs=("valkey",)),
    Case(httpx_async, *_CLEAN, connect=make_client, needs=_HTTP),
    Case(httpx_multipart, *_CLEAN, connect=make_client, needs=_HTTP),
    Case(asyncio_streams, *_CLEAN, needs=("late",)),
    Case(loop_getaddrinfo, *_CLEAN),
    Case(asyncio_subprocess, *_CLEAN),
    Case(asyncio_lock, *_CLEAN),
    Case(asyncio_queue, *_CLEAN),
    Case(asyncio_timeout, *_CLEAN),
    Case(gather_many, *_CLEAN),
    Case(task_group, *_CLEAN),
    Case(to_thread, *_CLEAN),
    Case(plain_route, *_CLEAN),
    Case(plain_dependency, *_CLEAN),
    Case(threadpool, *_CLEAN),
    Case(hashing_in_a_thread, *_CLEAN, prepare=count_rounds),
    Case(work_in_a_process, *_CLEAN, prepare=start_processes),
    Case(many_yields, *_CLEAN),
    Case(first_request, *_CLEAN, warm=False),
    Case(upload, *_CLEAN, send=Send.UPLOAD),
    Case(file_response, *_CLEAN, prepare=make_file),
    Case(streaming_response, *_CLEAN),
    Case(background_task, *_CLEAN),
    Case(websocket, *_CLEAN, place=Place.WEBSOCKET, send=Send.WEBSOCKET),
    Case(anyio_file, *_CLEAN, prepare=make_file),
    Case(logging_exception, *_CLEAN, prepare=log_somewhere),
    Case(json_answer, *_CLEAN),
)
