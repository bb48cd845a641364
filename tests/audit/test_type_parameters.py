"""Type parameters: each class and function has its own, with its bound."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.audit.reading import found, sites, types_at_end
from unstall.audit.source import parse


def read(source: str) -> str:
    tree = parse(dedent(source).encode())
    assert isinstance(tree, ast.Module), tree
    return ast.unparse(tree)


@pytest.mark.parametrize(
    ("source", "head"),
    [
        ("class A[T]: ...", "class A(@typing.Generic[T@1]):"),
        ("class A[T](): ...", "class A(@typing.Generic[T@1]):"),
        ("class A[T](B): ...", "class A(B, @typing.Generic[T@1]):"),
        ("class A[T](B, metaclass=M): ...", "class A(B, @typing.Generic[T@1], metaclass=M):"),
        ("class A[T](B[T],): ...", "class A(B[T@1], @typing.Generic[T@1]):"),
        (
            "class A[T: (int, str), *U, **V, W = dict[int, str]](B): ...",
            "class A(B, @typing.Generic[T@1, U@1, V@1, W@1]):",
        ),
        ("class A[T](B,  # why\n): ...", "class A(B, @typing.Generic[T@1]):"),
        ("class A[\n    T,  # a, b\n](\n    B,\n): ...", "class A(B, @typing.Generic[T@1]):"),
    ],
)
def test_parameters_of_a_class_are_type_variables(source: str, head: str) -> None:
    told = read(source)
    assert told.startswith(head)
    assert "\nT@1 = @typing.TypeVar('T@1'" in told


@pytest.mark.parametrize(
    ("parameter", "variable"),
    [
        ("T", "TypeVar('T@1')"),
        ("T: Base", "TypeVar('T@1', bound=Base)"),
        ("T: 'Base'", "TypeVar('T@1', bound='Base')"),
        ("T: dict[str, int] = dict", "TypeVar('T@1', bound=dict[str, int])"),
        ("T: (int, str)", "TypeVar('T@1', int, str)"),
        ("*T", "TypeVar('T@1')"),
        ("T: Literal['#', ','],  # why\n", "TypeVar('T@1', bound=Literal['#', ','])"),
    ],
)
@pytest.mark.parametrize("head", ["class A[{}]: ...", "def a[{}](): ...", "async def a[{}](): ..."])
def test_a_bound_is_kept(head: str, parameter: str, variable: str) -> None:
    assert f"T@1 = @typing.{variable}" in read(head.replace("{}", parameter))


NAMES = {
    "a docstring": ('"""\nclass A[T]: ...\n"""\nx: T', ["T"]),
    "a class of that name": ("class T: ...\nclass A[T]:\n    x: T\ny: T", ["T@2", "T"]),
    "an import": ("from x import T\nclass A[T]:\n    x: T\ny: T", ["T@2", "T"]),
    "two classes": ("class A[T]:\n    x: T\nclass B[T]:\n    x: T", ["T@1", "T@3"]),
    "a method's own": (
        "class A[T]:\n    x: T\n    def f[T](self, x: T):\n        y: T", ["T@1", "T@3", "T@3"]
    ),
    "a function in it": ("class A[T]:\n    def f(self):\n        x: T", ["T@1"]),
    "quotes": ("class A[T]:\n    x: 'T'\n    y: \"list[T]\"", ["T@1", "list[T@1]"]),
    "a literal": ("class A[T]:\n    x: Literal['T']", ["Literal['T']"]),
    "another name": ("class A[T]:\n    x: a.T\n    y: Text", ["a.T", "Text"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
def test_a_name_is_that_of_the_class_or_function_around_it(case: str) -> None:
    source, names = NAMES[case]
    tree = ast.parse(read(source).replace("@typing", "typing").replace("@", "__at__"))
    said = [ast.unparse(n.annotation) for n in ast.walk(tree) if isinstance(n, ast.AnnAssign)]
    parameters = [n.annotation for n in ast.walk(tree) if isinstance(n, ast.arg)]
    said += [ast.unparse(each) for each in parameters if each is not None]
    assert sorted(each.replace("__at__", "@") for each in said) == sorted(names)


def test_a_parameter_of_that_name_is_no_type() -> None:
    assert "return T\n" in read("class A[T]:\n    def f(self, T):\n        return T\n")


def test_no_other_tree_is_changed() -> None:
    source = "rows[0]\n\nclass A(B[int]):\n    ..."
    assert read(source) == source


SHARED = """
import requests
class Repo[T]:
    def __init__(self, item: T):
        self.item = item
    def read(self, key):
        return self.item.get(key)
class Http(Repo[requests.Session]): ...
class Cache[T]:
    def __init__(self, item: T):
        self.item = item
    def read(self, key):
        return self.item.get(key)
def first[T](items: list[T]) -> T:
    return items[0]
@app.get("/")
async def route(key, cache: Cache = Depends()):
    {body}
"""


@pytest.mark.parametrize("body", ["cache.read(key)", "first([key]).get(key)"])
def test_what_one_class_is_given_is_no_guess_about_others(body: str) -> None:
    assert found(SHARED.replace("{body}", body)) == []


def test_what_a_class_is_given_is_a_guess_about_it() -> None:
    source = SHARED.replace("cache: Cache", "repo: Repo").replace("{body}", "repo.read(key)")
    assert sites(source) == ["Repo.read requests.Session.get"]


LOADERS = """
import time
from typing import Generic, TypeVar
class Loader:
    def load(self):
        time.sleep(1)
class Fast(Loader):
    def load(self):
        return 1
M = TypeVar("M", bound=Loader)
class New[K: Loader]:
    model: K
    def work(self):
        return self.model.load()
class Old(Generic[M]):
    model: M
    def work(self):
        return self.model.load()
class NewFast(New[Fast]): ...
class OldFast(Old[Fast]): ...
class NewSlow(New[Loader]): ...
def call[K: Loader](loader: K) -> K:
    loader.load()
    return loader
@app.get("/")
async def route({name}: {name} = Depends()):
    {body}
"""


@pytest.mark.parametrize("name", ["New", "Old", "NewSlow"])
@pytest.mark.parametrize("body", ["{name}.work()", "{name}.model.load()", "call({name}.model)"])
def test_a_variable_is_at_least_what_bounds_it(name: str, body: str) -> None:
    source = LOADERS.replace("{body}", body).replace("{name}", name)
    assert sites(source) == ["Loader.load time.sleep"]


@pytest.mark.parametrize("name", ["NewFast", "OldFast"])
def test_what_a_class_is_given_is_nearer_than_the_bound(name: str) -> None:
    source = LOADERS.replace("{body}", "{name}.model.load()").replace("{name}", name)
    assert sites(source) == []


def test_a_bound_of_somebody_else_leaves_what_classes_give() -> None:
    source = """
        import requests
        from pydantic import BaseModel
        class Client(BaseModel):
            session: requests.Session
        class Base[T: BaseModel]:
            held: T
        class Own(Base[Client]): ...
        x = Base().held.session
    """
    assert "requests.Session" in types_at_end(dedent(source), "x")


def test_a_class_that_is_a_bound_can_be_made() -> None:
    source = """
        import requests
        class Client(requests.Session): ...
        def make[T: Client](of: type[T]) -> T:
            x = of()
            return x
        x = make(None)
    """
    assert types_at_end(dedent(source), "x") == ("app:Client",)
