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
