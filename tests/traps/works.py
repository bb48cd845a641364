"""What an application does on its loop: things that block, each with a twin that does not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import fcntl
import logging
import os
import queue
import select
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from time import sleep
from typing import Any

import anyio
import watchfiles

MARK = "# BLOCKS"
FOLDER = Path(tempfile.mkdtemp(prefix="unstall-traps-"))
FILE = FOLDER / "orders.csv"
FILE.write_text("1,2\n")
OPEN = FILE.open("ab")
LOG = logging.FileHandler(FOLDER / "shop.log")
BASE = sqlite3.connect(FOLDER / "orders.db", isolation_level=None, check_same_thread=False)
BASE.execute("create table orders (id integer)")


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


OURS, THEIRS = _connected()
_quiet = logging.getLogger("unstall.tests.shop")
_quiet.propagate = False


@contextmanager
def logging_to(handler: logging.Handler) -> Iterator[None]:
    _quiet.addHandler(handler)
    try:
        yield
    finally:
        _quiet.removeHandler(handler)


# --- what blocks ------------------------------------------------------------------------------------


async def nap() -> None:
    time.sleep(0.0001)  # BLOCKS


async def nap_by_its_own_name() -> None:
    sleep(0.0001)  # BLOCKS


async def read_file() -> None:
    FILE.read_text()  # BLOCKS


async def write_file() -> None:
    with open(FOLDER / "new", "w") as file:  # BLOCKS
        file.write("x")


async def stat_file() -> None:
    os.stat(FILE)  # BLOCKS


async def sync_file() -> None:
    os.fsync(OPEN.fileno())  # BLOCKS


async def list_folder() -> None:
    os.listdir(FOLDER)  # BLOCKS


async def copy_file() -> None:
    shutil.copyfile(FILE, FOLDER / "copy")  # BLOCKS


async def lock_file() -> None:
    fcntl.flock(OPEN, fcntl.LOCK_EX)  # BLOCKS
    fcntl.flock(OPEN, fcntl.LOCK_UN)


async def ask_database() -> None:
    BASE.execute("insert into orders values (1)")  # BLOCKS


async def ask_new_database() -> None:
    connection = sqlite3.connect(FOLDER / "orders.db")  # BLOCKS
    connection.close()


async def wait_for_event() -> None:
    threading.Event().wait(0.0001)  # BLOCKS


async def get_from_empty_queue() -> None:
    try:
        queue.Queue[int]().get(timeout=0.0001)  # BLOCKS
    except queue.Empty:
        return


async def wait_for_future() -> None:
    try:
        concurrent.futures.Future[int]().result(timeout=0.0001)  # BLOCKS
    except TimeoutError:
        return


async def join_thread() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    threading.Timer(0.01, go.set).start()
    thread.join()  # BLOCKS


async def receive() -> None:
    OURS.settimeout(0.0001)
    try:
        OURS.recv(1)  # BLOCKS
    except TimeoutError:
        return


async def connect() -> None:
    try:
        socket.create_connection(("127.0.0.1", 1), timeout=1)  # BLOCKS
    except OSError:
        return


async def resolve() -> None:
    socket.getaddrinfo("localhost", 80)  # BLOCKS


async def wait_for_socket() -> None:
    select.select([OURS], [], [], 0.0001)  # BLOCKS


async def watch_files() -> None:
    next(watchfiles.watch(FOLDER, rust_timeout=5, yield_on_timeout=True))  # BLOCKS


async def run_program() -> None:
    subprocess.run(["true"], check=True)  # BLOCKS


async def log_to_file() -> None:
    with logging_to(LOG):
        _quiet.warning("an order")  # BLOCKS


# --- and what does not ------------------------------------------------------------------------------


async def nap_well() -> None:
    await asyncio.sleep(0.0001)


async def nap_for_no_time() -> None:
    time.sleep(0)


async def nap_in_thread() -> None:
    await asyncio.to_thread(time.sleep, 0.0001)


async def read_in_thread() -> None:
    await anyio.Path(FILE).read_text()


async def ask_database_in_thread() -> None:
    await asyncio.to_thread(BASE.execute, "insert into orders values (1)")


async def ask_memory() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("select 1")


async def wait_for_set_event() -> None:
    event = threading.Event()
    event.set()
    event.wait()


async def get_from_queue() -> None:
    jobs: queue.Queue[int] = queue.Queue()
    jobs.put(1)
    jobs.get()


async def get_without_waiting() -> None:
    try:
        queue.Queue[int]().get(block=False)
    except queue.Empty:
        return


async def take_done_future() -> None:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    future.set_result(1)
    future.result()


async def take_free_lock() -> None:
    lock = threading.Lock()
    with lock:
        pass
    lock.acquire()
    lock.release()


async def join_ended_thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    thread.join()


async def lock_file_if_free() -> None:
    fcntl.flock(OPEN, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(OPEN, fcntl.LOCK_UN)


async def talk_over_streams() -> None:
    async def answer(reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.readline()
    writer.close()
    server.close()


async def resolve_an_address() -> None:
    socket.getaddrinfo("127.0.0.1", 80)


async def resolve_well() -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def look_at_socket() -> None:
    select.select([OURS], [], [], 0)


async def watch_files_well() -> None:
    changes = watchfiles.awatch(FOLDER, rust_timeout=5, yield_on_timeout=True)
    await anext(changes)
    await changes.aclose()


async def run_program_well() -> None:
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()


async def log_to_terminal() -> None:
    with logging_to(logging.StreamHandler(StringIO())):
        _quiet.warning("an order")


async def log_an_error() -> None:
    with logging_to(logging.StreamHandler(StringIO())):
        try:
            raise ValueError("an order without a price")
        except ValueError:
            _quiet.exception("refused")


@dataclass(frozen=True, slots=True)
class Blocking:
    work: Callable[[], Awaitable[None]]
    code: str
    call: str


BLOCKING = (
    Blocking(nap, "US101", "time.sleep"),
    Blocking(nap_by_its_own_name, "US101", "time.sleep"),
    Blocking(read_file, "US106", "pathlib.Path.read_text"),
    Blocking(write_file, "US106", "open"),
    Blocking(stat_file, "US106", "os.stat"),
    Blocking(sync_file, "US106", "os.fsync"),
    Blocking(list_folder, "US106", "os.listdir"),
    Blocking(copy_file, "US106", "shutil.copyfile"),
    Blocking(lock_file, "US106", "fcntl.flock"),
    Blocking(ask_database, "US103", "sqlite3.Connection.execute"),
    Blocking(ask_new_database, "US103", "sqlite3.connect"),
    Blocking(wait_for_event, "US109", "threading.Event().wait"),
    Blocking(get_from_empty_queue, "US109", "queue.Queue[int]().get"),
    Blocking(wait_for_future, "US109", "concurrent.futures.Future[int]().result"),
    Blocking(join_thread, "US109", "threading.Thread.join"),
    Blocking(receive, "US108", "socket.socket.recv"),
    Blocking(connect, "US108", "socket.create_connection"),
    Blocking(resolve, "US108", "socket.getaddrinfo"),
    Blocking(wait_for_socket, "US108", "select.select"),
    Blocking(watch_files, "US106", "watchfiles.main.watch"),
    Blocking(run_program, "US107", "subprocess.run"),
    Blocking(log_to_file, "US113", "logging.Logger.warning"),
)
CLEAN = (
    nap_well, nap_for_no_time, nap_in_thread, read_in_thread, ask_database_in_thread, ask_memory,
    wait_for_set_event, get_from_queue, get_without_waiting, take_done_future, take_free_lock,
    join_ended_thread, lock_file_if_free, talk_over_streams, resolve_an_address, resolve_well, look_at_socket,
    watch_files_well, run_program_well, log_to_terminal, log_an_error,
)  # fmt: skip
