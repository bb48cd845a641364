"""What is kept by key is filled once for each key, if it is there for later requests too."""

from __future__ import annotations

import ast
from textwrap import indent

import pytest

from tests.audit.reading import found, names_in
from unstall.audit.once import Once
from unstall.audit.types import Types
from unstall.model.finding import Confidence

KEYED = {
    "it is not in": "if key not in kept:\n    kept[key] = make()",
    "not, it is in": "if not key in kept:\n    kept[key] = make()",
    "else it is in": "if key in kept:\n    pass\nelse:\n    kept[key] = make()",
    "what is in was returned": "if key in kept:\n    return kept[key]\nkept[key] = make()",
    "nothing is got": "a = kept.get(key)\nif a is None:\n    a = kept[key] = make()",
    "nothing is got at once": "if (a := kept.get(key)) is None:\n    kept[key] = make()",
    "what is got was returned": "a = kept.get(key)\nif a:\n    return a\nkept[key] = make()",
    "and something else holds": "if key not in kept and wanted:\n    kept[key] = make()",
    "in a lock": "with lock:\n    if key not in kept:\n        kept[key] = make()",
    "for each of many": "for key in many:\n    if key not in kept:\n        kept[key] = make()",
    "a key is dropped": "if key not in kept:\n    kept[key] = make()\ndel kept[old]",
}
NOT_KEYED = {
    "it is in": "if key in kept:\n    kept[key] = make()",
    "another key is filled": "if key not in kept:\n    kept[other] = make()",
    "another collection is filled": "if key not in kept:\n    other[key] = make()",
    "nothing is filled": "if key not in kept:\n    make()",
    "or something else holds": "if key not in kept or old:\n    kept[key] = make()",
    "what is in and new was returned": "if key in kept and new:\n    return 1\nkept[key] = make()",
    "what is in was logged": "if key in kept:\n    log()\nkept[key] = make()",
    "something was got": "a = kept.get(key)\nif a is not None:\n    kept[key] = make()",
    "all is emptied": "kept.clear()\nif key not in kept:\n    kept[key] = make()",
}


@pytest.mark.parametrize("body", KEYED.values(), ids=KEYED)
def test_made_for_the_first_time_for_each_key(body: str) -> None:
    assert _is_for_new_keys(body)


@pytest.mark.parametrize("body", NOT_KEYED.values(), ids=NOT_KEYED)
def test_made_again_for_a_key(body: str) -> None:
    assert not _is_for_new_keys(body)


def _is_for_new_keys(body: str) -> bool:
    source = f"kept, other = {{}}, {{}}\ndef f(key, many):\n{indent(body, '    ')}"
    project = names_in({"app.py": source}).project
    scope = project.scope("app:f")
    assert scope is not None
    calls = [each for each in project.scan(scope).events if isinstance(each.node, ast.Call)]
    make = next(each for each in calls if ast.unparse(each.node).startswith("make("))
    return Once(Types(project)).fills_key(scope, make)


# Where it is kept

OF_MODULE = """
import requests
kept = {{}}
def load(key: str):
    {before}
    if key not in kept:
        kept[key] = requests.get(key)
    return kept[key]
@app.get("/")
async def route(key: str):
    return load(key)
"""
OF_OBJECT = """
from functools import cache
import requests
class Texts:
    {shared}
    def __init__(self):
        self.other = {{}}
        {own}
    def load(self, key: str):
        if key not in self.kept:
            self.kept[key] = requests.get(key)
        return self.kept[key]
class Service:
    def __init__(self):
        self.texts = Texts()
class App(Service): ...
{top}
@app.get("/")
async def route(key: str{parameter}):
    return {texts}.load(key)
"""
OWN, SHARED = {"shared": "", "own": "self.kept = {}"}, {"shared": "kept = {}", "own": ""}
LASTING = {
    "in a global": ("texts = Texts()", "texts"),
    "under a cache": ("@cache\ndef texts():\n    return Texts()", "texts()"),
    "in what a global holds": ("app_ = App()", "app_.texts"),
    "filled once": (
        "one = None\ndef texts():\n    global one\n    if one is None:\n        one = Texts()\n"
        "    return one",
        "texts()",
    ),
    "asked for its class": (
        "texts = Texts()\ndef is_it(it): return isinstance(it, Texts)",
        "texts",
    ),
}


def test_a_global_that_is_filled_by_key_is_likely_to_be_filled() -> None:
    assert _confidence(OF_MODULE.format(before="pass")) is Confidence.LIKELY


def test_a_local_one_is_empty() -> None:
    assert _confidence(OF_MODULE.format(before="kept = {}")) is Confidence.CERTAIN


def test_at_start_up_each_key_is_new() -> None:
    start = "\n@app.on_event('startup')\nasync def start():\n    load('a')\n"
    told = found(OF_MODULE.format(before="pass") + start)

    assert {each.runs_on: each.confidence for each in told} == {
        "loop": Confidence.LIKELY,
        "start-up": Confidence.CERTAIN,
    }


@pytest.mark.parametrize(("top", "texts"), LASTING.values(), ids=LASTING)
def test_so_is_that_of_an_object_which_the_process_keeps(top: str, texts: str) -> None:
    source = OF_OBJECT.format(top=top, texts=texts, parameter="", **OWN)

    assert _confidence(source) is Confidence.LIKELY


@pytest.mark.parametrize(
    ("texts", "parameter"),
    [
        ("Texts()", ""),
        ("Service().texts", ""),
        ("texts", ", texts: Texts = Depends(Texts)"),
        ("texts", ", texts: Texts = Depends(lambda: Texts())"),
    ],
)
def test_that_of_an_object_of_the_request_is_empty(texts: str, parameter: str) -> None:
    source = OF_OBJECT.format(top="", texts=texts, parameter=parameter, **OWN)

    assert _confidence(source) is Confidence.CERTAIN


def test_what_a_static_method_is_passed_may_be_empty() -> None:
    source = OF_MODULE.format(before="pass").replace("def load(key: str)", "def load(kept, key)")
    method = source.replace("def load", "class Texts:\n  @staticmethod\n  def load")

    assert _confidence(method.replace("load(key)", "Texts.load({}, key)")) is Confidence.CERTAIN


def test_what_the_class_has_all_its_objects_share() -> None:
    source = OF_OBJECT.format(top="", texts="Texts()", parameter="", **SHARED)

    assert _confidence(source) is Confidence.LIKELY


def _confidence(source: str) -> Confidence:
    (finding,) = found(source)
    return finding.confidence
