"""Files, processes, logging."""

from __future__ import annotations

import fcntl
import logging
import logging.handlers
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from benchmarks.cases.case import AT, SLOW_S, Case, Group, later, start_helper
from unstall.model.finding import Cause

kept = SimpleNamespace()
logger = logging.getLogger("shop")


def make_files() -> None:
    kept.folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    kept.file = kept.folder / "orders.csv"
    kept.file.write_text("1,2\n" * 1_000)


def make_fifo() -> None:
    make_files()
    start_helper()
    kept.fifo = kept.folder / "fifo"
    os.mkfifo(kept.fifo)


def make_pipe() -> None:
    start_helper()
    kept.read_end, kept.write_end = os.pipe()


def lock_file() -> None:
    make_files()
    start_helper()
    kept.theirs = kept.file.open("rb")
    kept.ours = kept.file.open("rb")
    fcntl.flock(kept.theirs, fcntl.LOCK_EX)


def log_to_http() -> None:
    host = AT.http.removeprefix("http://")
    logger.addHandler(logging.handlers.HTTPHandler(host, "/slow"))


def log_to_file() -> None:
    make_files()
    logger.addHandler(logging.FileHandler(kept.folder / "shop.log"))


def keep_open() -> None:
    make_files()
    kept.open = kept.file.open("ab")


def write_to_fifo() -> None:
    os.close(os.open(kept.fifo, os.O_WRONLY))


async def open_fifo() -> None:
    later(write_to_fifo)
    open(kept.fifo).close()  # stalls


async def pipe_read() -> None:
    later(lambda: os.write(kept.write_end, b"x"))
    os.read(kept.read_end, 1)  # stalls


async def file_lock() -> None:
    later(lambda: fcntl.flock(kept.theirs, fcntl.LOCK_UN))
    fcntl.flock(kept.ours, fcntl.LOCK_EX)  # stalls


async def logging_to_http() -> None:
    logger.warning("an order")  # stalls


async def subprocess_run() -> None:
    subprocess.run(["sleep", str(SLOW_S)], check=True)  # stalls


async def subprocess_output() -> None:
    subprocess.check_output(["sleep", str(SLOW_S)])  # stalls


async def os_system() -> None:
    os.system(f"sleep {SLOW_S}")  # stalls


async def file_read_fast() -> None:
    open(kept.file).read()  # stalls


async def file_write_fast() -> None:
    open(kept.folder / "new", "w").write("x")  # stalls


async def file_lines_fast() -> None:
    for _ in open(kept.file):  # stalls
        pass


async def os_stat_fast() -> None:
    os.stat(kept.file)  # stalls


async def listdir_fast() -> None:
    os.listdir(kept.folder)  # stalls


async def copyfile_fast() -> None:
    shutil.copyfile(kept.file, kept.folder / "copy")  # stalls


async def fsync_fast() -> None:
    os.fsync(kept.open.fileno())  # stalls


async def logging_to_file_fast() -> None:
    logger.warning("an order")  # stalls


async def subprocess_fast() -> None:
    subprocess.run([sys.executable, "-V"], check=True, capture_output=True)  # stalls


_SLOW = (Group.SLOW, Cause.WAITING)
_LATENT = (Group.LATENT, Cause.WAITING)

CASES = (
    Case(open_fifo, *_SLOW, "US106", prepare=make_fifo),
    Case(pipe_read, *_SLOW, "US106", prepare=make_pipe),
    Case(file_lock, *_SLOW, "US106", prepare=lock_file),
    Case(logging_to_http, *_SLOW, "US100", prepare=log_to_http, needs=("http",)),
    Case(subprocess_run, *_SLOW, "US107"),
    Case(subprocess_output, *_SLOW, "US107"),
    Case(os_system, *_SLOW, "US107"),
    Case(file_read_fast, *_LATENT, "US106", prepare=make_files),
    Case(file_write_fast, *_LATENT, "US106", prepare=make_files),
    Case(file_lines_fast, *_LATENT, "US106", prepare=make_files),
    Case(os_stat_fast, *_LATENT, "US106", prepare=make_files),
    Case(listdir_fast, *_LATENT, "US106", prepare=make_files),
    Case(copyfile_fast, *_LATENT, "US106", prepare=make_files),
    Case(fsync_fast, *_LATENT, "US106", prepare=keep_open),
    Case(logging_to_file_fast, *_LATENT, "US100", prepare=log_to_file),
    Case(subprocess_fast, *_LATENT, "US107"),
)
