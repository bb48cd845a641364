"""Files, archives, programs, and what computes: a call that is fast today, and its clean twin."""

from __future__ import annotations

import asyncio
import dbm.dumb
import logging
import logging.handlers
import queue
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import aiofiles
import anyio
import argon2
import bcrypt
import cv2
import filelock
import git
import jinja2
import lxml.etree
import numpy
import openpyxl
import pandas
import PIL.Image
import polars
import portalocker
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import watchfiles

from benchmarks.cases.case import Case, Group
from unstall.model.finding import Cause

kept = SimpleNamespace()
logger = logging.getLogger("library")


# --- before the loop --------------------------------------------------------------------------------


def make_folder() -> None:
    kept.folder = Path(tempfile.mkdtemp(prefix="matrix-"))
    kept.text = kept.folder / "orders.csv"
    kept.text.write_text("id,price\n1,2\n" * 100)
    (kept.folder / "page.html").write_text("{{ order }}")
    (kept.folder / "orders.xml").write_text("<orders/>")


def make_archive() -> None:
    make_folder()
    kept.memory = BytesIO()
    for target in (kept.folder / "orders.zip", kept.memory):
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("orders.csv", "1,2")


def make_tables() -> None:
    make_folder()
    table = pyarrow.table({"id": list(range(1000))})
    pyarrow.parquet.write_table(table, kept.folder / "orders.parquet")
    numpy.save(kept.folder / "orders.npy", numpy.zeros(100))
    book = openpyxl.Workbook()
    book.save(kept.folder / "orders.xlsx")


def make_picture() -> None:
    make_folder()
    PIL.Image.new("RGB", (64, 64)).save(kept.folder / "order.png")
    kept.picture = (kept.folder / "order.png").read_bytes()


def make_repository() -> None:
    kept.repository = git.Repo.init(tempfile.mkdtemp(prefix="matrix-"))


def make_templates() -> None:
    make_folder()
    kept.templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(kept.folder), enable_async=True
    )


def make_dbm() -> None:
    make_folder()
    kept.dumb = dbm.dumb.open(str(kept.folder / "dumb"))


def log_to_a_file() -> None:
    make_folder()
    logger.addHandler(logging.handlers.RotatingFileHandler(kept.folder / "shop.log"))


def log_to_a_queue() -> None:
    make_folder()
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    target = logging.FileHandler(kept.folder / "shop.log")
    logging.handlers.QueueListener(records, target).start()
    logger.addHandler(logging.handlers.QueueHandler(records))


# --- what blocks ------------------------------------------------------------------------------------


async def pandas_csv() -> None:
    pandas.read_csv(kept.text)  # stalls


async def pandas_parquet() -> None:
    pandas.read_parquet(kept.folder / "orders.parquet")  # stalls


async def pyarrow_parquet() -> None:
    pyarrow.parquet.read_table(kept.folder / "orders.parquet")  # stalls


async def pyarrow_csv() -> None:
    pyarrow.csv.read_csv(kept.text)  # stalls


async def polars_csv() -> None:
    polars.read_csv(kept.text)  # stalls


async def opencv_imread() -> None:
    cv2.imread(str(kept.folder / "order.png"))  # stalls


async def numpy_load() -> None:
    numpy.load(kept.folder / "orders.npy")  # stalls


async def openpyxl_load() -> None:
    openpyxl.load_workbook(kept.folder / "orders.xlsx")  # stalls


async def pillow_open() -> None:
    PIL.Image.open(kept.folder / "order.png").load()  # stalls


async def lxml_parse() -> None:
    lxml.etree.parse(kept.folder / "orders.xml")  # stalls


async def jinja_template() -> None:
    kept.templates.get_template("page.html")  # stalls


async def zipfile_open() -> None:
    with zipfile.ZipFile(kept.folder / "orders.zip") as archive:  # stalls
        archive.read("orders.csv")  # stalls


