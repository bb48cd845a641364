"""Faults hold for the clients that services use, against real servers."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from tests.chaos import clients
from tests.chaos.clients import ANSWER, Ask, Session
from tests.chaos.test_chaos import AN_HOUR, until
from tests.chaos.upstreams import PATIENCE_S
from tests.support.postgres import Postgres
from tests.support.valkey import Valkey
from unstall.chaos import Chaos, Proxy

pytestmark = pytest.mark.live


@dataclass(frozen=True, slots=True)
class Service:
    """A client, and a proxy in front of its server."""

    session: Session
    proxy: Proxy

    def open(self) -> AbstractContextManager[Ask]:
        return self.session(*self.proxy.addresses[0])


DATABASE = {"psycopg": clients.psycopg, "psycopg2": clients.psycopg2, "asyncpg": clients.asyncpg}
CACHE = {"redis": clients.redis, "redis asyncio": clients.redis_asyncio}
SITES = ("http", "https")


@pytest.fixture(scope="session")
def places(
    postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Session, tuple[str, int]]]]:
    certificate, trust = clients.certified(tmp_path_factory.mktemp("tls"))
    with clients.site() as plain, clients.site(certificate) as secret:
        yield {
            **{name: (each, (postgres.host, postgres.port)) for name, each in DATABASE.items()},
            **{name: (each, (valkey.host, valkey.port)) for name, each in CACHE.items()},
            "http": (clients.http_client("http", True), plain),
            "https": (clients.http_client("https", trust), secret),
        }


@pytest.fixture
def chaos() -> Iterator[Chaos]:
    with Chaos(seed=7) as chaos:
        yield chaos


@pytest.fixture(params=[*DATABASE, *CACHE, *SITES])
def service(
    request: pytest.FixtureRequest,
    places: dict[str, tuple[Session, tuple[str, int]]],
    chaos: Chaos,
) -> Service:
    session, address = places[request.param]
    return Service(session, chaos.proxy("UPSTREAM", address))


class Asking(threading.Thread):
    """A question whose answer may be long in coming."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(daemon=True)
        self._ask = ask
        self.answer: object = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._ask()
        except Exception as error:
            self.error = error

    def end(self) -> None:
        self.join(PATIENCE_S)
        assert not self.is_alive()


def test_a_service_that_hangs_answers_when_it_is_let_go(service: Service) -> None:
    with service.open() as ask:
        assert ask() == ANSWER
        toxic = service.proxy.add("hang", seconds=AN_HOUR)
        asking = Asking(ask)
        until(lambda: toxic.hits > 0)
        assert asking.is_alive()
        toxic.remove()
        asking.end()
        assert asking.answer == ANSWER


def test_a_service_in_a_black_hole_never_answers(service: Service) -> None:
    with service.open() as ask:
        assert ask() == ANSWER
        toxic = service.proxy.add("blackhole")
        asking = Asking(ask)
        until(lambda: toxic.hits > 0)
        assert asking.is_alive()
        toxic.remove()
        asking.end()
        assert asking.error is not None


@pytest.mark.parametrize("kind", ["reset_peer", "truncate", "down"])
def test_a_connection_that_is_cut_is_an_error(service: Service, kind: str) -> None:
    with service.open() as ask:
        assert ask() == ANSWER
        service.proxy.add(kind)
        asking = Asking(ask)
        asking.end()
        assert asking.error is not None


@pytest.fixture
def _leaks_of_others() -> Iterator[None]:
    """CPython's ssl loses a socket that is reset before it is wrapped."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.usefixtures("_leaks_of_others")
@pytest.mark.parametrize("kind", ["refuse", "down"])
def test_nobody_can_connect_until_it_is_over(service: Service, kind: str) -> None:
    toxic = service.proxy.add(kind)
    asking = Asking(lambda: _once(service))
    asking.end()
    assert asking.error is not None
    toxic.remove()
    with service.open() as ask:
        assert ask() == ANSWER


def _once(service: Service) -> object:
    with service.open() as ask:
        return ask()


def test_what_is_slow_is_whole(service: Service) -> None:
    service.proxy.add("latency", latency=2, jitter=1, per="connection")
    service.proxy.add("slicer", average_size=100, size_variation=50, delay=1, per="connection")
    with service.open() as ask:
        assert [ask() for _ in range(5)] == [ANSWER] * 5


def test_toxics_that_never_hit_change_nothing(service: Service) -> None:
    toxic = service.proxy.add("reset_peer", probability=0.0)
    with service.open() as ask:
        assert [ask() for _ in range(20)] == [ANSWER] * 20
    assert toxic.thrown >= 20
    assert toxic.hits == service.proxy.counts().hit == 0


@pytest.mark.parametrize("name", [*DATABASE, *CACHE, *SITES])
def test_each_call_on_a_kept_connection_is_one_exchange(
    name: str, places: dict[str, tuple[Session, tuple[str, int]]], chaos: Chaos
) -> None:
    session, address = places[name]
    proxy = chaos.proxy(name, address)
    with session(*proxy.addresses[0]) as ask:
        for _ in range(10):  # PostgreSQL's drivers prepare what is asked often
            ask()
        proxy.counts(reset=True)
        for _ in range(400):
            ask()
        counts = proxy.counts()
    assert (counts.connections, counts.exchanges) == (0, 400)


def test_five_per_cent_of_calls_on_one_connection_are_hit(valkey: Valkey, chaos: Chaos) -> None:
    proxy = chaos.proxy("REDIS_URL", (valkey.host, valkey.port))
    with clients.redis(*proxy.addresses[0]) as ask:
        ask()
        proxy.counts(reset=True)
        proxy.add("hang", seconds=0.001, probability=0.05)
        for _ in range(2_000):
            assert ask() == ANSWER
    counts = proxy.counts()
    assert (counts.connections, counts.exchanges, counts.thrown) == (0, 2_000, 2_000)
    assert 81 <= counts.hit <= 120  # 95 % of binomial(2000, 0.05); the seed makes it one number


def test_http_requests_are_told_apart_on_a_kept_connection(
    places: dict[str, tuple[Session, tuple[str, int]]], chaos: Chaos
) -> None:
    session, address = places["http"]
    proxy = chaos.proxy("API", address)
    proxy.add("jitter", jitter=0, per="request", probability=0.5)
    with session(*proxy.addresses[0]) as ask:
        for _ in range(100):
            assert ask() == ANSWER
    counts = proxy.counts()
    assert (counts.connections, counts.requests, counts.thrown) == (1, 100, 100)
    assert 35 < counts.hit < 65
    assert not chaos.notes


def test_in_tls_requests_cannot_be_seen_and_it_is_said(
    places: dict[str, tuple[Session, tuple[str, int]]], chaos: Chaos
) -> None:
    session, address = places["https"]
    proxy = chaos.proxy("API", address)
    toxic = proxy.add("jitter", jitter=0, per="request")
    with session(*proxy.addresses[0]) as ask:
        assert ask() == ANSWER
    assert len(chaos.notes) == 1
    assert toxic.hits == proxy.counts().exchanges > 1
