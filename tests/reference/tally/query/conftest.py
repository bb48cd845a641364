"""A real Valkey."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tally.settings import Settings
from tests.support.valkey import running_valkey


@pytest.fixture(scope="session")
def cached() -> Iterator[Settings]:
    """Of a service with a cache and no database."""
    with running_valkey() as valkey:
        yield Settings("postgresql://nobody@127.0.0.1:1/none", valkey.url)
