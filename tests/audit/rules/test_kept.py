"""What becomes of a client that a function makes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from unstall.audit.entrances_read import index
from unstall.audit.program import read, work_out
from unstall.audit.rules.kept import Fate, fate
from unstall.audit.rules.subject import Subject
from unstall.catalog.table import default

KEPT = {
    "in an attribute": "self.client = Client()",
    "in a subscript": "cache['a'] = Client()",
    "later": "client = Client()\nself.client = client",
    "in a collection": "clients.append(Client())",
    "in a global": "global client\nclient = Client()",
    "in a tuple": "self.both = (1, Client())",
    "if there was none": "self.client = self.client or Client()",
    "as a part of it": "self.pool = Client().pool",
}
LET_GO = {
    "used at once": "Client().get('a')",
    "a local name": "client = Client()\nclient.get('a')",
    "entered": "with Client() as client:\n    client.get('a')",
    "entered, and used in what is returned": "with Client() as client:\n    return client.get('a')",
    "awaited": "client = await Client()\nawait client.get('a')",
    "a statement": "Client()",
    "asked in an attribute": "self.found = Client().get('a')",
    "a part, in a local name": "pool = Client().pool",
}
LENT = {
    "to a function": "client = Client()\nfetch(client, 'a')",
    "at once": "fetch(Client(), 'a')",
    "to one that is made here": "client = Client()\ndef ask():\n    return client.get('a')",
    "to a lambda": "client = Client()\nask = lambda: client.get('a')",
}
RETURNED = {
    "at once": "return Client()",
    "later": "client = Client()\nreturn client",
    "yielded": "with Client() as client:\n    yield client",
    "with others": "return Client(), 1",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str, tmp_path: Path) -> None:
    assert _fate(body, tmp_path) is Fate.KEPT


@pytest.mark.parametrize("body", LET_GO.values(), ids=LET_GO)
def test_let_go(body: str, tmp_path: Path) -> None:
    assert _fate(body, tmp_path) is Fate.LET_GO


@pytest.mark.parametrize("body", RETURNED.values(), ids=RETURNED)
def test_returned(body: str, tmp_path: Path) -> None:
    assert _fate(body, tmp_path) is Fate.RETURNED


@pytest.mark.parametrize("body", LENT.values(), ids=LENT)
def test_lent(body: str, tmp_path: Path) -> None:
    assert _fate(body, tmp_path) is Fate.LENT


def test_given_to_another_object_it_may_live_on(tmp_path: Path) -> None:
    assert _fate("service = Service(Client())\nreturn service.load()", tmp_path) is Fate.HANDED_ON


@pytest.mark.parametrize("cache", ["functools.cache", "functools.lru_cache(maxsize=1)", "my_cache"])
def test_under_a_cache_it_is_kept(cache: str, tmp_path: Path) -> None:
    assert _fate("return Client()", tmp_path, f"@{cache}\n") is Fate.KEPT


def _fate(body: str, folder: Path, decorator: str = "") -> Fate:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    (folder / "main.py").write_text(
        f"import functools\n\n\n{decorator}async def make(self, cache):\n{lines}"
    )
    parsed, unread = read(folder)
    worked = work_out(folder, parsed, unread, default())
    subject = Subject(worked, default(), index(worked.program.modules))
    use = next(iter(subject.index.uses("Client")))
    assert isinstance(use.call, ast.Call)
    return fate(subject, use)
