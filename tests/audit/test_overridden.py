"""A method that a class defines anew is not the one above it, and a class has one `self`."""

from __future__ import annotations

import pytest

from tests.audit.reading import confidences
from unstall.model.finding import Confidence

CERTAIN, LIKELY, POSSIBLE = Confidence


def sites(source: str) -> list[str]:
    """What is shown on a loop. A method that is not meant is not even possible: it is no branch."""
    told = confidences(source)
    assert POSSIBLE not in told.values()
    return sorted(told)


ABOVE = """
import time
from abc import ABC, abstractmethod

class Base(ABC):
    def run(self):
        self.load()

    def load(self):
        time.sleep(1)

    @abstractmethod
    def name(self): ...

class Quick(Base):
    def name(self): return "quick"
    def load(self): return 1
{more}
@app.get("/")
async def route({given}):
    {call}
"""


def shown(call: str, more: str = "", given: str = "") -> list[str]:
    text = ABOVE.replace("{more}", more).replace("{call}", call).replace("{given}", given)
    return sites(text)


PLAIN = "\nclass Plain(Base):\n    def name(self): return 'plain'\n"
SUPER = (
    "\nclass Twice(Base):\n    def name(self): ...\n    def load(self):\n        super().load()\n"
)


@pytest.mark.parametrize("call", ["Quick().run()", "each.run()"])
def test_what_every_class_below_an_abstract_one_defines_anew_is_not_called(call: str) -> None:
    assert shown(call, given="each: Base = Depends()") == []


@pytest.mark.parametrize("more", [PLAIN, SUPER])
def test_one_that_inherits_it_or_calls_it_is_enough(more: str) -> None:
    assert shown("each.run()", more, "each: Base = Depends()") == ["Base.load time.sleep"]


def test_a_class_of_which_there_can_be_objects_calls_its_own() -> None:
    text = ABOVE.replace("    @abstractmethod\n", "").replace("{more}", "").replace("{given}", "")
    assert sites(text.replace("{call}", "Base().run()")) == ["Base.load time.sleep"]
    assert sites(text.replace("{call}", "Quick().run()")) == []


TWO = """
import time

class Base:
    def __init__(self):
        self.prepare()

    @classmethod
    async def make(cls):
        return cls()

    def prepare(self):
        return 1

class Slow(Base):
    def prepare(self):
        time.sleep(1)
{anew}
KINDS = [Base, Slow]
async def kind() -> type[Base]: ...

@app.get("/")
async def route(found: type[Base] = Depends(kind)):
    await {call}.make()
"""
ANEW = """
    @classmethod
    async def make(cls):
        return 1
"""


@pytest.mark.parametrize(
    ("call", "anew", "expected"),
    [
        ("found", "", LIKELY),
        ("found", ANEW, None),
        ("Base", "", None),
        ("Slow", "", CERTAIN),
        # Nothing calls `Base.make`, which is async: perhaps a task of somebody unseen.
        ("Slow", ANEW, POSSIBLE),
        ("found", ANEW.replace("return 1", "return await super().make()"), LIKELY),
        ("found", ANEW.replace("return 1", "return cls()"), LIKELY),
    ],
)
def test_self_is_of_no_class_that_would_have_been_asked_before(
    call: str, anew: str, expected: Confidence | None
) -> None:
    told = confidences(TWO.replace("{anew}", anew).replace("{call}", call))
    assert told.get("Slow.prepare time.sleep") is expected
    assert len(told) == (expected is not None)


SIBLINGS = """
import time

class Base:
    def load(self):
        return self.read()

    def read(self):
        return 1

class Slow(Base):
    def read(self):
        time.sleep(1)

class Quick(Base):
    def run(self):
        return {call}

@app.get("/")
async def route(each: Quick = Depends()):
    return each.run()
"""


@pytest.mark.parametrize("call", ["self.load()", "super().load()"])
def test_a_sibling_is_not_meant(call: str) -> None:
    assert sites(SIBLINGS.replace("{call}", call)) == []


