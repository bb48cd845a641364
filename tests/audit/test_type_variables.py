"""What is read through a type variable is of the class that the object binds it to, and of no other."""

from __future__ import annotations

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence

CERTAIN, LIKELY, POSSIBLE = Confidence
SOURCE = """
import time
from typing import Generic, TypeVar

class Base:
    def update(self): ...
    @classmethod
    def load(cls): ...

class Report(Base):
    def __init__(self): ...

class User(Base):
    def __init__(self): time.sleep(1)
    def update(self): time.sleep(1)
    @classmethod
    def load(cls): time.sleep(1)

M = TypeVar("M"{bound})
D = TypeVar("D"{bound})

class Repo(Generic[M]):
    item: M

    def __init__(self, model: type[M]) -> None:
        self.model = model

    def one(self) -> M:
        return app.one(self.model)

    def all(self) -> list[M]:
        return app.all(self.model)

    async def later(self) -> M:
        return app.one(self.model)

    async def go(self):
        {use}

    async def further(self):
        await self.go()

class Other(Repo[{other}]): ...
"""
USES = {
    "the class is called": ("self.model()", "__init__"),
    "the class is called under a name": ("model = self.model\n        model()", "__init__"),
    "a method of the class": ("self.model.load()", "load"),
    "an object of the class": ("self.model().update()", "update"),
    "an object of it under a name": ("one = self.model()\n        one.update()", "update"),
    "what a method gives": ("one = self.one()\n        one.update()", "update"),
    "what is awaited": ("one = await self.later()\n        one.update()", "update"),
    "each of many": ("for one in self.all():\n            one.update()", "update"),
    "a field": ("self.item.update()", "update"),
}  # fmt: skip
BOUND = {
    "by a class": "class Mine(Repo[{model}]): ...\nasync def make():\n    return Mine({model})\n",
    "by a class through another": "class Deeper(Repo[D]): ...\nclass Mine(Deeper[{model}]): ...\n"
    "async def make():\n    return Mine({model})\n",
    "by a class that calls what it inherits": "class Mine(Repo[{model}]):\n"
    "    async def go(self):\n        await super().go()\n"
    "async def make():\n    return Mine({model})\n",
    "by an annotation": "async def make() -> Repo[{model}]:\n    return Repo({model})\n",
    "by an annotation through another": "class Deeper(Repo[D]): ...\n"
    "async def make() -> Deeper[{model}]:\n    return Deeper({model})\n",
    "by what is passed up": "class Mine(Repo[{model}]):\n    def __init__(self):\n"
    "        super().__init__({model})\nasync def make():\n    return Mine()\n",
}
AROUND = {
    "in an object that a class binds": "class Around(Generic[D]):\n    repo: Repo[D]\n"
    "    async def go(self):\n        await self.repo.go()\n"
    "    async def further(self):\n        await self.repo.further()\n"
    "class Mine(Around[{model}]): ...\nasync def make():\n    return Mine()\n",
    "in an object that an annotation binds": "class Around(Generic[D]):\n    repo: Repo[D]\n"
    "    async def go(self):\n        await self.repo.go()\n"
    "    async def further(self):\n        await self.go()\n"
    "async def make() -> Around[{model}]:\n    return Around()\n",
}
ROUTE = "@app.get('/x')\nasync def route():\n    await (await make()).{method}()\n"
VARIABLES = {"without a bound": "", "with a bound": ", bound=Base"}


def source(variable: str, use: str, bound: str, model: str, method: str) -> str:
    other = "Report" if model == "User" else "User"
    text = SOURCE.replace("{bound}", VARIABLES[variable]).replace("{use}", USES[use][0])
    made = (BOUND | AROUND)[bound].replace("{model}", model)
    return text.replace("{other}", other) + made + ROUTE.replace("{method}", method)


def told(text: str) -> dict[str, Confidence]:
    """What the route comes to."""
    return {
        f"{each.site.function} {each.site.call}": each.confidence
        for each in found(text)
        if each.site and any(entry.kind == "route" for entry in each.entries)
    }


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("bound", BOUND | AROUND)
@pytest.mark.parametrize("use", USES)
def test_only_the_class_that_is_bound_is_meant(use: str, bound: str, variable: str) -> None:
    for method in ("go", "further"):
        assert told(source(variable, use, bound, "Report", method)) == {}
        of_user = told(source(variable, use, bound, "User", method))
        assert of_user[f"User.{USES[use][1]} time.sleep"] is CERTAIN
        assert {*of_user.values()} == {CERTAIN}


@pytest.mark.parametrize("use", ["what a method gives", "a field", "each of many"])
def test_where_it_is_not_bound_a_class_below_its_bound_may_be_meant(use: str) -> None:
    text = source("with a bound", use, "by an annotation", "User", "go")
    text = text.replace("-> Repo[User]", "-> Repo")
    assert told(text) == {"User.update time.sleep": LIKELY}


ELSEWHERE = {
    "what a function gives": "one = first(app.one)\n        one.update()",
    "each that a function gives": "for one in many(app.one):\n            one.update()",
    "a field of another object": "self.other.item.update()",
    "what a method of another object gives": "self.other.one().update()",
    "a class of another object": "self.other.model().update()",
}
SAME = """
def first(one: M) -> M:
    return app.first(one)

def many(one: M) -> list[M]:
    return app.many(one)

class Repo"""


@pytest.mark.parametrize("use", ELSEWHERE)
@pytest.mark.parametrize("bound", BOUND)
def test_the_same_variable_elsewhere_is_another_one(bound: str, use: str) -> None:
    text = source("without a bound", "a field", bound, "User", "go")
    text = text.replace("self.item.update()", ELSEWHERE[use]).replace("\nclass Repo", SAME, 1)
    text = text.replace("    item: M\n", "    item: M\n    other: 'Repo'\n")
    assert CERTAIN not in told(text).values()


@pytest.mark.parametrize("bound", BOUND)
def test_another_object_that_is_said_to_be_of_the_same_is(bound: str) -> None:
    text = source("without a bound", "a field", bound, "User", "go")
    text = text.replace("self.item.update()", "self.other.one().update()")
    text = text.replace("    item: M\n", "    item: M\n    other: 'Repo[M]'\n")
    assert told(text) == {"User.update time.sleep": CERTAIN}


@pytest.mark.parametrize("field", [False, True])
def test_what_depends_makes_is_bound_by_what_is_said_of_it(field: bool) -> None:
    plain = "@app.get('/x')\nasync def route(repo: Repo[{model}] = Depends(make)):\n    await repo.go()\n"
    view = (
        "class View:\n    repo: Repo[{model}] = Depends(make)\n@app.get('/x')\n"
        "async def route(view: View = Depends()):\n    await view.repo.go()\n"
    )
    for model, expected in (("Report", {}), ("User", {"User.update time.sleep": CERTAIN})):
        text = source("without a bound", "a field", "by a class", model, "go")
        text = text[: text.index("class Mine")] + "def make():\n    return Repo({model})\n"
        assert told((text + (view if field else plain)).replace("{model}", model)) == expected
