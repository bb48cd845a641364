"""Of a call on a branch that nobody takes, a rule says only that it is possible."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from unstall.audit.audit import audit
from unstall.model.finding import Confidence

MAIN = """
    import asyncio, httpx, sqlalchemy
    from fastapi import FastAPI
    app = FastAPI()

    async def notify():
        await asyncio.sleep(1)

    async def fetch(name, remote=False):
        if remote:
            {call}
        return name

    @app.get("/a")
    async def a(name: str):
        return await fetch(name{given})
"""
CALLS = {
    "asyncio.create_task(notify())": "US601",
    "httpx.AsyncClient()": "US401",
    "sqlalchemy.create_engine(name)": "US402",
}


def confidence_of(root: Path, call: str, given: str) -> Confidence:
    text = dedent(MAIN).replace("{call}", call).replace("{given}", given)
    (root / "main.py").write_text(text)
    (found,) = audit(root, only=frozenset({CALLS[call]})).findings
    return found.confidence


@pytest.mark.parametrize("call", CALLS)
def test_a_branch_that_is_ruled_out_is_only_possible(tmp_path: Path, call: str) -> None:
    assert confidence_of(tmp_path, call, "") is Confidence.POSSIBLE


@pytest.mark.parametrize("call", CALLS)
def test_a_branch_that_is_taken_counts(tmp_path: Path, call: str) -> None:
    assert confidence_of(tmp_path, call, ", True") is Confidence.CERTAIN
