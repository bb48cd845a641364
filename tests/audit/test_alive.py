"""What was passed for "a path or a stream" decides which of both is opened and written."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence

BEGIN = """
import io
from pathlib import Path
from typing import Any

"""
HELPERS = {
    "an attribute asked for": """
        def save(target, data):
            if hasattr(target, "write"):
                file = target
            else:
                file = open(target, "wb")
            file.write(data)
    """,
    "an attribute asked for, by name": """
        def save(target, data):
            is_open = hasattr(target, "write")
            file = target if is_open else open(target, "wb")
            file.write(data)
    """,
    "none": """
        def save(target, data):
            is_path = not hasattr(target, "write")
            if is_path:
                file = open(target, "wb")
            else:
                file = target
            file.write(data)
    """,
    "a class asked for": """
        def save(target, data):
            if isinstance(target, (str, Path)):
                target = open(target, "wb")
            target.write(data)
    """,
    "a class that paths have": """
        import os
        def save(target, data):
            file = open(target, "wb") if isinstance(target, (str, os.PathLike)) else target
            file.write(data)
    """,
    "a class that files have": """
        def save(target, data):
            file = target if isinstance(target, io.IOBase) else open(target, "wb")
            file.write(data)
    """,
    "through another function": """
        def save(target, data):
            store(data, into=target)

        def store(data, into):
            file = into if hasattr(into, "write") else open(into, "wb")
            file.write(data)
    """,
}
GIVEN = {
    "io.BytesIO()": False,
    "'a.bin'": True,
    "Path('a.bin')": True,
    "unknown()": True,
}


def accused(source: str) -> set[str]:
    told = found(BEGIN + dedent(source))
    return {
        each.site.call
        for each in told
        if each.code == "US106" and each.site and each.confidence is not Confidence.POSSIBLE
    }


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("helper", HELPERS)
def test_a_helper_is_told_for_whom_it_opens_a_file_and_for_nobody_else(
    helper: str, given: str
) -> None:
    route = f"\n@app.get('/')\nasync def route():\n    target = {given}\n    save(target, b'')\n"
    calls = {"builtins.open", "io.BufferedWriter.write"} if GIVEN[given] else set()
    assert accused(dedent(HELPERS[helper]) + route) == calls


BOTH = """
@app.get("/memory")
async def memory():
    buffer = io.BytesIO()
    save(buffer, b"")

@app.get("/path")
async def path():
    save("a.bin", b"")
"""


@pytest.mark.parametrize("helper", HELPERS)
def test_of_two_callers_the_one_that_passes_a_path_is_told(helper: str) -> None:
    told = found(BEGIN + dedent(HELPERS[helper]) + BOTH)
    sure = [e for e in told if e.code == "US106" and e.confidence is not Confidence.POSSIBLE]
    assert {e.entry.name for e in sure if e.entry} == {"GET /path"}
    assert {e.site.call for e in sure if e.site} == {"builtins.open", "io.BufferedWriter.write"}


def test_a_buffer_that_is_entered_is_a_buffer() -> None:
    route = """
@app.get("/")
async def route():
    with io.BytesIO() as buffer:
        save(buffer, b"")
    with unknown() as other:
        read(other)

def read(target):
    if not hasattr(target, "write"):
        open(target).read()
