"""A field that a base's constructor fills is what the class of the object passes up to it."""

from __future__ import annotations

import pytest

from tests.audit.reading import confidences
from unstall.model.finding import Confidence

CERTAIN, LIKELY, POSSIBLE = Confidence
BASES = {
    "a protocol": "class Publisher(Protocol):\n    def publish(self): ...\n",
    "an abstract class": "class Publisher(ABC):\n    @abstractmethod\n    def publish(self): ...\n",
    "no annotation": "",
}
CLASSES = """
import requests
from abc import ABC, abstractmethod
from typing import Protocol
{base}
class Printer{above}:
    def publish(self): print()

class Hook{above}:
    def publish(self): requests.post("http://x")

class Listener:
    def __init__(self, name, publisher{stated}):
        self.publisher = publisher

    def say(self): self.publisher.publish()
"""
PASSED = {
    "by place": "class {name}(Listener):\n    def __init__(self):\n"
    "        super().__init__('a', {passed}())\n",
    "by name": "class {name}(Listener):\n    def __init__(self):\n"
    "        super().__init__('a', publisher={passed}())\n",
    "by the base's name": "class {name}(Listener):\n    def __init__(self):\n"
    "        Listener.__init__(self, 'a', {passed}())\n",
    "made before": "class {name}(Listener):\n    def __init__(self):\n"
    "        one = {passed}()\n        super().__init__('a', one)\n",
    "of a module": "one_{passed} = {passed}()\nclass {name}(Listener):\n    def __init__(self):\n"
    "        super().__init__('a', one_{passed})\n",
    "through a class between": "class Middle{name}(Listener):\n    def __init__(self, given):\n"
    "        super().__init__('a', given)\nclass {name}(Middle{name}):\n    def __init__(self):\n"
    "        super().__init__({passed}())\n",
    "put there by itself": "class {name}(Listener):\n    def __init__(self):\n"
    "        self.publisher = {passed}()\n",
    "to a constructor that it inherits": "class Above{name}(Listener):\n    def __init__(self):\n"
    "        super().__init__('a', {passed}())\nclass {name}(Above{name}): ...\n",
}  # fmt: skip
TOLD = "    def tell(self): self.publisher.publish()\n"
ROUTES = """
@app.get("/quiet")
async def quiet():
    Quiet().{call}
"""


def source(base: str, quiet: str, loud: str, call: str = "publisher.publish()") -> str:
    above = "(Publisher)" if base == "an abstract class" else ""
    stated = ": Publisher" if BASES[base] else ""
    text = CLASSES.replace("{base}", BASES[base]).replace("{above}", above)
    return text.replace("{stated}", stated) + quiet + loud + ROUTES.replace("{call}", call)


def passing(way: str, name: str, passed: str) -> str:
    return PASSED[way].replace("{name}", name).replace("{passed}", passed)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("way", PASSED)
def test_what_a_class_passes_is_called_and_not_what_others_pass(base: str, way: str) -> None:
    for passed, expected in (("Printer", {}), ("Hook", {"Hook.publish requests.post": CERTAIN})):
        other = "Hook" if passed == "Printer" else "Printer"
        quiet, loud = passing(way, "Quiet", passed), passing(way, "Loud", other)
        assert confidences(source(base, quiet, loud)) == expected
        assert confidences(source(base, quiet, loud, "say()")) == expected
        inside = quiet + TOLD
        if way != "to a constructor that it inherits":
            assert confidences(source(base, inside, loud, "tell()")) == expected


LOUD = passing("by place", "Loud", "Hook")
UNSURE = {
    "one of two": "class Quiet(Listener):\n    def __init__(self, a=0):\n        if a:\n"
    "            super().__init__('a', Printer())\n        else:\n"
    "            super().__init__('b', Hook())\n",
    "whatever it is passed": "class Quiet(Listener):\n    def __init__(self, *args):\n"
    "        super().__init__('a', *args)\n",
    "one that may be unknown": "class Quiet(Listener):\n    def __init__(self):\n"
    "        super().__init__('a', app.publisher or Printer())\n",
    "what a function gives that may give another": "def make(kind=''):\n    if kind:\n"
    "        return app.make(kind)\n    return Printer()\n"
    "class Quiet(Listener):\n    def __init__(self):\n        super().__init__('a', make())\n",
    "a class below passes another": passing("by place", "Quiet", "Printer")
    + "class Below(Quiet):\n    def __init__(self):\n"
    "        Listener.__init__(self, 'a', Hook())\n"
    "@app.get('/any')\nasync def any(one: Quiet):\n    one.publisher.publish()\n",
    "others set it": passing("by place", "Quiet", "Printer")
    + "def swap(one: Quiet):\n    one.publisher = Hook()\n",
}  # fmt: skip


@pytest.mark.parametrize("quiet", UNSURE)
@pytest.mark.parametrize("base", ["a protocol", "an abstract class"])
@pytest.mark.parametrize("call", ["publisher.publish()", "say()"])
def test_where_it_may_be_another_it_is_likely(call: str, base: str, quiet: str) -> None:
    told = confidences(source(base, UNSURE[quiet], LOUD, call))
    assert told == {"Hook.publish requests.post": LIKELY}


def test_a_base_that_fills_the_field_again_may_hold_another() -> None:
    again = "    def swap(self, other: Publisher):\n        self.publisher = other\n"
    quiet = again + passing("by place", "Quiet", "Printer")
    told = confidences(source("a protocol", quiet, LOUD))
    assert told == {"Hook.publish requests.post": LIKELY}
