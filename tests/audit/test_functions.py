"""A decorator says what a function is; one that only keeps results makes no property of it."""

from __future__ import annotations

import pytest

from tests.audit.reading import confidences
from unstall.model.finding import Confidence

SOURCE = """
import time
from aiocache import cached
import cachetools
from cachetools.func import ttl_cache
from functools import cached_property
from sqlalchemy.ext.hybrid import hybrid_property

class Repo:
    {decorator}
    {kind} load(self):
        {body}

@app.get("/")
async def route():
    {call}
"""
ALONE = SOURCE.replace("class Repo", "if True").replace("(self)", "()")
SLEEPS = {"Repo.load time.sleep": Confidence.CERTAIN}


def told(decorator: str, call: str, body: str = "time.sleep(1)") -> dict[str, Confidence]:
    text = SOURCE if "Repo()" in call else ALONE
    kind = "async def" if "await" in call else "def"
    for name, given in (("decorator", decorator), ("kind", kind), ("body", body), ("call", call)):
        text = text.replace(f"{{{name}}}", given)
    return confidences(text)


@pytest.mark.parametrize(
    "decorator",
    ["@cachetools.cached(cachetools.TTLCache(9, 9))", "@cachetools.cached(cache={})", "@ttl_cache"],
)
def test_what_is_kept_for_a_while_is_called_like_any_function(decorator: str) -> None:
    assert told(decorator, "Repo().load()") == SLEEPS
    assert told(decorator, "load()") == {"load time.sleep": Confidence.CERTAIN}
    assert told(decorator, "load()", "return 1") == {}
    assert told(decorator, "Repo().load") == {}


@pytest.mark.parametrize("decorator", ["@cached(ttl=60)", "@cached()"])
def test_so_is_what_is_kept_by_a_decorator_of_async_functions(decorator: str) -> None:
    assert told(decorator, "await Repo().load()") == {"Repo.load time.sleep": Confidence.LIKELY}
    assert told(decorator, "await load()") == {"load time.sleep": Confidence.LIKELY}
    assert told(decorator, "await load()", "return 1") == {}


@pytest.mark.parametrize("decorator", ["@property", "@cached_property", "@hybrid_property"])
def test_a_property_is_read(decorator: str) -> None:
    assert told(decorator, "Repo().load") == SLEEPS
    assert told(decorator, "Repo().load", "return 1") == {}


def test_outside_of_a_class_there_are_none() -> None:
    assert told("@hybrid_property", "load()") == {"load time.sleep": Confidence.CERTAIN}
