"""What globals hold, and how large pools are, is told by name, class and number, and no secret with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.imports import APP, seen, write
from unstall.audit.imported import Imported, Pool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="apps are not imported there")

STATE = """
import collections, io, queue, threading
from dataclasses import dataclass, field


class Store:
    shared = threading.Lock()

    def __init__(self):
        self.lock = threading.Lock()
        self.queue = queue.Queue()
        self.count = 3


@dataclass
class Config:
    inner: Store = field(default_factory=Store)


class Lazy:
    def __getattr__(self, name):
        raise RuntimeError("touched")

    @property
    def __class__(self):
        raise RuntimeError("touched")


store = Store()
config = Config()
lazy = Lazy()
buffer = io.BytesIO()
number = 3
names = ["a"]
function = store.queue.put


def made():
    class Local:
        pass
    return Local()


local = made()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    root = tmp_path_factory.mktemp("state")
    return seen(write(root, main="from app.state import store as alias\n" + APP, app__state=STATE))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("store", ("app.state:Store",)),
        ("config", ("app.state:Config",)),
        ("lazy", ("app.state:Lazy",)),
        ("buffer", ("io.BytesIO",)),
        ("local", ("app.state:made.<locals>.Local",)),
        ("Store.shared", ("threading.Lock",)),
        ("number", ()),
        ("names", ()),
        ("function", ()),
        ("Store", ()),
        ("nothing", ()),
    ],
)
def test_a_global_is_told_by_the_class_of_its_value(
    told: Imported, name: str, expected: tuple[str, ...]
) -> None:
    found = told.type_of_global("app.state", name)
    assert tuple(
        each.replace("_io.", "io.").replace("_thread.lock", "threading.Lock") for each in found
    ) == (expected)


def test_attributes_of_the_projects_own_objects_are_told_one_level_deep(told: Imported) -> None:
    assert told.type_of_attribute("app.state", "store", "queue") == ("queue.Queue",)
    assert told.type_of_attribute("app.state", "config", "inner") == ("app.state:Store",)
    assert told.type_of_attribute("app.state", "store", "count") == ()


def test_an_import_of_a_global_is_a_global_too(told: Imported) -> None:
    assert told.type_of_global("main", "alias") == ("app.state:Store",)


def test_names_follow_the_files_of_the_audit(told: Imported) -> None:
    moved = told.under({"app/state.py": "backend.app.state"})
    assert moved.type_of_global("backend.app.state", "store") == ("backend.app.state:Store",)
    assert moved.type_of_global("app.state", "store") == ()
    assert moved.type_of_global("main", "alias") == ("backend.app.state:Store",)


# --- pools ----------------------------------------------------------------------------------


def pools(tmp_path: Path, source: str) -> dict[str, Pool]:
    told = seen(write(tmp_path, main=source + APP))
    return {each.name: each for each in told.pools}


