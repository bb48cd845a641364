"""What a call passes is or is not None, or of a class: that decides who reaches a branch."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import confidences
from unstall.model.finding import Confidence

HEAD = """
import time
from pathlib import Path
from typing import Any, Optional, Union
from pydantic import BaseModel

def get(*args: Any) -> Any: ...

"""


def blocked(helper: str, call: str, more: str = "") -> bool:
    """Whether a route that makes the call is shown to sleep."""
    route = (
        f'\n@app.get("/")\nasync def route(text: str, maybe: Optional[str] = None):\n    {call}\n'
    )
    return shown(dedent(more) + dedent(helper) + route, "work time.sleep")


def shown(source: str, site: str) -> bool:
    """Whether the one place is more than possible, as it stays where a branch is ruled out."""
    told = confidences(HEAD + source)
    assert list(told) == [site]
    return told[site] is not Confidence.POSSIBLE


IF_NONE = """
def work(path: Optional[str] = None, *rest) -> None:
    if path is None:
        time.sleep(1)
"""
IF_CLASS = """
def work(voice) -> None:
    if isinstance(voice, tuple):
        name, data = voice
        if isinstance(data, str):
            return
        time.sleep(1)
"""
IF_TEXT = """
def work(mode: str = "fast") -> None:
    if mode == "slow":
        time.sleep(1)
"""
TOP = """
class Settings(BaseModel):
    path: str
    maybe: str | None = None
    changed: str

class Engine: ...
class Fast(Engine): ...

def made(x: int) -> str: ...
def unsure(x: int) -> str | None: ...
settings: Settings
"""


@pytest.mark.parametrize(
    "given",
    [
        *('"a"', 'f"{text}"', "text", "made(1)", "str(maybe)", 'maybe or "a"', "Path('a')"),
        *("('a', 'b')", "'a' if maybe else text", "settings.path", "[*get()]", "path=text"),
        *("text, *get()", "**{'a': 1}, path=text", "Settings()"),
    ],
)
def test_what_is_not_none_keeps_a_call_out_of_the_branch_for_none(given: str) -> None:
    assert not blocked(IF_NONE, f"work({given})", TOP)


@pytest.mark.parametrize(
    "given",
    [
        *("", "None", "maybe", "unsure(1)", "maybe or None", "get()", "get().path"),
        *("*get()", "**get()", "'a' if maybe else None", "get()['path']", "settings.maybe"),
        "*get(), 'a'",
    ],
)
def test_what_may_be_none_comes_there(given: str) -> None:
    assert blocked(IF_NONE, f"work({given})", TOP)


@pytest.mark.parametrize(
    "given", ["text", "('a', text)", "[1]", "Path('a')", "('a', f'{text}')", "Engine()", "None"]
)
def test_a_class_that_is_not_asked_for_keeps_a_call_out(given: str) -> None:
    assert not blocked(IF_CLASS, f"work({given})", TOP)


@pytest.mark.parametrize(
    "given", ["get()", "('a', get())", "('a', 1)", "('a', Path('b'))", "*get()"]
)
def test_what_may_be_of_the_class_comes_there(given: str) -> None:
    assert blocked(IF_CLASS, f"work({given})", TOP)


@pytest.mark.parametrize(
    ("given", "is_blocked"), [('"fast"', False), ("", False), ('"slow"', True), ("text", True)]
)
def test_a_text_is_compared(given: str, is_blocked: bool) -> None:
    assert blocked(IF_TEXT, f"work({given})") is is_blocked


@pytest.mark.parametrize(
    "body",
    [
        "    path = get()\n    if path is None:\n        time.sleep(1)\n",
        "    for path in get():\n        if path is None:\n            time.sleep(1)\n",
        "    if (path := get()) or path is None:\n        time.sleep(1)\n",
        "    get([path for path in get() if path is None and time.sleep(1)])\n",
        "    def inner():\n        nonlocal path\n        path = None\n    inner()\n"
        "    if path is None:\n        time.sleep(1)\n",
        "    while get():\n        if path is None:\n            time.sleep(1)\n        path = get()\n",
        "    path = path or get()\n    if path is None:\n        time.sleep(1)\n",
        "    path, *others = path\n    if path is None:\n        time.sleep(1)\n",
        "    if path is None or get():\n        time.sleep(1)\n",
        "    if not isinstance(path, get()):\n        time.sleep(1)\n",
    ],
)
def test_a_parameter_that_becomes_something_else_says_nothing(body: str) -> None:
    assert blocked(f"def work(path) -> None:\n{body}", "work('a')")


FILLED = """
def work(path=None) -> str:
    if path is None:
        time.sleep(1)
        path = "a"
    return path
