"""What a route that awaits nothing would gain from a plain def."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tests.audit.reading import HEAD, parsed
from unstall.audit import rules
from unstall.audit.program import work_out
from unstall.catalog.table import default
from unstall.model.finding import Confidence, Severity

SOURCE = """
import time
from functools import cache, lru_cache
{before}
@app.get("/")
async def route(known: dict):
    {body}
"""
KEPT = (
    "known = None\ndef settings():\n    global known\n    if known is None:\n        known = {}\n"
)
CACHED = "@lru_cache\ndef settings():\n    return {}\n"


def told(body: str, before: str, does: str) -> tuple[Confidence, Severity]:
    text = SOURCE.replace("{before}", before.replace("{}", does)).replace("{body}", body)
    worked = work_out(Path(), parsed({"app.py": HEAD + dedent(text)}), [], default())
    (found,) = (each for each in rules.beyond(worked, default(), None) if each.code == "US306")
    return found.confidence, found.severity


READS, SLEEPS = "open('x').read()", "time.sleep(1)"
GAINS, NOTHING = (Confidence.CERTAIN, Severity.WARNING), (Confidence.POSSIBLE, Severity.NOTE)


@pytest.mark.parametrize("before", [KEPT, CACHED, CACHED.replace("lru_cache", "cache")])
def test_a_file_that_is_read_once_in_a_process_holds_up_nobody(before: str) -> None:
    assert told("return settings()", before, READS) == NOTHING
    assert told("return settings()", before, SLEEPS) == GAINS
    assert told("return settings(), open('y').read()", before, READS) == GAINS
    assert told("return settings(), time.sleep(1)", before, READS) == GAINS


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (KEPT.replace("if known is None:", "if True:"), READS),
        (CACHED.replace("()", "(name='a')"), READS),
        ("def settings(): return {}\n", READS),
    ],
)
def test_one_that_may_be_read_again_does(before: str, again: str) -> None:
    assert told("return settings()", before, again) == GAINS
