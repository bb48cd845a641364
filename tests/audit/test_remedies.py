"""A remedy is one sentence that says each thing once."""

from __future__ import annotations

import re

import pytest

from unstall.audit.remedies import remedy_of
from unstall.catalog.row import Effect, Row
from unstall.catalog.table import default
from unstall.rules import BY_CODE


@pytest.mark.parametrize(
    ("code", "instead", "said"),
    [
        ("US101", "await asyncio.sleep(…)", "await asyncio.sleep(…)"),
        ("US104", "redis.asyncio.Redis",
         "use redis.asyncio.Redis, or call it in anyio.to_thread.run_sync with a limiter"),
        ("US103", "aiomysql, or asyncmy", "use aiomysql, or asyncmy; or make the route a plain def"),
        ("US202", "anyio.to_thread.run_sync", "use anyio.to_thread.run_sync"),
        ("US204", "load it at start-up", "load it at start-up"),
        ("US102", "", BY_CODE["US102"].remedy),
    ],
)  # fmt: skip
def test_the_asynchronous_way_stands_first(code: str, instead: str, said: str) -> None:
    assert remedy_of(Row("a.b", Effect.BLOCKS, code, instead=instead)) == said


def test_no_remedy_of_the_catalog_says_a_thing_twice() -> None:
    rows = [row for row in default().rows.values() if row.effect is Effect.BLOCKS and row.instead]
    said = {remedy_of(row) for row in rows}

    names = [re.findall(r"[a-z_]+(?:\.\w+)+", text) for text in said]
    assert [each for each in names if len(each) != len(set(each))] == []
    assert [text for text in said if text.endswith(".") or "use use" in text] == []