async def temporary_file() -> None:
    with tempfile.NamedTemporaryFile() as file:  # stalls
        file.write(b"x")


async def pathlib_steps() -> None:
    if kept.text.exists():  # stalls
        kept.text.with_suffix(".old").write_text(kept.text.read_text())  # stalls


async def dbm_open() -> None:
    dbm.dumb.open(str(kept.folder / "other")).close()  # stalls


async def dbm_write() -> None:
    kept.dumb["order"] = b"7"  # stalls
    kept.dumb.sync()  # stalls


async def filelock_acquire() -> None:
    with filelock.FileLock(kept.folder / "orders.lock"):  # stalls
        pass


async def portalocker_acquire() -> None:
    with portalocker.Lock(kept.folder / "orders.lock"):  # stalls
        pass


async def git_status() -> None:
    kept.repository.git.status()  # stalls


async def watchfiles_watch() -> None:
    next(watchfiles.watch(kept.folder, rust_timeout=5, yield_on_timeout=True))  # stalls


async def rotating_log() -> None:
    logger.warning("an order")  # stalls


async def bcrypt_hash() -> None:
    bcrypt.hashpw(b"password", bcrypt.gensalt(13))  # stalls


async def argon2_hash() -> None:
    hasher = argon2.PasswordHasher(time_cost=12, memory_cost=1 << 17, parallelism=1)
    hasher.hash("password")  # stalls


# --- and what does not ------------------------------------------------------------------------------


async def pandas_from_memory(item: int) -> None:
    pandas.read_csv(BytesIO(b"id,price\n1,2\n"))


async def pandas_in_a_thread(item: int) -> None:
    await asyncio.to_thread(pandas.read_csv, kept.text)


async def pyarrow_from_memory(item: int) -> None:
    target = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.table({"id": [1]}), target)
    pyarrow.parquet.read_table(pyarrow.BufferReader(target.getvalue()))


async def polars_from_memory(item: int) -> None:
    polars.read_csv(BytesIO(b"id,price\n1,2\n"))


async def opencv_from_memory(item: int) -> None:
    cv2.imdecode(numpy.frombuffer(kept.picture, numpy.uint8), cv2.IMREAD_COLOR)


async def openpyxl_in_a_thread(item: int) -> None:
    await asyncio.to_thread(openpyxl.load_workbook, kept.folder / "orders.xlsx")


async def pillow_from_memory(item: int) -> None:
    PIL.Image.open(BytesIO(kept.picture)).load()


async def lxml_from_memory(item: int) -> None:
    lxml.etree.fromstring(b"<orders/>")
    lxml.etree.parse(BytesIO(b"<orders/>"))


async def jinja_render(item: int) -> None:
    await kept.templates.from_string("{{ order }}").render_async(order=item)


async def zipfile_from_memory(item: int) -> None:
    with zipfile.ZipFile(kept.memory) as archive:
        archive.read("orders.csv")


async def spooled_file(item: int) -> None:
    with tempfile.SpooledTemporaryFile() as file:
        file.write(b"x")


async def anyio_steps(item: int) -> None:
    path = anyio.Path(kept.text)
    if await path.exists():
        await path.with_suffix(".old").write_text(await path.read_text())


async def aiofiles_read(item: int) -> None:
    async with aiofiles.open(kept.text) as file:
        await file.read()


async def filelock_async(item: int) -> None:
    async with filelock.AsyncFileLock(kept.folder / "orders.lock"):
        pass


async def portalocker_in_a_thread(item: int) -> None:
    lock = portalocker.Lock(kept.folder / "orders.lock")
    await asyncio.to_thread(lock.acquire)
    await asyncio.to_thread(lock.release)


async def git_in_a_child(item: int) -> None:
    child = await asyncio.create_subprocess_exec("git", "--version", stdout=asyncio.subprocess.PIPE)
    await child.communicate()


