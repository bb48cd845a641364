"""One database for all tests here: customers are their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tally.settings import Settings
from tests.reference.tally.conftest import fresh
from tests.support.postgres import Postgres


@pytest.fixture(scope="session")
def settings(
    postgres: Postgres, migrated: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    yield from fresh(postgres, migrated, tmp_path_factory.mktemp("spool"))
