"""Servers and gates for the tests of integrations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.gates import Watching, slow_server, watching
from tests.support.valkey import Valkey, running_valkey


@pytest.fixture(scope="session")
def valkey() -> Iterator[Valkey]:
    """A real Valkey, one per test process."""
    with running_valkey() as server:
        yield server


@pytest.fixture(scope="session")
def upstream() -> Iterator[str]:
    with slow_server() as address:
        yield address


@pytest.fixture
def watch() -> Iterator[Watching]:
    with watching() as watch:
        yield watch
