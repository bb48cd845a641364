"""What a type checker answers becomes a finding that is likely, and nothing else changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.imports import write
from unstall.audit.audit import audit
from unstall.audit.settled import Settle
from unstall.audit.typeserver import Answers, Question
from unstall.model.finding import Confidence

MAIN = """
from fastapi import FastAPI
from some_library import make

app = FastAPI()
client = make()


def helper():
    client.inner.fetch("x")


@app.get("/a")
async def a():
    helper()


@app.get("/b")
async def b():
    await client.other.fetch("x")


def nobody_calls_this():
    client.inner.fetch("x")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, main=MAIN)


def answering(name: str, asked: list[Question]) -> Settle:
    def settle(questions: Sequence[Question], modules: Mapping[str, str]) -> Answers:
        assert modules == {"main.py": "main"}
        asked.extend(questions)
        lines = MAIN.lstrip("\n").splitlines()
        return {q: (name,) for q in questions if "fetch" in lines[q.line - 1]}

    return settle


def waits(root: Path, settle: Settle | None) -> list[tuple[str, int, Confidence]]:
    found = audit(root, settle=settle).findings
    return [
        (each.code, each.site.line, each.confidence)
        for each in found
        if each.site and each.code.startswith("US1")
    ]


def test_an_open_call_that_is_settled_is_a_finding_that_is_likely(root: Path) -> None:
    asked: list[Question] = []
    assert waits(root, None) == []
    assert waits(root, answering("requests.Session.get", asked)) == [
        ("US102", 9, Confidence.LIKELY)
    ]


def test_only_calls_on_request_paths_that_are_not_awaited_are_put(root: Path) -> None:
    asked: list[Question] = []
    waits(root, answering("requests.Session.get", asked))
    assert {each.line for each in asked} == {9}


@pytest.mark.parametrize(
    "name", ["some_library.Client.fetch", "main:not_there", "httpx.AsyncClient.get"]
)
def test_answers_that_the_catalog_does_not_know_as_blocking_change_nothing(
    root: Path, name: str
) -> None:
    assert waits(root, answering(name, [])) == []


def test_an_answer_in_the_project_is_followed(root: Path) -> None:
    write(root, other="import time\ndef fetch(x):\n    time.sleep(1)\n")

    def settle(questions: Sequence[Question], modules: Mapping[str, str]) -> Answers:
        return {q: ("other:fetch",) for q in questions if q.line == 9}

    assert waits(root, settle) == [("US101", 3, Confidence.LIKELY)]