async def watchfiles_async(item: int) -> None:
    async for _ in watchfiles.awatch(kept.folder, rust_timeout=5, yield_on_timeout=True):
        return


async def queued_log(item: int) -> None:
    logger.warning("an order")


async def bcrypt_in_a_thread(item: int) -> None:
    await asyncio.to_thread(bcrypt.hashpw, b"password", bcrypt.gensalt(13))


async def argon2_in_a_thread(item: int) -> None:
    hasher = argon2.PasswordHasher(time_cost=12, memory_cost=1 << 17)
    await asyncio.to_thread(hasher.hash, "password")


_FILE = (Group.LATENT, Cause.WAITING, "US106")
_HASH = (Group.CPU, Cause.CPU, "US201")
_CLEAN = (Group.CLEAN,)

CASES = (
    Case(pandas_csv, *_FILE, prepare=make_folder),
    Case(pandas_parquet, *_FILE, prepare=make_tables),
    Case(pyarrow_parquet, *_FILE, prepare=make_tables),
    Case(pyarrow_csv, *_FILE, prepare=make_folder),
    Case(polars_csv, *_FILE, prepare=make_folder),
    Case(opencv_imread, *_FILE, prepare=make_picture),
    Case(numpy_load, *_FILE, prepare=make_tables),
    Case(openpyxl_load, *_FILE, prepare=make_tables),
    Case(pillow_open, *_FILE, prepare=make_picture),
    Case(lxml_parse, *_FILE, prepare=make_folder, quick=True),
    Case(jinja_template, Group.LATENT, Cause.WAITING, "US112", prepare=make_templates),
    Case(zipfile_open, *_FILE, prepare=make_archive),
    Case(temporary_file, *_FILE),
    Case(pathlib_steps, *_FILE, prepare=make_folder),
    Case(dbm_open, *_FILE, prepare=make_dbm),
    Case(dbm_write, *_FILE, prepare=make_dbm),
    Case(filelock_acquire, Group.LATENT, Cause.LOCK, "US109", prepare=make_folder),
    Case(portalocker_acquire, Group.LATENT, Cause.LOCK, "US109", prepare=make_folder),
    Case(git_status, Group.LATENT, Cause.WAITING, "US107", prepare=make_repository),
    Case(watchfiles_watch, Group.LATENT, Cause.WAITING, "US106", prepare=make_folder),
    Case(rotating_log, Group.LATENT, Cause.WAITING, "US113", prepare=log_to_a_file),
    Case(bcrypt_hash, *_HASH),
    Case(argon2_hash, *_HASH),
    Case(pandas_from_memory, *_CLEAN),
    Case(pandas_in_a_thread, *_CLEAN, prepare=make_folder),
    Case(pyarrow_from_memory, *_CLEAN),
    Case(polars_from_memory, *_CLEAN),
    Case(opencv_from_memory, *_CLEAN, prepare=make_picture),
    Case(openpyxl_in_a_thread, *_CLEAN, prepare=make_tables),
    Case(pillow_from_memory, *_CLEAN, prepare=make_picture),
    Case(lxml_from_memory, *_CLEAN, quick=True),
    Case(jinja_render, *_CLEAN, prepare=make_templates),
    Case(zipfile_from_memory, *_CLEAN, prepare=make_archive),
    Case(spooled_file, *_CLEAN),
    Case(anyio_steps, *_CLEAN, prepare=make_folder),
    Case(aiofiles_read, *_CLEAN, prepare=make_folder),
    Case(filelock_async, *_CLEAN, prepare=make_folder),
    Case(portalocker_in_a_thread, *_CLEAN, prepare=make_folder),
    Case(git_in_a_child, *_CLEAN),
    Case(watchfiles_async, *_CLEAN, prepare=make_folder),
    Case(queued_log, *_CLEAN, prepare=log_to_a_queue),
    Case(bcrypt_in_a_thread, *_CLEAN),
    Case(argon2_in_a_thread, *_CLEAN),
)