"""


@pytest.mark.parametrize(("given", "is_blocked"), [("text", False), ("", True), ("maybe", True)])
def test_what_is_filled_where_it_is_missing_was_passed_before(given: str, is_blocked: bool) -> None:
    assert blocked(FILLED, f"work({given})") is is_blocked


@pytest.mark.parametrize(
    ("filled", "given", "is_blocked"),
    [
        ('"a"', "text", False),
        ('"a"', "maybe", True),
        ("get()", "text", True),
        ("path", "text", False),
        ("path or maybe", "None", True),
    ],
)
def test_what_was_filled_is_handed_on_as_either(filled: str, given: str, is_blocked: bool) -> None:
    middle = (
        f"\ndef middle(path=None):\n    if not path:\n        path = {filled}\n    work(path)\n"
    )
    assert blocked(IF_NONE + middle, f"middle({given})") is is_blocked


@pytest.mark.parametrize("given", ["[]", "{}", "kept", "set()"])
def test_what_can_be_filled_is_not_believed_to_be_empty(given: str) -> None:
    helper = "def work(many) -> None:\n    get(many)\n    if many:\n        time.sleep(1)\n"
    assert blocked(helper, f"kept = []; kept.append(1); work({given})")


@pytest.mark.parametrize(
    ("call", "is_blocked"),
    [
        ("work(**{'path': text})", False),
        ("work(**{'path': maybe})", True),
        ("work(**{'other': text})", True),
        ("options = {'path': text}; options['path'] = None; work(**options)", True),
    ],
)
def test_keywords_of_a_dict_count_where_it_is_written(call: str, is_blocked: bool) -> None:
    helper = IF_NONE.replace("*rest", "**rest")
    assert blocked(helper, call) is is_blocked


MIDDLE = """
def middle(text, **options) -> None:
    {body}
    work(**options)
