"""What a call passes decides who reaches a branch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.reading import confidences
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


BASE = """
import time

class Base:
    def __init__(self, dsn, connect=True):
        if connect:
            time.sleep(1)

    @classmethod
    def made(cls, dsn, connect=True):
        return {made}

class Plain(Base): ...

class Own(Base):
    def __init__(self, dsn, connect=True):
        {above}

class Handed(Base):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)

class Beside:
    def __init__(self, **options):
        super().__init__(**options)

class Both(Beside, Base): ...

@app.get("/")
async def route():
    {call}
"""
MADE, ABOVE = "cls(dsn, connect)", "super().__init__(dsn, connect=connect)"


def connects(call: str, made: str = MADE, above: str = ABOVE) -> bool:
    text = BASE.replace("{made}", made).replace("{above}", above).replace("{call}", call)
    ((site, confidence),) = confidences(text).items()
    assert site == "Base.__init__ time.sleep"
    return confidence is not Confidence.POSSIBLE


@pytest.mark.parametrize("given", ["True", "get()", ""])
@pytest.mark.parametrize("name", ["Base", "Plain", "Own", "Handed", "Base.made", "Plain.made"])
def test_a_constructor_is_told_by_what_each_way_to_it_passes(name: str, given: str) -> None:
    assert connects(f"{name}('x', {given})")
    assert connects(f"{name}('x', connect={given or True})")
    assert not connects(f"{name}('x', False)")
    assert not connects(f"{name}('x', connect=False)")


@pytest.mark.parametrize(
    ("above", "is_found"),
    [
        ("super().__init__(dsn, connect=False)", False),
        ("super().__init__(dsn, False)", False),
        ("super(Own, self).__init__(dsn, False)", False),
        ("Base.__init__(self, dsn, connect=False)", False),
        ("Base.__init__(self, dsn, False)", False),
        ("Base.__init__(self, False)", True),
        ("super().__init__(False)", True),
        ("super().__init__(dsn)", True),
        ("Base.__init__(self, dsn, connect)", True),
        ("connect = get(); super().__init__(dsn, connect)", True),
    ],
)
def test_the_one_below_says_what_it_passes_to_the_one_above(above: str, is_found: bool) -> None:
    assert connects("Own('x')", above=above) is is_found


@pytest.mark.parametrize(
    ("made", "is_found"),
    [("cls(dsn, False)", False), ("cls(dsn)", True), ("cls(dsn, connect=not connect)", True)],
)
def test_so_does_a_class_method(made: str, is_found: bool) -> None:
    assert connects("Plain.made('x')", made=made) is is_found


@pytest.mark.parametrize(("given", "is_found"), [("connect=False, ", False), ("", True)])
def test_a_base_beside_it_hands_on_what_it_gets(given: str, is_found: bool) -> None:
    assert connects(f"Both({given}dsn='x')") is is_found