"""
    told = found(BEGIN + dedent(HELPERS["a class asked for"]) + route)
    sure = [e for e in told if e.code == "US106" and e.confidence is not Confidence.POSSIBLE]
    assert {each.site.function for each in sure if each.site} == {"read"}


STAYS = {
    "another name for it": """
        def save(target):
            target = unknown(target)
            file = target if hasattr(target, "write") else open(target, "wb")
            file.write(b"")
    """,
    "an attribute that all may have": """
        def save(target):
            file = target if hasattr(target, "close") and hasattr(target, "custom") else open("a", "wb")
            file.write(b"")
    """,
    "an answer that changes": """
        def save(target):
            is_open = hasattr(target, "write")
            if unknown():
                is_open = False
            file = target if is_open else open("a", "wb")
            file.write(b"")
    """,
    "asked of what was put in its place": """
        def save(target):
            for _ in range(2):
                is_open = hasattr(target, "write")
                file = target if is_open else open("a", "wb")
                file.write(b"")
                target = "a"
    """,
    "put in its place by a function inside": """
        def save(target):
            file = target if hasattr(target, "write") else open("a", "wb")
            def roll():
                nonlocal file
                file = open("b", "wb")
            roll()
            file.write(b"")
    """,
    "a function of ours that is called so": """
        def hasattr(a, b): return unknown()
        def save(target):
            file = target if hasattr(target, "write") else open("a", "wb")
            file.write(b"")
    """,
    "opened in any case": """
        def save(target):
            file = target
            if unknown():
                file = open("a", "wb")
            file.write(b"")
    """,
}


@pytest.mark.parametrize("case", STAYS)
def test_what_may_be_opened_all_the_same_stays(case: str) -> None:
    route = "\n@app.get('/')\nasync def route():\n    save(io.BytesIO())\n"
    assert accused(dedent(STAYS[case]) + route) == {"builtins.open", "io.BufferedWriter.write"}


ATTRIBUTES = {
    "of a class of ours": ("class Sink:\n    def write(self, data): ...\n", "Sink()", False),
    "only annotated": ("class Sink:\n    write: Any\n", "Sink()", True),
    "given to an object later": ("class Sink: ...\n", "Sink()", True),
    "of a text": ("", "'a'", True),
    "of an open text": ("", "io.StringIO()", False),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_an_attribute_is_there_where_all_objects_have_it(case: str) -> None:
    before, given, is_told = ATTRIBUTES[case]
    source = f"""
def save(target):
    if not hasattr(target, "write"):
        open("a", "wb")

@app.get("/")
async def route():
    save({given})
"""
    assert accused(before + source) == ({"builtins.open"} if is_told else set())


OTHERS = {
    "nobody knows what": "pool.take()",
    "what a dictionary has": "CACHE.get('a')",
    "an attribute by name": "getattr(state, 'connection')",
}


@pytest.mark.parametrize("annotation", ["", ": sqlite3.Connection"])
@pytest.mark.parametrize("other", OTHERS)
def test_the_only_thing_that_is_known_of_an_object_is_not_ruled_out(
    other: str, annotation: str
) -> None:
    source = f"""
import sqlite3

CACHE = {{}}

def load(own):
    connection{annotation} = sqlite3.connect("a") if own else {OTHERS[other]}
    return connection.execute("select 1")

@app.get("/")
async def route():
    load(False)
"""
    told = [each for each in found(BEGIN + source) if each.code == "US103"]
    sure = [each for each in told if each.confidence is not Confidence.POSSIBLE]
    assert "sqlite3.Connection.execute" in {each.site.call for each in sure if each.site}


LATER = {
    "a field that is given later": "token: str = field(init=False)",
    "a property": "@property\n    def token(self): return self._token",
    "a method under a condition": "if unknown():\n        def token(self): ...",
    "a value that is deleted": "token = 1\n    del token",
}


@pytest.mark.parametrize("case", LATER)
def test_an_attribute_that_may_come_later_is_asked_for_with_reason(case: str) -> None:
    source = f"""
import requests
from dataclasses import dataclass, field

@dataclass
class Session:
    {LATER[case]}

def login(session):
    if not hasattr(session, "token"):
        requests.post("https://example.com")

@app.get("/")
async def route():
    login(Session())
"""
    told = [each for each in found(BEGIN + source) if each.code == "US102"]
    assert [each.confidence for each in told if each.confidence is not Confidence.POSSIBLE]


PATHS = {
    "of no kin": ("class Place:\n    def __str__(self): return 'a'\n", False),
    "that says where": ("class Place:\n    def __fspath__(self): return 'a'\n", True),
}


@pytest.mark.parametrize("case", PATHS)
def test_a_class_that_says_where_it_lies_is_a_path(case: str) -> None:
    before, is_told = PATHS[case]
    source = """
import os

def load(place):
    if isinstance(place, os.PathLike):
        open(place).read()

@app.get("/")
async def route():
    load(Place())
"""
    assert bool(accused(before + source)) is is_told