"""


@pytest.mark.parametrize(
    "body",
    [
        *("options.setdefault('path', None)", "options['path'] = get()", "options.update(get())"),
        *("options.pop('path', None)", "del options['path']", "get(options)", "options.clear()"),
        *("others = options; others.clear()", "get([options])", "more = options or {}; get(more)"),
        *("def later(): options.clear()\n    later()", "options |= get()", "options = get()"),
        "(options if text else {}).clear()",
    ],
)
@pytest.mark.parametrize("stars", ["**", ""])
def test_keywords_that_are_put_in_or_taken_out_are_not_known(body: str, stars: str) -> None:
    given = "path='a'" if stars else "options={'path': 'a'}"
    middle = MIDDLE.replace("{body}", body).replace("**options)", f"{stars}options)", 1)
    assert blocked(IF_NONE.replace("*rest", "**rest") + middle, f"middle(text, {given})")


@pytest.mark.parametrize(
    "body",
    [
        *("get(options['path'])", "get(options.get('path'))", "get('path' in options)"),
        *("get(f'{options}')", "get(*[each for each in options])", "get({**options, 'a': 1})"),
        *("if options and text: return", "get(**options)", "assert not options.keys()", "pass"),
    ],
)
@pytest.mark.parametrize("stars", ["**", ""])
def test_keywords_that_are_only_read_stay_known(body: str, stars: str) -> None:
    given = "path='a'" if stars else "options={'path': 'a'}"
    middle = MIDDLE.replace("{body}", body).replace("**options)", f"{stars}options)", 1)
    assert not blocked(IF_NONE.replace("*rest", "**rest") + middle, f"middle(text, {given})")


@pytest.mark.parametrize(
    ("middle", "given"),
    [
        ("def middle(**more): more['o']['path'] = None; inner(**more)", "o={'path': 'a'}"),
        ("def middle(pair): pair[0]['path'] = None; inner(pair[0])", "({'path': 'a'}, 1)"),
        ("def middle(pair): o, _ = pair; pair[0].clear(); inner(o)", "({'path': 'a'}, 1)"),
    ],
)
def test_of_a_dict_inside_another_value_no_keywords_are_known(middle: str, given: str) -> None:
    helper = IF_NONE.replace("*rest", "**rest") + "\ndef inner(o): work(**o)\n" + middle + "\n"
    assert blocked(helper, f"middle({given})")


def test_its_own_annotation_is_not_believed_where_a_function_asks() -> None:
    assert blocked(
        "def work(path: str) -> None:\n    if path is None:\n        time.sleep(1)\n", "work(get())"
    )


def test_a_field_may_be_that_of_a_base_beside_it() -> None:
    more = "class Loose:\n    path: Any = None\nclass Below(Loose, Settings): ...\n"
    assert blocked(IF_NONE, "work(settings.path)", f"{dedent(TOP)}\n{more}")
    assert not blocked(
        IF_NONE, "work(settings.path)", f"{dedent(TOP)}\n{more}".replace("Loose, ", "")
    )


def test_a_default_contradicts_an_annotation() -> None:
    middle = "\ndef middle(path: str = None) -> None:\n    work(path)\n"
    assert blocked(IF_NONE + middle, "middle(get())")


FORWARD = """
class Backend:
    async def make(self, text, voice=None, *, mode=None):
        if {test}:
            time.sleep(1)
        yield text

class Manager:
    backend: Backend
    async def make(self, *args, **kwargs):
        async for each in self.backend.make(*args, **kwargs):
            yield each

@app.get("/")
async def route(text: str, manager: Manager = Depends()):
    async for each in manager.make({given}):
        pass
"""


@pytest.mark.parametrize(
    ("given", "test", "is_shown"),
    [
        ("text, (text, text)", "isinstance(voice, list)", False),
        ("text, [text]", "isinstance(voice, list)", True),
        ("text, mode=1", "voice is not None", False),
        ("text, mode=text", "mode is None", False),
        ("text, mode=None", "mode is None", True),
        ("text, *get(), mode=1", "voice is not None", True),
        ("text, **get()", "mode is None", True),
    ],
)
def test_what_is_handed_on_as_it_came_is_known(given: str, test: str, is_shown: bool) -> None:
    text = FORWARD.replace("{given}", given).replace("{test}", test)
    assert shown(text, "Backend.make time.sleep") is is_shown


ENGINES = """
from abc import ABC, abstractmethod

class Engine(ABC):
    @abstractmethod
    def run(self): ...

class Fast(Engine):
    def run(self):
        return 1

def engine() -> Engine: ...

@app.get("/")
async def route():
    current = engine()
    if isinstance(current, Fast):
        return 1
    time.sleep(1)
"""


def test_the_only_class_below_an_abstract_one_is_what_a_call_gives() -> None:
    assert not shown(ENGINES, "route time.sleep")


@pytest.mark.parametrize(
    "more",
    ["class Slow(Engine):\n    def run(self):\n        return 2\n", "engine = get\n"],
)
def test_another_class_below_it_may_be_given_too(more: str) -> None:
    assert shown(ENGINES.replace("@app", more + "\n@app"), "route time.sleep")


def test_a_method_that_nobody_can_tell_is_perhaps_passed_something_else() -> None:
    helper = """
    class Worker:
        def run(self, path=None):
            if path is None:
                time.sleep(1)

    worker = Worker()

    @app.get("/other")
    async def other(anything):
        anything.run(get())

    @app.get("/")
    async def route():
        worker.run("a")
    """
    assert shown(dedent(helper), "Worker.run time.sleep")
    assert not shown(dedent(helper).replace("run(get())", 'run("b")'), "Worker.run time.sleep")


def test_a_generator_that_another_function_has_called_was_passed_something_else() -> None:
    helper = """
    async def work(path=None):
        if path is None:
            time.sleep(1)
        yield 1

    class Outer:
        def work(self, path):
            return work()

    @app.get("/")
    async def route(outer: Outer = Depends()):
        async for each in outer.work("a"):
            pass
    """
    assert shown(dedent(helper), "work time.sleep")
    assert not shown(dedent(helper).replace("outer.work(", "work("), "work time.sleep")


CLASSES = """
from abc import ABC, ABCMeta
from dataclasses import dataclass
from enum import Enum
from typing import final
from elsewhere import plugins, Strange

