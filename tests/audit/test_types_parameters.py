"""What `Depends` gives counts for more than the base it is annotated with, where all of it is known."""

from __future__ import annotations

import pytest

from tests.audit.reading import confidences, found
from unstall.model.finding import Confidence

BASES = {
    "a protocol": "class Mailer(Protocol):\n    async def send(self): ...\n",
    "an abstract class": "class Mailer(ABC):\n    @abstractmethod\n    async def send(self): ...\n",
    "a base": "class Mailer:\n    async def send(self):\n        raise NotImplementedError\n",
}
CLASSES = """
import smtplib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Annotated, Protocol
{base}
class Quiet{above}:
    async def send(self):
        return 1

class Smtp{above}:
    async def send(self):
        smtplib.SMTP("mail")
"""
GIVEN = {
    "a class": "",
    "a function": "def give():\n    return {class_}()\n",
    "one that states the base": "def give() -> Mailer:\n    return {class_}()\n",
    "one that yields": "async def give() -> AsyncIterator[Mailer]:\n    yield {class_}()\n",
    "one that awaits": "async def make():\n    return {class_}()\n"
    "async def give():\n    return await make()\n",
    "one with a global": "mailer = {class_}()\ndef give() -> Mailer:\n    return mailer\n",
}
ASKED = {
    "in the default": "@app.get('/x')\nasync def route(mailer: Mailer = Depends({give})):\n"
    "    await mailer.send()\n",
    "in the annotation": "@app.get('/x')\nasync def route(mailer: Annotated[Mailer, Depends({give})]):\n"
    "    await mailer.send()\n",
    "in a name for it": "Given = Annotated[Mailer, Depends({give})]\n@app.get('/x')\n"
    "async def route(mailer: Given):\n    await mailer.send()\n",
    "by a service": "class Service:\n    def __init__(self, mailer: Mailer = Depends({give})):\n"
    "        self.mailer = mailer\n\n    async def go(self):\n        await self.mailer.send()\n"
    "@app.get('/x')\nasync def route(service: Service = Depends()):\n    await service.go()\n",
}  # fmt: skip


def source(base: str, given: str, asked: str) -> str:
    above = "" if base == "a protocol" else "(Mailer)"
    text = CLASSES.replace("{base}", BASES[base]).replace("{above}", above)
    return text + "\n" + given + "\n" + asked


def told(base: str, given: str, asked: str) -> dict[str, Confidence]:
    """How sure each route is to come to what blocks."""
    return {
        entry.name: each.confidence
        for each in found(source(base, given, asked))
        for entry in each.entries
        if entry.kind == "route"
    }


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("given", GIVEN)
def test_what_is_given_is_called_and_nothing_beside_it(base: str, asked: str, given: str) -> None:
    for class_, expected in (("Quiet", {}), ("Smtp", {"GET /x": Confidence.CERTAIN})):
        give = "give" if GIVEN[given] else class_
        text = GIVEN[given].replace("{class_}", class_)
        assert told(base, text, ASKED[asked].replace("{give}", give)) == expected


@pytest.mark.parametrize(
    "given",
    [
        "def give() -> Mailer:\n    raise NotImplementedError\n",
        "def give(request) -> Mailer:\n    return request.app.state.mailer\n",
        "def give(kind='', table=app):\n    if kind:\n        return table[kind]()\n    return Quiet()\n",
        "def give(kind='', t=app) -> Mailer:\n    if kind:\n        return t[kind]()\n    return Quiet()\n",
        "give = app.mailer\n",
    ],
)
def test_where_some_of_it_is_not_known_the_classes_below_may_be_meant(given: str) -> None:
    asked = ASKED["in the default"].replace("{give}", "give")
    assert told("an abstract class", given, asked) == {"GET /x": Confidence.LIKELY}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(
    "asked", ["Mailer = Depends()", "Mailer = Depends(Mailer)", "Annotated[Mailer, Depends()]"]
)
def test_a_base_that_is_asked_for_itself_stands_for_what_replaces_it(base: str, asked: str) -> None:
    route = f"@app.get('/x')\nasync def route(mailer: {asked}):\n    await mailer.send()\n"
    assert told(base, "", route) == {"GET /x": Confidence.LIKELY}


def test_whoever_calls_it_without_the_framework_may_pass_another() -> None:
    service = ASKED["by a service"].replace("{give}", "Quiet")
    other = "@app.get('/y')\nasync def other():\n    await Service(Smtp()).go()\n"
    assert told("a base", "", service) == {}
    assert "GET /y" in told("a base", "", service + other)


def test_one_of_two_that_a_function_gives_may_be_the_other() -> None:
    given = "def give(flag: bool) -> Mailer:\n    return Quiet() if flag else Smtp()\n"
    asked = ASKED["in the default"].replace("{give}", "give")
    assert told("an abstract class", given, asked) == {"GET /x": Confidence.LIKELY}


TWO = """
class Base(ABC):
    @abstractmethod
    async def send(self): ...
class Quiet(Base):
    async def send(self): return 1
class Smtp(Base):
    async def send(self): smtplib.SMTP("mail")
@app.get("/sure")
async def sure():
    await Smtp().send()
@app.get("/perhaps")
async def perhaps(base: Base = Depends()):
    await base.send()
"""


def test_a_certain_finding_lists_only_who_surely_comes_to_it() -> None:
    head = "import smtplib\nfrom abc import ABC, abstractmethod\n"
    (each,) = found(head + TWO)
    assert (each.confidence, [entry.name for entry in each.entries]) == (
        Confidence.CERTAIN,
        ["GET /sure"],
    )
    unsure = "async def go(base: Base):\n    await base.send()\n"
    (each,) = found(head + TWO.replace("Smtp().send()", "go(app)") + unsure)
    assert each.confidence is Confidence.LIKELY
    assert {entry.name for entry in each.entries} == {"GET /sure", "GET /perhaps"}


def test_what_a_function_returns_of_a_protocol_is_what_it_makes() -> None:
    text = source("a protocol", "def give() -> Mailer:\n    return Quiet()\n", "")
    route = "@app.get('/x')\nasync def route():\n    await give().send()\n"
    assert set(confidences(text + route).values()) <= {Confidence.POSSIBLE}
    assert Confidence.CERTAIN in confidences((text + route).replace("Quiet()", "Smtp()")).values()
