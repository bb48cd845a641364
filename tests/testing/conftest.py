from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testing.app import Service


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.close()
