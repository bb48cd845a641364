"""The three stages, each served for real, in front of the same database and upstreams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import pytest
from starlette.testclient import TestClient

from tally.schema import seed
from tally.settings import STAGES, Settings
from tally.stages import create_app
from tests.reference.tally.conftest import fresh
from tests.support.postgres import Postgres
from tests.support.valkey import running_valkey
from unstall.integrations.asgi import instruments

_CUSTOMERS = count(50_001)


@pytest.fixture(scope="session")
def plain(
    postgres: Postgres, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """With a database and a cache, and without upstreams. All tests share it: customers are their own."""
    with running_valkey() as valkey:
        for settings in fresh(postgres, migrated, tmp_path_factory.mktemp("spool")):
            yield replace(settings, redis_url=valkey.url)


@pytest.fixture(scope="session")
def upstreams(plain: Settings) -> Iterator[dict[str, tuple[str, ...]]]:
    """Auth, billing and flags, two pods of each, as URLs."""
    words = [sys.executable, "-m", "tally.upstreams", "--pods", "2", "--latency", "0"]
    env = {**os.environ, "DATABASE_URL": plain.database_url}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            found = json.loads(child.stdout.readline())
            yield {name: tuple(urls) for name, urls in found.items()}
        finally:
            child.terminate()


@pytest.fixture(scope="session")
def whole(plain: Settings, upstreams: dict[str, tuple[str, ...]]) -> Settings:
    """With everything there."""
    return replace(
        plain,
        auth_urls=upstreams["auth"],
        billing_urls=upstreams["billing"],
        flags_urls=upstreams["flags"],
        cache_s=1.0,
        memory_s=0.5,
        flags_s=0.0,
    )


@contextmanager
def serving(settings: Settings) -> Iterator[TestClient]:
    try:
        with TestClient(create_app(settings), raise_server_exceptions=False) as client:
            yield client
    finally:
        on = instruments()
        if on is not None:
            on.stop()


@pytest.fixture(scope="module", params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(scope="module")
def client(whole: Settings, stage: str) -> Iterator[TestClient]:
    with serving(replace(whole, stage=stage)) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Customer:
    """Talks to a stage with a key of its own."""

    number: int
    key: str
    client: TestClient

    def post(self, path: str, body: Any, **headers: str) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"X-API-Key": self.key, "Content-Type": "application/json"} | headers
        return self.client.post(path, content=content, headers=sent)

    def get(self, path: str, **params: Any) -> Any:
        return self.client.get(path, params=params, headers={"X-API-Key": self.key})


MakeCustomer = Callable[[TestClient], Customer]


@pytest.fixture(scope="session")
def customer_at(plain: Settings) -> MakeCustomer:
    def make(client: TestClient) -> Customer:
        number = next(_CUSTOMERS)
        key = f"key-{number}"
        seed.customer(plain, number, "test", key)
        return Customer(number, key, client)

    return make


@pytest.fixture
def customer(client: TestClient, customer_at: MakeCustomer) -> Customer:
    """Nobody else's."""
    return customer_at(client)
