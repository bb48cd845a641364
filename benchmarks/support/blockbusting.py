"""A plugin of pytest: blockbuster around each test, as its README says ("Usage", "With pytest")."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[None]:
    from blockbuster import blockbuster_ctx

    with blockbuster_ctx():
        yield
