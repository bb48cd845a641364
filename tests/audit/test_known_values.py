"""An annotation is believed as far as the code beside it does not say otherwise."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence

BEGIN = """
import time
import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol
from pydantic import BaseModel, Field

class User:
    name: str

def get(*args: Any) -> Any: ...
async def fetch(*args: Any) -> User: ...

"""
IF_NONE = """
def work(given):
    if given is None:
        time.sleep(1)
"""


def blocked(source: str) -> bool:
    """Whether a call of `work` is shown to sleep; what is ruled out is still there as possible."""
    told = [each for each in found(BEGIN + dedent(source)) if each.code == "US101"]
    assert [each.site.function for each in told if each.site] == ["work"]
    return told[0].confidence is not Confidence.POSSIBLE


LOCALS = {
    "what others give": ("user: User = await get()", True),
    "None before something else": ("user: User = None\n    user = await fetch()", True),
    "None": ("user: User = None", True),
    "None in one branch": ("user: User = User() if get() else None", True),
    "what is made there": ("user: User = User()", False),
    "a constant": ("user: str = 'a'", False),
    "what is annotated and made later": ("user: User\n    user = User()", False),
    "what a stub says it gives": ("user: User = await fetch()", False),
}


@pytest.mark.parametrize("case", LOCALS)
def test_of_a_local_name_its_value_is_believed(case: str) -> None:
    given, is_blocked = LOCALS[case]
    route = f"@app.get('/')\nasync def route():\n    {given}\n    work(user)\n"
    assert blocked(IF_NONE + route) is is_blocked


def test_a_local_annotation_does_not_rule_out_a_class() -> None:
    source = """
        @app.get("/")
        async def work(request):
            data: {annotation} = {value}
            if isinstance(data, list):
                time.sleep(1)
    """
    asked = dedent(source).replace("{annotation}", "dict")
    assert blocked(asked.replace("{value}", "await request.json()"))
    assert not blocked(asked.replace("{value}", "dict(a=1)"))


FIELDS = {
    "a default of None": ("class Settings(BaseModel):\n    url: str = Field(None)", True),
    "a default by name": ("class Settings(BaseModel):\n    url: str = Field(default=None)", True),
    "a factory": ("class Settings(BaseModel):\n    url: str = Field(default_factory=get)", True),
    "other keywords": ("class Settings(BaseModel):\n    url: str = Field(**get())", True),
    "of a dataclass": (
        "@dataclass\nclass Settings:\n    url: str = dataclasses.field(default=None)", True
    ),
    "what others make": ("class Settings(BaseModel):\n    url: str = get()", True),
    "None again below": (
        "class Settings(BaseModel):\n    url: str\nclass Own(Settings):\n    url = None", True
    ),
    "None from a method below": (
        "class Settings:\n    url: str\n"
        "class Own(Settings):\n    def drop(self):\n        self.url = None", True
    ),
    "no value": ("class Settings(BaseModel):\n    url: str", False),
    "a constant": ("class Settings(BaseModel):\n    url: str = ''", False),
    "a described constant": ("class Settings(BaseModel):\n    url: str = Field('', max_length=3)", False),
    "one that must be passed": ("class Settings(BaseModel):\n    url: str = Field(..., max_length=3)", False),
    "one without a default": (
        "@dataclass\nclass Settings:\n    url: str = dataclasses.field(repr=False)", False
    ),
}  # fmt: skip
USED = "\n@app.get('/')\nasync def route(settings: Settings = Depends()):"


@pytest.mark.parametrize("case", FIELDS)
def test_of_a_field_the_value_beside_it_is_believed(case: str) -> None:
    given, is_blocked = FIELDS[case]
    source = f"{IF_NONE}{given}\n{USED}\n    work(settings.url)\n"
    assert blocked(source) is is_blocked


@pytest.mark.parametrize("value", ["{name} = None", "{name}, connection.more = get()"])
def test_a_field_that_others_assign_may_hold_anything(value: str) -> None:
    source = """
        class Connection:
            token: str
        def close(connection):
            connection.{value}
        @app.get("/")
        async def route(connection: Connection = Depends()):
            work(connection.token)
    """
    source = IF_NONE + dedent(source).replace("{value}", value)
    assert blocked(source.replace("{name}", "token"))
    assert not blocked(source.replace("{name}", "other"))


BODIES = {
    "None": ("if n:\n        return User()\n    return None", True),
    "nothing": ("if n:\n        return User()\n    return", True),
    "its end": ("for each in get():\n        return User()", True),
    "its end after what may swallow": ("with get():\n        return User()", True),
    "what others give": ("return get()", True),
    "None in one branch": ("return User() if n else None", True),
    "None by or": ("return n or None", True),
    "what it gives itself": ("return User() if n else find(n)", True),
    "what it makes": ("return User()", False),
    "what it makes in each branch": (
        "if n:\n        return User()\n    else:\n        raise ValueError", False
    ),
    "what it makes or raises": (
        "try:\n        return User()\n    except OSError:\n        raise", False
    ),
    "what an operator gives": ("return get() / n", False),
    "what another makes": ("return other()", False),
    "nothing but an error": ("raise ValueError", False),
    "a stub": ("...", False),
}  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_of_what_a_function_gives_its_body_is_believed(case: str) -> None:
    body, is_blocked = BODIES[case]
    source = (
        f"{IF_NONE}def other() -> User:\n    return User()\n"
        f"def find(n) -> User:\n    {body}\n"
        "@app.get('/')\nasync def route():\n    work(find(1))\n"
    )
    assert blocked(source) is is_blocked


@pytest.mark.parametrize(("given", "is_blocked"), [("await get()", True), ("User()", False)])
def test_what_is_awaited_is_what_the_body_returns(given: str, is_blocked: bool) -> None:
    source = f"""
        async def find(n) -> User:
            return {given}
        @app.get("/")
        async def route():
            work(await find(1))
    """
    assert blocked(IF_NONE + dedent(source)) is is_blocked


@pytest.mark.parametrize(
    ("body", "is_blocked"), [("return get()", False), ("return get() if get() else None", True)]
)
def test_the_class_of_what_comes_from_outside_is_believed_unless_none_comes(
    body: str, is_blocked: bool
) -> None:
    source = f"""
        def find() -> str:
            {body}
        def work(given):
            if not isinstance(given, str):
                time.sleep(1)
        @app.get("/")
        async def route():
            work(find())
    """
    assert blocked(source) is is_blocked


def test_functions_that_hand_on_to_each_other_are_asked_to_a_certain_depth() -> None:
    chain = "".join(f"def f{n}() -> User:\n    return f{n + 1}()\n" for n in range(400))
    source = (
        f"{IF_NONE}{chain}def f400() -> User:\n    return User()\n"
        "@app.get('/')\nasync def route():\n    work({})\n"
    )
    assert blocked(source.replace("{}", "f0()"))
    assert not blocked(source.replace("{}", "f398()"))


GIVEN = {
    "None, and says so": ("def get_user() -> User | None:\n    return get()", True),
    "None": ("def get_user():\n    if get():\n        return User()\n    return None", True),
    "nothing": ("async def get_user(n: int = 0):\n    if n:\n        return User()", True),
    "what others give": ("async def get_user() -> User:\n    return get()", True),
    "what others give, and says nothing": ("def get_user():\n    return get()", True),
    "what a wrapper makes of it": ("@get\ndef get_user() -> User:\n    return User()", True),
    "what an object gives": (
        "class Auth:\n    def __call__(self) -> User | None: ...\nget_user = Auth()", True
    ),
    "what somebody else gives": ("from elsewhere import get_user", True),
    "what is not known": ("(get_user := get)", True),
    "what it makes": ("def get_user() -> User:\n    return User()", False),
    "what it makes later": ("async def get_user() -> User:\n    return User()", False),
    "what it makes, and says nothing": ("async def get_user():\n    return User()", False),
    "what it makes or raises": (
        "def get_user():\n    if get():\n        raise ValueError\n    return User()", False
    ),
    "what it yields": ("def get_user():\n    yield User()", False),
    "what its object makes": (
        "class Auth:\n    def __call__(self) -> User: ...\nget_user = Auth()", False
    ),
    "a class": ("get_user = User", False),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_of_what_is_injected_the_dependency_is_believed(case: str) -> None:
    given, is_blocked = GIVEN[case]
    source = (
        f"from typing import Annotated\n{IF_NONE}{given}\n"
        "@app.get('/')\nasync def route(user: Annotated[User, Depends(get_user)]):\n    work(user)\n"
    )
    assert blocked(source) is is_blocked
    assert not blocked(source.replace("(get_user)]", "()]"))
    default = source.replace("Annotated[User, Depends(get_user)]", "User = Depends(get_user)")
    assert blocked(default) is is_blocked


@pytest.mark.parametrize(
    ("annotation", "is_blocked"),
    [
        *(("BackgroundTasks", False), ("fastapi.Request", False), ("Reply", False)),
        *(("BackgroundTasks | None", True), ("Session", True), ("elsewhere.Request", True)),
    ],
)
@pytest.mark.parametrize("asked", ["given is None", "not given"])
def test_what_fastapi_injects_is_never_none(annotation: str, is_blocked: bool, asked: str) -> None:
    source = f"""
        import elsewhere, fastapi
        from sqlalchemy.orm import Session
        from starlette.responses import Response as Reply
        def work(given=None):
            if {asked}:
                time.sleep(1)
        @app.get("/")
        async def route(given: {annotation}):
            work(given)
    """
    assert blocked(source) is is_blocked


OF_OTHERS = {
    "bytes that a response holds": ("(await client.get('/')).content", False),
    "bytes that it reads": ("(await client.get('/')).read()", False),
    "bytes that it reads later": ("await (await client.get('/')).aread()", False),
    "bytes of a file": ("open('a', 'rb').read()", False),
    "a list that may be JSON": ("(await client.get('/')).json()", True),
    "a text that may be bytes": ("subprocess.run(['a']).stdout", True),
    "what is not known": ("(await get().get('/')).content", True),
    "a path": ("Path.home()", True),
}


@pytest.mark.parametrize("case", OF_OTHERS)
def test_bytes_that_the_catalog_names_are_no_path(case: str) -> None:
    given, is_blocked = OF_OTHERS[case]
    source = f"""
        import subprocess
        from pathlib import Path
        import httpx
        def work(given):
            if {{asked}}:
                time.sleep(1)
        @app.get("/")
        async def route(client: httpx.AsyncClient = Depends(get)):
            work({given})
    """
    assert blocked(source.replace("{asked}", "isinstance(given, Path)")) is is_blocked
    is_path = case == "a path"
    asked = "not isinstance(given, (Path, bytes))"
    assert blocked(source.replace("{asked}", asked)) is (is_blocked and not is_path)