def once(cls):
    return get(cls)

class Meta(type):
    def __call__(cls):
        return None

class Checks(ABCMeta):
    def __instancecheck__(cls, each):
        return get(each)
"""


@pytest.mark.parametrize(
    "made",
    [
        *(
            "@once\nclass Cfg: ...",
            "@once\n@dataclass\nclass Cfg: ...",
            "@plugins.put\nclass Cfg: ...",
        ),
        *("class Cfg(metaclass=Meta): ...", "class Cfg(metaclass=Strange): ..."),
        "class Top:\n    def __new__(cls):\n        return None\nclass Cfg(Top): ...",
        "def final(cls):\n    return get\n@final\nclass Cfg: ...",
    ],
)
def test_what_a_class_gives_that_is_not_called_itself_is_not_known(made: str) -> None:
    assert blocked(IF_NONE, "work(Cfg())", f"{CLASSES}\n{made}\n")


@pytest.mark.parametrize(
    "made",
    [
        *("class Cfg: ...", "@dataclass(frozen=True)\nclass Cfg: ...", "@final\nclass Cfg: ..."),
        *("class Cfg(ABC): ...", "class Cfg(metaclass=ABCMeta): ...", "class Cfg(Enum): ..."),
    ],
)
def test_a_class_that_is_called_itself_gives_an_object(made: str) -> None:
    assert not blocked(IF_NONE, "work(Cfg())", f"{CLASSES}\n{made}\n")


IF_SIZED = "\ndef work(each):\n    if isinstance(each, Sized):\n        time.sleep(1)\n"


@pytest.mark.parametrize(
    "classes",
    [
        *("class Sized(ABC): ...\nclass Blob: ...\nSized.register(Blob)",),
        *("class Sized(ABC): ...\n@Sized.register\nclass Blob: ...",),
        *("class Sized(ABC): ...\nclass Blob: ...\nfor each in get(): each.register(Blob)",),
        *("class Sized(ABC): ...\nclass Sub(Sized): ...\nclass Blob: ...\nSub.register(Blob)",),
        "class Sized(ABC):\n    def __subclasshook__(cls, other): return True\nclass Blob: ...",
        "class Sized(metaclass=Checks): ...\nclass Blob: ...",
        "class Sized: ...\nclass Blob:\n    __class__ = Sized",
    ],
)
def test_a_class_may_count_as_one_that_it_does_not_inherit_from(classes: str) -> None:
    assert blocked(IF_SIZED, "work(Blob())", f"{CLASSES}\n{classes}\n")


@pytest.mark.parametrize(
    "classes",
    [
        "class Sized(ABC): ...\nclass Blob: ...",
        "class Sized: ...\nclass Blob: ...\nfor each in get(): each.register(Blob)",
        "class Sized(ABC): ...\nclass Blob: ...\nclass Other(ABC): ...\nOther.register(Blob)",
        "class Sized(ABC): ...\nclass Blob: ...\nplugins.register(Blob)",
    ],
)
def test_two_classes_that_nobody_brings_together_are_apart(classes: str) -> None:
    assert not blocked(IF_SIZED, "work(Blob())", f"{CLASSES}\n{classes}\n")


def test_a_class_that_judges_itself_is_not_believed_to_know_its_own() -> None:
    classes = "\nclass Sized(metaclass=Checks): ...\nclass Blob(Sized): ...\n"
    unless = IF_SIZED.replace("if isinstance", "if not isinstance")
    assert blocked(unless, "work(Blob())", CLASSES + classes)
    assert not blocked(unless, "work(Blob())", CLASSES + classes.replace("Checks", "ABCMeta"))


MODES = """
QUICK, ASYNC = "fast", False
FAST = "fast"
LATER = False
def switch():
    global LATER
    LATER = True

