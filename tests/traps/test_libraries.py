"""Further libraries on small real servers, each beside its clean twin. benchmarks/libraries.py has more."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import dns.asyncresolver
import dns.resolver
import grpc
import grpc.aio
import pymongo
import pytest
import websockets.asyncio.client
import websockets.sync.client

from benchmarks.support.backends import running_backends
from tests.support.trapped import trapped

pytestmark = pytest.mark.live

NEEDS = ("dns", "fast_grpc", "mongo", "websocket")


@pytest.fixture(scope="module")
def at() -> Iterator[SimpleNamespace]:
    with running_backends(NEEDS) as addresses:
        yield SimpleNamespace(**addresses)


def sites(work: Callable[[], Any]) -> list[tuple[str, str]]:
    found = trapped(work)
    assert all(
        each.site is not None and each.site.file == "tests/traps/test_libraries.py"
        for each in found
    )
    return [(each.code, each.site.call) for each in found if each.site is not None]


def silent(work: Callable[[], Awaitable[object]]) -> bool:
    assert sites(work) == []
    return True


def resolver_at(address: str, kind: Any) -> Any:
    host, _, port = address.partition(":")
    resolver = kind(configure=False)
    resolver.nameservers, resolver.port = [host], int(port)
    return resolver


# --- MongoDB ----------------------------------------------------------------------------------------


def test_pymongo(at: SimpleNamespace) -> None:
    with pymongo.MongoClient[dict[str, int]](f"mongodb://{at.mongo}") as client:
        orders = client.shop.orders
        orders.insert_one({"id": 1})
        assert sites(lambda: [orders.insert_one({"id": 2})]) == [
            ("US103", "pymongo.synchronous.collection.Collection.insert_one")
        ]


def test_its_asynchronous_twin(at: SimpleNamespace) -> None:
    async def insert() -> None:
        async with pymongo.AsyncMongoClient[dict[str, int]](f"mongodb://{at.mongo}") as client:
            await client.shop.orders.insert_one({"id": 2})

    assert silent(insert)


# --- names ------------------------------------------------------------------------------------------


def test_dnspython(at: SimpleNamespace) -> None:
    resolver = resolver_at(at.dns, dns.resolver.Resolver)
    assert sites(lambda: [resolver.resolve("shop.example.org")]) == [
        ("US108", "dns.resolver.Resolver.resolve")
    ]


def test_its_asynchronous_resolver(at: SimpleNamespace) -> None:
    resolver = resolver_at(at.dns, dns.asyncresolver.Resolver)
    assert silent(lambda: resolver.resolve("shop.example.org"))


# --- gRPC -------------------------------------------------------------------------------------------


def test_grpc_of_one_answer_and_of_a_stream(at: SimpleNamespace) -> None:
    with grpc.insecure_channel(at.fast_grpc) as channel:
        one, many = (
            kind("/matrix.Shop/Fast") for kind in (channel.unary_unary, channel.unary_stream)
        )
        one(b"7")

        def call() -> None:
            one(b"7")
            for _ in many(b"7"):
                pass

        assert [code for code, _ in sites(call)] == ["US110", "US110"]


def test_its_asynchronous_channel(at: SimpleNamespace) -> None:
    async def call() -> None:
        async with grpc.aio.insecure_channel(at.fast_grpc) as channel:
            await channel.unary_unary("/matrix.Shop/Fast")(b"7")

    assert silent(call)


# --- WebSockets -------------------------------------------------------------------------------------


def test_a_synchronous_websocket(at: SimpleNamespace) -> None:
    with websockets.sync.client.connect(f"ws://{at.websocket}") as connection:

        def talk() -> None:
            connection.send("7")
            connection.recv()

        assert ("US108", "websockets.sync.connection.Connection.send") in sites(talk)


def test_its_asynchronous_twin_talks_in_silence(at: SimpleNamespace) -> None:
    async def talk() -> None:
        async with websockets.asyncio.client.connect(f"ws://{at.websocket}") as connection:
            await connection.send("7")
            await connection.recv()

    assert silent(talk)


# --- in C, or with a loop of their own --------------------------------------------------------------


def test_a_consumer_of_kafka_that_polls() -> None:
    settings: dict[str, Any] = {
        "bootstrap.servers": "127.0.0.1:1",
        "group.id": "shop",
        "log_level": 0,
    }

    def poll() -> None:
        with closing(confluent_kafka.Consumer(settings)) as consumer:
            consumer.subscribe(["orders"])
            consumer.poll(0.002)

    assert ("US105", "confluent_kafka.Consumer.poll") in sites(poll)


def producer() -> Any:
    """Of a broker that is not there."""
    return confluent_kafka.Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})


def test_a_producer_that_waits_for_its_broker() -> None:
    async def flush() -> None:
        made = await asyncio.to_thread(producer)
        made.produce("orders", b"1")
        made.flush(0.02)

    assert sites(flush) == [("US105", "confluent_kafka.Producer.flush")]


def test_one_that_has_only_heard_of_errors() -> None:
    """They count as messages, and nobody waits for them."""

    async def flush() -> None:
        made = await asyncio.to_thread(producer)
        for _ in range(500):
            if len(made):
                break
            await asyncio.sleep(0.01)
        assert len(made) > 0
        made.flush(1)

    # Its own threads hold a lock of it for moments, and on a busy machine that is a wait, too.
    assert any(sites(flush) == [] for _ in range(3))


def test_one_that_only_looks() -> None:
    settings: dict[str, Any] = {
        "bootstrap.servers": "127.0.0.1:1",
        "group.id": "shop",
        "log_level": 0,
    }
    consumer = confluent_kafka.Consumer(settings)
    made = producer()

    async def look() -> None:
        consumer.poll(0)
        made.flush(1)  # there is nothing to send

    with closing(consumer):
        assert silent(look)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is Linux's")
def test_a_library_that_waits_with_epoll() -> None:
    library: dict[str, Any] = {"__name__": "rabbit"}
    source = "def wait(epoll, seconds):\n    return epoll.poll(seconds)\n"
    exec(compile(source, "/site-packages/rabbit.py", "exec"), library)
    ours, theirs = socket.socketpair()
    with ours, theirs, closing(select.epoll()) as epoll:
        epoll.register(ours, select.EPOLLIN)
        assert sites(lambda: library["wait"](epoll, 0.0001)) == [("US108", "rabbit.wait")]
        assert silent(lambda: asyncio.sleep(0, library["wait"](epoll, 0)))