@pytest.mark.parametrize("call", ["self.load()", "super().load()"])
def test_a_class_below_may_be_meant(call: str) -> None:
    below = "class Below(Quick):\n    def read(self):\n        time.sleep(1)\n"
    text = SIBLINGS.replace("{call}", call).replace("@app", below + "\n@app")
    assert sites(text) == ["Below.read time.sleep"]


def test_an_object_that_is_made_is_of_its_class_and_of_none_below() -> None:
    text = SIBLINGS.replace("{call}", "Base().load()")
    assert sites(text) == []
    assert sites(text.replace("return 1", "time.sleep(2)")) == ["Base.read time.sleep"]


REPO = """
import time

class Repo:
    async def save(self, item):
        self.encode(item)

    def encode(self, item):
        return item

class Slow(Repo):
    async def save(self, item):
        {call}

    def encode(self, item):
        time.sleep(1)

class Sibling(Repo):
    def encode(self, item):
        time.sleep(2)

class Later:
    async def run(self, do, *given):
        return await do(*given)

async def run(do, *given):
    return await do(*given)

def repeated(do):
    async def inner(*given):
        return await do(*given)
    return inner

@app.get("/")
async def route(repo: {kind} = Depends()):
    await repo.save(1)
"""


@pytest.mark.parametrize(
    "call",
    [
        *("await super().save(item)", "await super(Slow, self).save(item)"),
        *("await run(super().save, item)", "await Later().run(super().save, item)"),
        *("parent = super(); await parent.save(item)", "f = super().save; await f(item)"),
        *("await repeated(super().save)(item)", "await run(repeated(super().save), item)"),
        *("await (lambda: super(Slow, self).save(item))()", "await [super().save][0](item)"),
    ],
)
@pytest.mark.parametrize("kind", ["Slow", "Repo"])
def test_the_method_above_sees_the_same_self_however_it_is_called(call: str, kind: str) -> None:
    told = sites(REPO.replace("{call}", call).replace("{kind}", kind))
    assert told == (
        ["Sibling.encode time.sleep", "Slow.encode time.sleep"]
        if kind == "Repo"
        else ["Slow.encode time.sleep"]
    )


@pytest.mark.parametrize("call", ["run(super().save, item)", "Later().run(super().save, item)"])
def test_the_method_above_is_handed_on_without_the_one_below(call: str) -> None:
    text = REPO.replace("{call}", f"await {call}").replace("{kind}", "Slow")
    quick = text.replace("time.sleep(1)", "return 1")
    assert sites(quick) == []
    assert sites(quick.replace("return item", "time.sleep(3)")) == []
    kept = quick.replace("    def encode(self, item):\n        return 1\n", "")
    assert sites(kept.replace("return item", "time.sleep(3)")) == ["Repo.encode time.sleep"]


HANDED = """
import time

class Base:
    def repeat(self, do):
        return do()

    def save(self):
        self.encode()

    def encode(self):
        return 1

class Quick(Base):
    pass

class Slow(Base):
    def run(self):
        {call}

    def encode(self):
        time.sleep(1)

def repeat(do):
    return do()

@app.get("/")
async def route(slow: Slow = Depends()):
    slow.run()
"""


@pytest.mark.parametrize(
    "call", ["Quick().repeat(self.save)", "self.repeat(self.save)", "repeat(self.save)"]
)
def test_a_method_that_is_handed_on_keeps_its_own_self(call: str) -> None:
    text = HANDED.replace("{call}", call)
    assert sites(text) == ["Slow.encode time.sleep"]
    other = text.replace("time.sleep(1)", "return 1").replace(
        "    pass", "    def encode(self): time.sleep(2)"
    )
    assert sites(other) == []


PROPERTY = """
import time

class Repo:
    @property
    def data(self):
        return self.encode()

    def encode(self):
        return 1

class Slow(Repo):
    @property
    def data(self):
        {call}

    def encode(self):
        time.sleep(1)

class Below(Slow):
    @property
    def data(self):
        return super().data

@app.get("/")
async def route(repo: {kind} = Depends()):
    return repo.data
"""