def work(mode="fast", n=0, many=(), wait=LATER, step=-1):
    if {test}:
        time.sleep(1)
"""


@pytest.mark.parametrize(
    ("test", "comes", "stays_away"),
    [
        ("mode in ('slow', 'late')", "'late'", "'fast'"),
        ("mode not in {'slow', 'late'}", "", "'late'"),
        ("mode in ['slow']", "text", ""),
        ("mode in ('slow', text)", "", "None"),
        ("mode == 'slow'", "'slow'", "FAST"),
        ("mode == 'fast'", "QUICK", "'slow'"),
        ("n > 0", "n=1", ""),
        ("n >= 2 and mode == 'fast'", "n=2", "n=1"),
        ("n != 0", "n=-1", "n=0"),
        ("n in (1, 2)", "n=get()", "n=3"),
        ("many", "many=get()", ""),
        ("many", "many=('a',)", "many=()"),
        ("step > 0", "step=1", ""),
        ("wait", "", "wait=False"),
        ("wait", "wait=LATER", "wait=None"),
    ],
)
def test_a_literal_is_compared(test: str, comes: str, stays_away: str) -> None:
    helper = MODES.replace("{test}", test)
    assert blocked(helper, f"work({comes})")
    if "text)" not in test:
        assert not blocked(helper, f"work({stays_away})")


ENUMS = """
from enum import Enum, IntEnum, auto

class Mode({bases}):
    FAST = {fast}
    SLOW = 2

def work(mode=Mode.FAST):
    if {test}:
        time.sleep(1)
"""


@pytest.mark.parametrize("bases", ["Enum", "IntEnum", "int, Enum"])
@pytest.mark.parametrize(
    ("test", "comes", "stays_away"),
    [
        ("mode is Mode.SLOW", "Mode.SLOW", ""),
        ("mode == Mode.FAST", "", "Mode.SLOW"),
        ("mode is not Mode.FAST", "get()", "Mode.FAST"),
        ("mode in (Mode.FAST,)", "", "mode=Mode.SLOW"),
        ("mode not in (Mode.FAST, Mode.SLOW)", "Mode(1)", "Mode.SLOW"),
    ],
)
def test_a_member_of_an_enumeration_is_compared(
    bases: str, test: str, comes: str, stays_away: str
) -> None:
    text = ENUMS.replace("{bases}", bases).replace("{test}", test)
    for fast, slow in (("1", "2"), ("auto()", "auto()")):
        helper = text.replace("{fast}", fast).replace("SLOW = 2", f"SLOW = {slow}")
        assert blocked(helper, f"work({comes})")
        assert not blocked(helper, f"work({stays_away})")


@pytest.mark.parametrize(
    ("test", "fast"),
    [
        ("mode is Mode.SLOW", "2"),
        ("mode is Mode.SLOW", "get()"),
        ("mode is Mode.SLOW", "auto()"),
        ("mode == 2", "1"),
        ("mode in (1, 2)", "1"),
        ("mode is get.SLOW", "1"),
        ("mode == Mode.SLOW", "1\n    def __eq__(self, other): return True"),
    ],
)
def test_two_names_may_mean_the_same_member(test: str, fast: str) -> None:
    text = ENUMS.replace("{bases}", "Enum").replace("{test}", test)
    assert blocked(text.replace("{fast}", fast), "work()")


MATCH = """
def work(mode="fast", more=None):
    match mode:
        case {first}:
            {does}
        case {second}:
            {other}
