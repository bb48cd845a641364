"""A type checker names what is called; without one, or with a bad one, everything goes on."""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from unstall.audit import typeserver
from unstall.audit.typeserver import Question, question, settle

SOURCE = """
import http.client
import socket
import subprocess
from pathlib import Path

from shop import store


class Api:
    def __init__(self):
        self.connection = http.client.HTTPConnection("x")

    def go(self):
        self.connection.request("GET", "/")
        (Path("a") / "b").read_text()
        "é", self.connection.getresponse()
        store.load(1)
        subprocess.run(["true"])
        unknown().what()
"""

STORE = '''
def load(key: int) -> str:
    """A helper of the project's own."""
    return ""
'''

MODULES = {"shop/api.py": "shop.api", "shop/store.py": "shop.store", "shop/__init__.py": "shop"}

EXPECTED = {
    "self.connection.request": "http.client.HTTPConnection.request",
    "(Path('a') / 'b').read_text": "pathlib.Path.read_text",
    "self.connection.getresponse": "http.client.HTTPConnection.getresponse",
    "store.load": "shop.store:load",
    "subprocess.run": "subprocess.run",
}

ENVIRON = {k: v for k, v in os.environ.items() if k in ("HOME", "PATH", "XDG_CACHE_HOME")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "__init__.py").write_text("")
    (folder / "shop" / "api.py").write_text(SOURCE)
    (folder / "shop" / "store.py").write_text(STORE)
    return folder


def asked() -> dict[str, Question]:
    calls = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Call)]
    return {
        ast.unparse(call.func): each for call in calls if (each := question("shop/api.py", call))
    }


def answers(
    root: Path, environ: Mapping[str, str] = ENVIRON, seconds: float = 20.0
) -> dict[str, object]:
    """By the text of what is called."""
    questions = asked()
    found = settle(
        root,
        list(questions.values()),
        modules=MODULES,
        environ=environ,
        interpreter=Path(sys.executable),
        seconds=seconds,
    )
    return {text: found[each] for text, each in questions.items() if each in found}


def without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(typeserver, f"_{name}", lambda *_: None)


@pytest.mark.skipif(
    typeserver._found("ty", Path(sys.executable)) is None, reason="ty is not installed"
)
def test_ty_names_what_is_called(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "jedi")
    found = answers(root)
    assert {text: found.get(text) for text in EXPECTED} == {t: (n,) for t, n in EXPECTED.items()}
    assert "unknown().what" not in found


@pytest.mark.skipif(find_spec("jedi") is None, reason="jedi is not installed")
def test_jedi_names_most_of_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "ty")
    found = answers(root)
    for text in set(EXPECTED) - {"(Path('a') / 'b').read_text"}:
        assert found.get(text) == (EXPECTED[text],)
    assert "unknown().what" not in found


def test_without_a_type_checker_nothing_is_settled(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "ty")
    without(monkeypatch, "jedi")
    assert answers(root) == {}


def test_without_questions_nobody_is_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typeserver, "_ty", lambda *_: pytest.fail("asked"))
    assert settle(root, [], modules={}, environ={}) == {}


def test_a_call_of_a_call_is_no_question() -> None:
    call = ast.parse("f()()", mode="eval").body
    assert isinstance(call, ast.Call)
    assert question("x.py", call) is None


# --- servers that misbehave -----------------------------------------------------------------

