"""What a call passes decides who reaches a branch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import write
from unstall.audit.audit import audit
from unstall.model.finding import Confidence, Finding

SERVICE = """
import time
from fastapi import FastAPI

app = FastAPI()


class Server:
    def answer(self, name: str, save: bool = False) -> str:
        if save:
            self.keep(name)
        return name

    def keep(self, name: str) -> None:
        time.sleep(1)


server = Server()


@app.get("/look")
async def look() -> str:
    return {look}


@app.post("/allow")
async def allow() -> str:
    return {allow}
"""


def sleep_of(root: Path, look: str, allow: str, more: str = "") -> Finding:
    text = SERVICE.replace("{look}", look).replace("{allow}", allow) + more
    (found,) = [f for f in audit(write(root, main=text)).findings if f.code == "US101"]
    return found


@pytest.mark.parametrize(
    "look",
    [
        'server.answer("a")',
        'server.answer("a", False)',
        'server.answer("a", save=None)',
        'server.answer(name="a", save=False)',
    ],
)
def test_only_who_passes_something_true_is_an_entry(tmp_path: Path, look: str) -> None:
    found = sleep_of(tmp_path, look, 'server.answer("a", save=True)')
    assert [entry.name for entry in found.entries] == ["POST /allow"]
    assert [hop.function for hop in found.reach] == ["allow", "Server.answer"]
    assert found.confidence is Confidence.CERTAIN


@pytest.mark.parametrize("look", ['server.answer("a", bool(app))', 'server.answer(*["a", True])'])
def test_what_is_not_known_may_be_true(tmp_path: Path, look: str) -> None:
    found = sleep_of(tmp_path, look, 'server.answer("a", True)')
    assert {entry.name for entry in found.entries} == {"GET /look", "POST /allow"}


@pytest.mark.parametrize(
    ("look", "entries"),
    [
        ("answer()", ["POST /allow"]),
        ("answer(save=False)", ["POST /allow"]),
        ("answer(save=bool(app))", ["GET /look", "POST /allow"]),
    ],
)
def test_who_passes_something_false_is_no_entry_of_a_call_right_below_the_condition(
    tmp_path: Path, look: str, entries: list[str]
) -> None:
    direct = "\n\ndef answer(save: bool = False) -> None:\n    if save:\n        time.sleep(2)\n"
    found = sleep_of(tmp_path, look, "answer(save=True)", direct)
    assert found.site is not None
    assert (found.site.function, found.confidence) == ("answer", Confidence.CERTAIN)
    assert sorted(entry.name for entry in found.entries) == entries


def test_a_branch_for_which_nobody_passes_anything_is_possible(tmp_path: Path) -> None:
    found = sleep_of(tmp_path, 'server.answer("a", False)', 'server.answer("a", save=False)')
    assert found.confidence is Confidence.POSSIBLE