@pytest.mark.parametrize("call", ["return super().data", "parent = super(); return parent.data"])
@pytest.mark.parametrize("kind", ["Repo", "Slow", "Below"])
def test_a_property_above_sees_the_same_self(call: str, kind: str) -> None:
    text = PROPERTY.replace("{kind}", kind)
    assert sites(text.replace("{call}", call)) == ["Slow.encode time.sleep"]
    assert sites(text.replace("{call}", "return 1")) == []


BEGUN = """
import time

class Base:
    def __init__(self):
        self.prepare()

    @classmethod
    def made(cls):
        return cls()

    def prepare(self):
        return 1

class Logged:
    def __init__(self):
        super().__init__()

class Slow(Logged, Base):
    @classmethod
    def made(cls):
        make = super().made
        return make()

    def prepare(self):
        time.sleep(1)

@app.get("/")
async def route():
    {call}
"""


@pytest.mark.parametrize(
    ("call", "is_shown"), [("Slow()", True), ("Slow.made()", True), ("Base.made()", False)]
)
def test_a_constructor_goes_on_in_the_order_of_self(call: str, is_shown: bool) -> None:
    expected = ["Slow.prepare time.sleep"] if is_shown else []
    assert sites(BEGUN.replace("{call}", call)) == expected


MIXED = """
import time

class Base:
    def run(self):
        self.work()

    def work(self):
        return 1

class Logged{above}:
    def run(self):
        return {call}

class Service(Logged, Base):
    {own}
    def work(self):
        time.sleep(1)

class Other(Base):
    def run(self):
        time.sleep(2)

class Both(Logged, Other):
    pass

@app.get("/")
async def route(service: {kind} = Depends()):
    service.run()
"""
OWN = "def run(self): return super().run()"


def mixed(kind: str, call: str = "super().run()", own: str = "", above: str = "") -> list[str]:
    text = MIXED.replace("{kind}", kind).replace("{call}", call)
    return sites(text.replace("{own}", own).replace("{above}", above))


@pytest.mark.parametrize("own", ["", OWN])
@pytest.mark.parametrize("above", ["", "(Base)"])
def test_super_goes_on_in_the_order_of_self(own: str, above: str) -> None:
    assert mixed("Service", own=own, above=above) == ["Service.work time.sleep"]
    assert mixed("Both", own=own, above=above) == ["Other.run time.sleep"]


@pytest.mark.parametrize("own", ["", OWN])
@pytest.mark.parametrize("above", ["", "(Base)"])
@pytest.mark.parametrize("kind", ["Base", "Logged"])
def test_of_any_object_it_goes_on_in_the_order_of_each_class(
    kind: str, own: str, above: str
) -> None:
    told = mixed(kind, own=own, above=above)
    assert told == ["Other.run time.sleep", "Service.work time.sleep"]


@pytest.mark.parametrize("own", ["", OWN])
@pytest.mark.parametrize("kind", ["Service", "Both", "Logged"])
def test_a_base_that_does_not_go_on_ends_it(kind: str, own: str) -> None:
    assert mixed(kind, "1", own) == []


def test_a_base_beside_it_defines_a_method_anew() -> None:
    assert mixed("Base", "time.sleep(3)") == ["Logged.run time.sleep", "Other.run time.sleep"]
    assert mixed("Base", "1") == ["Other.run time.sleep"]


FROM_BESIDE = """
import time

class Base:
    {mark}
    def load({self}):
        {call}

    def work(self):
        return 1

    @classmethod
    def made(cls):
        return cls.load(){suffix}

class Slow:
    {mark}
    def load({self}):
        time.sleep(1)

class Service(Slow, Base):
    def work(self):
        time.sleep(2)

async def kind() -> type[Base]: ...

@app.get("/")
async def route(service: Base = Depends(), found: type[Base] = Depends(kind)):
    {use}
"""


@pytest.mark.parametrize(
    ("mark", "self", "call", "use"),
    [
        ("@property", "self", "self.work()", "service.load"),
        ("@classmethod", "cls", "return 1", "found.made()"),
    ],
)
def test_a_property_or_class_method_of_a_base_beside_it_is_meant(
    mark: str, self: str, call: str, use: str
) -> None:
    text = FROM_BESIDE
    for name, given in (("mark", mark), ("self", self), ("call", call), ("use", use)):
        text = text.replace(f"{{{name}}}", given)
    assert sites(text.replace("{suffix}", "")) == ["Slow.load time.sleep"]