SCRIPT = """#!{python}
import json, sys, time
def receive():
    length = 0
    while True:
        line = sys.stdin.buffer.readline()
        if not line: sys.exit()
        if line.lower().startswith(b"content-length"): length = int(line.split(b":")[1])
        if not line.strip(): return json.loads(sys.stdin.buffer.read(length))
def send(message):
    data = json.dumps(message).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\\r\\n\\r\\n" % len(data) + data)
    sys.stdout.buffer.flush()
{body}
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """A `ty` whose main loop is given; the environment in which it is found."""
    without(monkeypatch, "jedi")

    def install(body: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        path = folder / "ty"
        path.write_text(SCRIPT.format(python=sys.executable, body=body))
        path.chmod(0o755)
        monkeypatch.setattr(typeserver, "_found", lambda *_: str(path))
        return {"PATH": str(folder)}

    return install


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
class TestAServer:
    def test_that_ends_at_once_settles_nothing(
        self, root: Path, server: Callable[[str], dict[str, str]]
    ) -> None:
        assert answers(root, server("sys.exit(1)")) == {}

    def test_that_says_nothing_is_left_when_time_is_up(
        self, root: Path, server: Callable[[str], dict[str, str]]
    ) -> None:
        assert answers(root, server("while True: receive()"), seconds=0.3) == {}

    def test_that_speaks_nonsense_settles_nothing(
        self, root: Path, server: Callable[[str], dict[str, str]]
    ) -> None:
        body = "sys.stdout.write('Content-Length: 3\\r\\n\\r\\n{{{'); sys.stdout.flush(); time.sleep(60)"
        assert answers(root, server(body)) == {}

    def test_that_asks_back_gets_answers_and_gives_its_own(
        self, root: Path, server: Callable[[str], dict[str, str]]
    ) -> None:
        place = {
            "uri": (root / "shop" / "store.py").as_uri(),
            "range": {"start": {"line": 1, "character": 4}},
        }
        body = f"""
send({{"id": 900, "method": "workspace/configuration", "params": {{"items": [1, 2]}}}})
waiting, configured = [], False
while True:
    message = receive()
    if message.get("id") == 900:
        configured = message["result"] == [None, None]
    elif message.get("method") == "textDocument/definition":
        waiting.append(message["id"])
    while configured and waiting:
        send({{"id": waiting.pop(), "result": {json.dumps([place, place])}}})
"""
        found = answers(root, server(body))
        assert set(found) == set(asked())
        assert set(found.values()) == {("shop.store:load",)}

    def test_that_was_interrupted_is_asked_again(
        self, root: Path, server: Callable[[str], dict[str, str]]
    ) -> None:
        place = {"uri": (root / "shop" / "store.py").as_uri(), "range": {"start": {"line": 1}}}
        body = f"""
asked = 0
while True:
    message = receive()
    if message.get("method") == "textDocument/definition":
        asked += 1
        answer = {{"result": {json.dumps([place])}}}
        if asked % 2: answer = {{"error": {{"code": -32801, "message": "content modified"}}}}
        send({{"id": message["id"], **answer}})
"""
        assert set(answers(root, server(body))) == set(asked())


# --- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text", "line", "expected"),
    [
        ("SITE/lib_a/core.py", "class A:\n    def f(self): ...\n", 2, "lib_a.core.A.f"),
        ("SITE/lib_b/__init__.py", "def f(): ...\n", 1, "lib_b.f"),
        ("SITE/lib_c-stubs/x.pyi", "def f() -> None: ...\n", 1, "lib_c.x.f"),
        ("typeshed/abc/stdlib/a.pyi", "class A:\n    def f(self): ...\n", 2, "a.A.f"),
        ("typeshed/abc/stubs/docker/docker/api.pyi", "def f(): ...\n", 1, "docker.api.f"),
        ("lib/python3.12/b.py", "class B:\n    if True:\n        def f(self): ...\n", 3, "b.B.f"),
        ("SITE/v.py", "f = g = 1\n", 1, ""),
        ("elsewhere/x.py", "def f(): ...\n", 1, ""),
        ("SITE/broken.py", "def f(:\n", 1, ""),
    ],
)
def test_a_definition_is_named_by_where_it_stands(
    tmp_path: Path, path: str, text: str, line: int, expected: str
) -> None:
    file = tmp_path / path.replace("SITE", "lib/python3.12/site-packages")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    reader = typeserver._Reader(tmp_path / "project", {})
    assert reader.name(typeserver.Definition(file, line)) == expected


def test_what_stands_in_the_project_is_named_by_its_module(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("def outer():\n    def inner(): ...\n")
    reader = typeserver._Reader(tmp_path, {"app.py": "backend.app"})
    assert reader.name(typeserver.Definition(file, 2)) == "backend.app:outer.<locals>.inner"


def test_the_program_is_looked_for_beside_the_interpreter_first(tmp_path: Path) -> None:
    program = tmp_path / "ty"
    program.write_text("")
    program.chmod(0o755)
    assert typeserver._found("ty", tmp_path / "python") == str(program)
    assert typeserver._found("no-such-server", tmp_path / "python") is None
