"""A batch is worked on in turns with everybody else, however large its events are."""

from __future__ import annotations

import asyncio
import json

import pytest

from tally.ingest.rows import Row
from tally.settings import Limits
from tally.stages.async_ import read
from tests.reference.tally.events import event, text_of

LARGE = text_of(properties={"text": "x" * 60_000})


async def turns(texts: list[bytes]) -> int:
    """How often somebody else came to run while these were read."""
    found, done = 0, False

    async def other() -> None:
        nonlocal found
        while not done:
            found += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    results = await read(texts, 1, Limits())
    done = True
    await beside
    assert all(isinstance(each, Row) for each in results)
    return found


@pytest.mark.parametrize(
    ("texts", "least"), [([LARGE] * 16, 15), ([text_of()] * 500, 35), ([text_of()] * 10, 0)]
)
def test_others_have_their_turn(texts: list[bytes], least: int) -> None:
    found = asyncio.run(turns(texts))
    assert least <= found <= len(texts)


def test_each_event_is_a_row_or_a_reason_in_its_place() -> None:
    texts = [text_of(), b"{", json.dumps(event(name="other")).encode()]
    found = asyncio.run(read(texts, 1, Limits()))
    assert [each.name if isinstance(each, Row) else each.reason for each in found] == [
        "page_view",
        "malformed",
        "other",
    ]