def test_engines_tell_their_pools_and_time_outs(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg2")
    pytest.importorskip("asyncpg")
    source = """
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine, async_sessionmaker
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool
engine = create_engine(
    "postgresql+psycopg2://me:geheim@db.example:5433/x?options=-c%20statement_timeout%3D5s",
    pool_size=7, max_overflow=3, pool_timeout=4, connect_args={"connect_timeout": 2, "sslkey": "geheim"},
)
other = create_async_engine("postgresql+asyncpg://me:geheim@db/x", connect_args={"command_timeout": 9})
unpooled = create_engine("sqlite://", poolclass=NullPool)
Session = sessionmaker(engine)
AsyncSession = async_sessionmaker(other)
"""
    told = seen(write(tmp_path, main=source + APP))
    found = {each.name: each for each in told.pools}
    engine = found["main:engine"]
    assert (engine.kind, engine.driver, engine.host, engine.port) == (
        "engine",
        "postgresql+psycopg2",
        "db.example",
        5433,
    )
    assert (engine.size, engine.overflow, engine.most, engine.acquire_timeout) == (7, 3, 10, 4)
    assert engine.timeouts["connect_timeout"] == 2
    assert "statement_timeout" in str(engine.timeouts["options"])
    assert engine.pool_class.endswith("QueuePool")
    other = found["main:other"]
    assert (other.is_async, other.size, other.most, other.acquire_timeout) == (True, 5, 15, 30)
    assert dict(other.timeouts) == {"command_timeout": 9}
    assert (found["main:unpooled"].size, found["main:unpooled"].most) == (None, None)
    assert len(found) == 3
    assert "geheim" not in repr(told)
    assert told.globals["main", "Session"].gives == "sqlalchemy.orm.Session"
    assert told.globals["main", "AsyncSession"].gives == "sqlalchemy.ext.asyncio.AsyncSession"


def test_caches_tell_their_connections_and_time_outs(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    source = """
import redis, redis.asyncio
cache = redis.Redis(host="cache", password="geheim", socket_timeout=2, max_connections=9)
fast = redis.asyncio.Redis.from_url("redis://:geheim@other:6380/0", socket_connect_timeout=1)
blocking = redis.BlockingConnectionPool(max_connections=4, timeout=8)
"""
    found = pools(tmp_path, source)
    cache = found["main:cache.connection_pool"]
    assert (cache.host, cache.most, cache.is_async) == ("cache", 9, False)
    assert cache.timeouts["socket_timeout"] == 2
    other = found["main:fast.connection_pool"]
    assert (other.host, other.port, other.is_async) == ("other", 6380, True)
    assert other.timeouts["socket_connect_timeout"] == 1
    assert (found["main:blocking"].most, found["main:blocking"].acquire_timeout) == (4, 8)


def test_http_clients_tell_their_time_outs_also_where_there_are_none(tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    pytest.importorskip("requests")
    source = """
import httpx, requests
class Api:
    def __init__(self):
        self.session = requests.Session()
api = Api()
client = httpx.Client(timeout=4, limits=httpx.Limits(max_connections=6))
endless = httpx.AsyncClient(timeout=None, base_url="https://api.example/v1")
"""
    found = pools(tmp_path, source)
    assert dict(found["main:client"].timeouts) == {"connect": 4, "read": 4, "write": 4}
    assert (found["main:client"].most, found["main:client"].acquire_timeout) == (6, 4)
    assert dict(found["main:endless"].timeouts) == {"connect": None, "read": None, "write": None}
    assert (found["main:endless"].is_async, found["main:endless"].host) == (True, "api.example")
    assert (found["main:api.session"].most, dict(found["main:api.session"].timeouts)) == (
        10,
        {"default": None},
    )


def test_pools_of_drivers_tell_their_sizes(tmp_path: Path) -> None:
    pytest.importorskip("psycopg_pool")
    pytest.importorskip("pymongo")
    source = """
import psycopg_pool, pymongo
closed = psycopg_pool.AsyncConnectionPool("host=x", min_size=2, max_size=6, timeout=3, open=False)
mongo = pymongo.MongoClient("mongodb://me:geheim@m", maxPoolSize=20, connect=False, connectTimeoutMS=500)
"""
    found = pools(tmp_path, source)
    closed = found["main:closed"]
    assert (closed.size, closed.most, closed.acquire_timeout, closed.is_async) == (2, 6, 3, True)
    mongo = found["main:mongo"]
    assert (mongo.most, mongo.timeouts["connect_timeout"]) == (20, 0.5)


def test_a_class_made_at_run_time_is_told_by_the_first_that_has_a_name(tmp_path: Path) -> None:
    """As boto3 makes its clients."""
    source = """
from collections import OrderedDict
client = type("S3", (OrderedDict,), {})()
"""
    told = seen(write(tmp_path, main=source + APP))
    assert told.type_of_global("main", "client") == ("collections.OrderedDict",)
