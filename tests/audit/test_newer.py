"""Syntax that is newer than this Python is read all the same: the same calls on the same lines."""

from __future__ import annotations

import ast

import pytest

from tests.audit.reading import sites
from unstall.audit import newer
from unstall.audit.newer import rewrites
from unstall.audit.source import parse

NEWER = {
    "type parameters": "def pick[T: tuple[int, ...]](x: T) -> T:\n    return load(x)\n",
    "parameters over lines": "class Box[\n    A: list[dict[str, int]],\n    *B,\n](C):\n    x = make()\n",
    "async": "async def pick[**P](x):\n    await load(x)\n",
    "an alias": "type Rows[T: list[int]] = dict[str, T]\nload()\n",
    "a plain alias": "type Rows = dict[str, int]\nload()\n",
    "quotes again": "def f(a):\n    return f'x {load(a, 'b')} y'\n",
    "quotes again in parts": "x = ('a'\n     f\"mail eq '{get(\"'\", \"''\")}'\"\n     'c')\nload()\n",
    "a backslash": "x = f\"{'\\n'.join(names())}\"\nload()\n",
    "a comment and lines": 'x = f"{\n    load()  # why\n}"\nmore()\n',
    "a format": "x = f'{load('a'):>{width('b')}} {{}} {y!r}'\n",
    "except": "try:\n    load()\nexcept A, b.C:\n    more()\n",
    "a template": "x = t'{load()}'\nmore()\n",
    "all at once": "type A = int\ndef f[T](a: T):\n    return f'{load('b')}'\n",
}
CALLS = {
    "quotes again": [(2, "load")],
    "quotes again in parts": [(2, "get"), (4, "load")],
    "a backslash": [(1, "join"), (1, "names"), (2, "load")],
    "a comment and lines": [(2, "load"), (4, "more")],
    "a format": [(1, "load"), (1, "width")],
    "type parameters": [(2, "load")],
    "parameters over lines": [(5, "make")],
    "async": [(2, "load")],
    "an alias": [(2, "load")],
    "a plain alias": [(2, "load")],
    "except": [(2, "load"), (4, "more")],
    "a template": [(1, "load"), (2, "more")],
    "all at once": [(3, "load")],
}


def calls(tree: ast.AST) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = (
                node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            )
            found.append((node.lineno, name))
    return sorted(found)


@pytest.mark.parametrize("name", NEWER)
def test_the_calls_of_newer_source_are_found_on_their_lines(name: str) -> None:
    tree = parse(NEWER[name].encode())
    assert not isinstance(tree, str), tree
    last = NEWER[name].count("\n")
    assert [each for each in calls(tree) if each[0] <= last] == CALLS[name]


@pytest.mark.parametrize("name", NEWER)
def test_what_it_becomes_is_older_syntax(name: str) -> None:
    """Also where this Python could read the newer one."""
    *_, oldest = rewrites(NEWER[name])
    assert calls(ast.parse(oldest, feature_version=(3, 11))) == CALLS[name]


@pytest.mark.parametrize(
    "source",
    [
        "x = f'{a} {b[\"c\"]}' 'd'\n",
        "y = '[f(x)]'  # f'{'\n",
        "def f(a: list[int]) -> None: ...\n",
        "type = 3\ntype(x)\nmatch = type [0]\n",
        "except_ = 1, 2\n",
        "z = rf'{a}\\{b}' f'''{c}\n'''\n",
    ],
)
def test_older_source_is_left_as_it_is(source: str) -> None:
    assert list(rewrites(source)) == []


def test_source_that_is_in_no_syntax_is_not_read() -> None:
    assert isinstance(parse(b"def f[(:\n"), str)
    assert isinstance(parse(b"x = f'{a\n"), str)


def test_the_end_of_a_bracket_is_not_looked_for_through_a_whole_broken_file() -> None:
    far = f"def a[{' ' * 3_000}]():\n    pass\n"

    assert list(newer.rewrites(far)) == []
    assert list(newer.rewrites(far.replace(" " * 3_000, "T")))


def test_what_lies_in_brackets_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    closed = newer.closed

    def look(text: str, start: int) -> int | None:
        looked.append(start)
        return closed(text, start)

    monkeypatch.setattr(newer, "closed", look)

    assert list(newer.rewrites("def f[" + "\ndef g[" * 100 + "]" * 101 + "():\n    pass\n"))
    assert looked == [5]


@pytest.mark.parametrize("bound", ["", ": Model", ": object"])
def test_what_a_class_with_parameters_of_its_own_holds_is_found(bound: str) -> None:
    """Through who says what it is, and for one keeper only: another one holds what computes nothing."""
    source = """
        import onnxruntime
        class Model:
            def __call__(self, samples): ...
        class Voice(Model):
            session: onnxruntime.InferenceSession
            def __call__(self, samples):
                return self.session.run(None, samples)
        class Words(Model):
            def __call__(self, samples):
                return [samples]
        class Loaded[T{bound}]:
            def __init__(self, load):
                self.load = load
                self.model: T | None = None
            def __enter__(self) -> T:
                return self.model or self.load()
            def __exit__(self, *error): ...
        class Models[T{bound}]:
            def loaded(self) -> Loaded[T]:
                return Loaded[T](self.make)
        class Voices(Models[Voice]): ...
        class Vocabulary(Models[Words]): ...
        @app.get("/")
        async def route(samples):
            with {keeper}().loaded() as model:
                return model(samples)
    """
    source = source.replace("{bound}", bound)

    assert sites(source.replace("{keeper}", "Voices")) == [
        "Voice.__call__ onnxruntime.InferenceSession.run"
    ]
    assert sites(source.replace("{keeper}", "Vocabulary")) == []
