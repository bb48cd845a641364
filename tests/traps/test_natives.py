"""Which calls of C code are looked at."""

from __future__ import annotations

import io
import queue
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2.extensions
import pytest

from unstall.traps.handles import is_on_disk
from unstall.traps.natives import native_of


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (sqlite3.Connection.execute, "sqlite3.Connection.execute"),
        (sqlite3.connect(":memory:").cursor().execute, "sqlite3.Cursor.execute"),
        (psycopg2.extensions.cursor.execute, "psycopg2.extensions.cursor.execute"),
        (psycopg2.extensions.connection.commit, "psycopg2.extensions.connection.commit"),
        (threading.Lock().acquire, "threading.Lock.acquire"),
        (queue.SimpleQueue().get, "queue.SimpleQueue.get"),
        (time.sleep, "time.sleep"),
        (io.BufferedReader.read, "_io.BufferedReader.read"),
    ],
)
def test_what_may_block_is_known_by_name(function: Callable[..., Any], call: str) -> None:
    native = native_of(function)
    assert native is not None
    assert native.call == call


@pytest.mark.parametrize(
    "function",
    [len, [].append, "".join, dict.get, sorted, time.perf_counter, int, native_of, Path.exists,
     io.BytesIO().read, sqlite3.Connection.cursor, threading.Lock().locked],
)  # fmt: skip
def test_what_cannot_block_is_passed_over(function: Callable[..., Any]) -> None:
    assert native_of(function) is None


def test_unknown_functions_of_foreign_libraries_must_be_seen_to_wait() -> None:
    native = native_of(psycopg2.extensions.cursor.fetchone)
    assert native is not None
    assert native.blocks is None


def test_a_terminal_is_no_file(tmp_path: Path) -> None:
    native = native_of(io.TextIOWrapper.read)
    assert native is not None
    assert native.blocks is not None
    with (tmp_path / "x").open("w+") as file:
        assert native.blocks(file)
    assert not native.blocks(sys.stdout)


def test_a_database_in_memory_is_on_no_disk(tmp_path: Path) -> None:
    memory, disk = sqlite3.connect(":memory:"), sqlite3.connect(tmp_path / "db")
    try:
        memory.row_factory = disk.row_factory = lambda *_: "strange"
        assert not is_on_disk(memory)
        assert not is_on_disk(memory.cursor())
        assert is_on_disk(disk)
    finally:
        memory.close()
        disk.close()
