"""What a rule shows of the way is all of it, from the request that it names."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from unstall.audit.audit import audit
from unstall.model.finding import Finding

MAIN = """
    import asyncio, httpx
    from fastapi import BackgroundTasks, Depends, FastAPI
    app = FastAPI()
    tasks = set()

    async def webhook():
        async with httpx.AsyncClient() as client:
            await client.post("http://x", timeout=4)

    async def notify():
        await webhook()

    def begin():
        tasks.add(asyncio.create_task(notify()))

    async def pay():
        await asyncio.sleep(0)
        begin()

    async def paid():
        await pay()

    @app.{way}
"""
WAYS = {
    "a task that it begins": (
        "post('/a')\n    async def route():\n        await pay()\n",
        ["route", "pay", "begin", "notify"],
    ),
    "a dependency that begins one": (
        "post('/a', dependencies=[Depends(paid)])\n    async def route(): ...\n",
        ["paid", "pay", "begin", "notify"],
    ),
    "a call": (
        "post('/a')\n    async def route():\n        await notify()\n",
        ["route", "notify"],
    ),
    "itself": (
        "post('/a')\n    async def route():\n        httpx.AsyncClient()\n        await pay()\n",
        [],
    ),
}


def told(root: Path, text: str) -> Finding:
    (root / "main.py").write_text(dedent(text))
    found = audit(root, only=frozenset({"US401"})).findings
    return min(found, key=lambda each: len(each.reach))


@pytest.mark.parametrize("way", WAYS)
def test_no_call_on_the_way_is_left_out(tmp_path: Path, way: str) -> None:
    text, functions = WAYS[way]
    found = told(tmp_path, MAIN.replace("{way}", text))
    assert found.entry is not None
    assert (found.entry.name, [hop.function for hop in found.reach]) == ("POST /a", functions)


def test_of_several_requests_the_way_is_that_of_the_first(tmp_path: Path) -> None:
    text = MAIN.replace("{way}", WAYS["a task that it begins"][0])
    other = "    @app.get('/b')\n    async def other():\n        await webhook()\n"
    found = told(tmp_path, text + other)
    named = {entry.name for entry in found.entries}
    assert found.entry is not None
    assert named == {"POST /a", "GET /b"}
    ways = {"POST /a": ["route", "pay", "begin", "notify"], "GET /b": ["other"]}
    assert [hop.function for hop in found.reach] == ways[found.entry.name]
