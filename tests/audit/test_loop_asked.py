"""Code that asks whether a loop runs here starts another one only where none does."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import sites

BEGIN = """
import asyncio

async def work():
    return 1

def here():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

def shout():
    print("no loop is asked for")
"""
ROUTE = """
@app.get("/")
async def route():
    return start()
"""
ASKS = {
    "it tries": """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(work())
        """,
    "and keeps what it got": """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        if loop is None:
            return asyncio.run(work())
        """,
    "the loop": """
        loop = asyncio.get_event_loop()
        if loop.is_running():
            return None
        return loop.run_until_complete(work())
        """,
    "a function that does": """
        if not here():
            return asyncio.run(work())
        """,
}
DOES_NOT = {
    "runs it": "return asyncio.run(work())",
    "runs it on the loop": "return asyncio.get_event_loop().run_until_complete(work())",
    "asks something else": """
        if not shout():
            return asyncio.run(work())
        """,
}


def started(body: str) -> bool:
    start = "def start():\n" + "\n".join(
        f"    {line}" for line in dedent(body).strip().splitlines()
    )
    return sites(f"{BEGIN}\n{start}\n{ROUTE}") != []


@pytest.mark.parametrize("body", ASKS.values(), ids=ASKS)
def test_who_asks_for_a_loop_starts_none_on_one(body: str) -> None:
    assert not started(body)


@pytest.mark.parametrize("body", DOES_NOT.values(), ids=DOES_NOT)
def test_who_does_not_ask_is_told(body: str) -> None:
    assert started(body)