def test_a_constructor_of_a_base_beside_it_is_meant() -> None:
    text = TWO.replace("{anew}", "").replace("class Slow(Base):", "class Before:", 1)
    text = text.replace(
        "    def prepare(self):\n        time", "    def __init__(self):\n        time"
    )
    text = text.replace("async def kind", "class Slow(Before, Base): ...\n\nasync def kind")
    assert sites(text.replace("{call}", "found")) == ["Before.__init__ time.sleep"]
    assert sites(text.replace("{call}", "Slow")) == ["Before.__init__ time.sleep"]
    assert sites(text.replace("{call}", "Base")) == []


@pytest.mark.parametrize(
    "own",
    [
        "def run(self): return getattr(super(), 'run')()",
        "def run(self): return around(super())",
        "run = around(Base.run)",
    ],
)
def test_what_cannot_be_followed_may_come_back(own: str) -> None:
    assert mixed("Base", own=own) == ["Other.run time.sleep", "Service.work time.sleep"]


def test_of_others_classes_it_goes_on_as_well() -> None:
    text = """
    import requests

    class Timed:
        def get(self, url):
            return super().get(url)

    class Client(Timed, requests.Session):
        pass

    class Quick(Timed, dict):
        pass

    @app.get("/")
    async def route(client: {kind} = Depends()):
        client.get("a")
    """
    assert sites(text.replace("{kind}", "Client")) == ["Timed.get requests.Session.get"]
    assert sites(text.replace("{kind}", "Quick")) == []


HOOK = """
import time
from abc import ABC, abstractmethod

class Step{abc}:
    {body}

class Audit(Step):
    async def before(self):
        time.sleep(1)

{more}
async def run(steps: list[Step]):
    for step in steps:
        await step.before()

@app.get("/")
async def route():
    await run({given})
"""
CLEAN = "class Clean(Step): ...\n"
EMPTY = [
    "async def before(self): ...",
    "async def before(self): pass",
    "async def before(self): 'a'",
]
LEFT_OPEN = [
    "async def before(self): raise NotImplementedError",
    "async def before(self):\n        'a'\n        raise NotImplementedError('b')",
    "@abstractmethod\n    async def before(self): ...",
]


def hook(body: str, more: str = "", above: str = "", given: str = "get()") -> Confidence | None:
    text = HOOK.replace("{body}", body).replace("{more}", more).replace("{abc}", above)
    told = confidences(text.replace("{given}", given))
    assert told.keys() <= {"Audit.before time.sleep"}
    return told.get("Audit.before time.sleep")


@pytest.mark.parametrize("body", EMPTY)
def test_a_hook_that_is_empty_may_be_left_so(body: str) -> None:
    assert hook(body, CLEAN) is LIKELY
    assert hook(body, CLEAN, given="[Clean()]") is LIKELY
    assert hook(body) is LIKELY


@pytest.mark.parametrize("body", LEFT_OPEN)
def test_what_has_to_be_defined_is_what_the_one_below_does(body: str) -> None:
    assert hook(body, CLEAN) is CERTAIN
    assert hook(body) is CERTAIN


OTHER = "async def before(self): ...\n    @abstractmethod\n    def name(self): ..."
NAMED = "    def name(self): return 1\n"


def test_a_hook_that_no_class_with_objects_leaves_empty_is_what_the_one_below_does() -> None:
    named = HOOK.replace("time.sleep(1)\n", f"time.sleep(1)\n{NAMED}").replace("{given}", "get()")
    named = named.replace("{body}", OTHER).replace("{abc}", "(ABC)")
    assert confidences(named.replace("{more}", "")) == {"Audit.before time.sleep": CERTAIN}
    assert confidences(named.replace("{more}", CLEAN)) == {"Audit.before time.sleep": CERTAIN}
    clean = f"class Clean(Step):\n{NAMED}"
    assert confidences(named.replace("{more}", clean)) == {"Audit.before time.sleep": LIKELY}
