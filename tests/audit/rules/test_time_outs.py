"""Calls without a time-out count as far as something comes to them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from unstall.audit.audit import audit
from unstall.model.finding import Confidence

MAIN = """
    import asyncpg, psycopg2, redis, requests, httpx
    from contextlib import asynccontextmanager
    from fastapi import FastAPI

    def load(name, remote=False):
        if remote:
            return {call}
        return name

    @asynccontextmanager
    async def lifespan(app):
        {started}
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/a")
    def a(wanted: bool = False):
        return load("x"{given})
"""
CALLS = {
    "requests.get(name)": "US501",
    "httpx.get(name, timeout=None)": "US501",
    "psycopg2.connect(name)": "US502",
    "redis.Redis(name, socket_timeout=None)": "US503",
}
MORE = """
    @app.get("/b")
    def b():
        return load("x"{given})
"""


def told(root: Path, source: str, code: str) -> list[tuple[Confidence, list[str], str]]:
    """How sure each finding is, the requests that come there, and where it runs."""
    (root / "main.py").write_text(dedent(source))
    found = audit(root, only=frozenset({code})).findings
    return [
        (each.confidence, [entry.name for entry in each.entries], each.runs_on) for each in found
    ]


def main(call: str, given: str, started: str = "pass") -> str:
    text = MAIN.replace("{call}", call).replace("{given}", given)
    return text.replace("{started}", started)


def sure(code: str) -> Confidence:
    return Confidence.LIKELY if code == "US502" else Confidence.CERTAIN


@pytest.mark.parametrize(("call", "code"), CALLS.items())
@pytest.mark.parametrize("given", ["", ", False", ", remote=False"])
def test_a_branch_that_is_ruled_out_is_only_possible(
    tmp_path: Path, call: str, code: str, given: str
) -> None:
    ((confidence, _, _),) = told(tmp_path, main(call, given), code)
    assert confidence is Confidence.POSSIBLE


@pytest.mark.parametrize(("call", "code"), CALLS.items())
@pytest.mark.parametrize("given", [", True", ", remote=True", ", wanted"])
def test_a_branch_that_is_taken_counts(tmp_path: Path, call: str, code: str, given: str) -> None:
    ((confidence, entries, _),) = told(tmp_path, main(call, given), code)
    assert (confidence, entries) == (sure(code), ["GET /a"])


@pytest.mark.parametrize(("call", "code"), CALLS.items())
def test_of_two_routes_the_one_is_named_that_comes_there(
    tmp_path: Path, call: str, code: str
) -> None:
    source = main(call, "") + MORE.replace("{given}", ", remote=True")
    ((confidence, entries, _),) = told(tmp_path, source, code)
    assert (confidence, entries) == (sure(code), ["GET /b"])


@pytest.mark.parametrize(
    "call", ["psycopg2.connect(name)", "redis.Redis(name, socket_timeout=None)"]
)
def test_what_start_up_surely_makes_counts_although_no_request_comes_there(
    tmp_path: Path, call: str
) -> None:
    code = CALLS[call]
    found = told(tmp_path, main(call, "", "load('x', remote=True)"), code)
    assert found == [(sure(code), [], "start-up")]
    ((confidence, _, _),) = told(tmp_path, main(call, "", "load('x')"), code)
    assert confidence is Confidence.POSSIBLE