"""


@pytest.mark.parametrize(
    ("first", "second", "given", "comes_to"),
    [
        ("'fast'", "_", "", 1),
        ("'fast'", "'slow'", "'slow'", 2),
        ("'fast'", "'slow'", "'late'", 0),
        ("'fast' | 'slow'", "_", "'slow'", 1),
        ("'fast' | 'slow'", "_", "'late'", 2),
        ("'fast' if more", "_", "more=get()", 3),
        ("'slow' if more", "_", "more=get()", 2),
        ("'fast'", "_", "text", 3),
        ("str()", "_", "", 3),
        ("['fast']", "_", "", 3),
        ("1", "2", "2", 2),
        ("x if more", "_", "more=get()", 3),
    ],
)
def test_a_case_is_a_comparison(first: str, second: str, given: str, comes_to: int) -> None:
    text = MATCH.replace("{first}", first).replace("{second}", second)
    sleeps = ("time.sleep(1)", "pass")
    helpers = [text.replace("{does}", a).replace("{other}", b) for a, b in (sleeps, sleeps[::-1])]
    came = [blocked(helper, f"work({given})") for helper in helpers]
    assert came == [bool(comes_to & 1), bool(comes_to & 2)]


SESSIONS = """
from typing import Annotated
from sqlalchemy.orm import Session
from sqlalchemy.ext.asyncio import AsyncSession

async def sessions():
    yield get()

async def asked(db: Session | AsyncSession) -> None:
    if isinstance(db, AsyncSession):
        return
    work()

def work() -> None:
    time.sleep(1)

@app.get("/")
async def route({given}):
    await asked(db)
"""


@pytest.mark.parametrize(
    ("given", "is_shown"),
    [
        ("db: AsyncSession = Depends(sessions)", False),
        ("db: Annotated[AsyncSession, Depends(sessions)]", False),
        ("db: Session = Depends(sessions)", True),
        ("db: AsyncSession | Session = Depends(sessions)", True),
        ("db=Depends(sessions)", True),
        ("db: AsyncSession | None = Depends(sessions)", True),
        ("db: AsyncSession = None", True),
    ],
)
def test_an_object_of_somebody_elses_class_is_of_that_class(given: str, is_shown: bool) -> None:
    assert shown(SESSIONS.replace("{given}", given), "work time.sleep") is is_shown


OVER = """
def work(many: Optional[list] = None, *rest) -> None:
    {before}
    for each in {over}:
        time.sleep(1)
"""
FILLED_WITH = "if not many: many = {}"


@pytest.mark.parametrize(
    ("over", "before"),
    [
        *(("many or []", "pass"), ("many or ()", "pass"), ("many or {}", "pass"), ("rest", "pass")),
        ("many or []", "if many and get(): many = None"),
        ("many", FILLED_WITH.replace("{}", "()")),
        ("many", FILLED_WITH.replace("{}", "[]")),
    ],
)
def test_a_loop_over_nothing_does_nothing(over: str, before: str) -> None:
    loop = OVER.replace("{over}", over).replace("{before}", before)
    calls = {"work()": False, "work(None)": False, "work(text, text)": True, "work(*get())": True}
    assert {call: blocked(loop, call) for call in calls} == calls
    passed = loop.replace("for each in", "get(*[time.sleep(1) for each in").replace(
        ":\n        time.sleep(1)\n", "])\n"
    )
    assert {call: blocked(passed, call) for call in calls} == calls


@pytest.mark.parametrize(
    ("over", "before"),
    [
        *(("many or ['a']", "pass"), ("many or rest or get()", "pass"), ("get() or many", "pass")),
        ("many", FILLED_WITH.replace("{}", "['a']")),
        ("many", FILLED_WITH.replace("{}", "get()")),
        ("many", FILLED_WITH.replace("{}", "[]") + "; many.append('a')"),
        ("many", FILLED_WITH.replace("{}", "[]") + "; get(many)"),
        ("many", "if not many: many = others = []; others.append('a')"),
        ("many", "if not many: get(many := [])"),
        ("many", FILLED_WITH.replace("{}", "[]") + "\n    many += get()"),
    ],
)
def test_a_loop_over_what_may_have_been_filled_is_shown(over: str, before: str) -> None:
    assert blocked(OVER.replace("{over}", over).replace("{before}", before), "work()")
