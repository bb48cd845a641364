"""Microseconds in a loop: shown where the loop may go round many times, possible where nothing says so."""

from __future__ import annotations

from textwrap import indent

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence, Finding

IMPORTS = """
import asyncio, glob, heapq, json, orjson, os, psutil
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated
import anyio
from fastapi import Body, Request, UploadFile, WebSocket
from pydantic import BaseModel
from pydantic_settings import BaseSettings
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
ROOT = Path("data")
class Config(BaseSettings):
    folders: list[str] = ["a"]
class Order(BaseModel):
    names: list[str]
    parts: dict[str, list[str]]
def config() -> Config: ...
def session() -> AsyncSession: ...
Settings = Annotated[Config, Depends(config)]
"""
ROUTE = "@app.get('/')\nasync def route({given}):\n"


def small(body: str, given: str = "", more: str = "") -> list[Finding]:
    """Calls of microseconds in a loop, in a route."""
    source = IMPORTS + more + ROUTE.format(given=given) + indent(body, "    ")
    return [each for each in found(source) if each.impact == "low" and _counted(each)]


def _counted(finding: Finding) -> bool:
    return any("takes microseconds" in (each.because or "") for each in finding.evidence)


def only(body: str, given: str = "", more: str = "") -> tuple[Confidence, str]:
    (finding,) = small(body, given, more)
    return finding.confidence, finding.evidence[0].because or ""


TREE, FOLDER = "every file of a tree", "all that a folder holds"
REQUEST, ROWS = "all that a request brings", "all rows of a query"


@pytest.mark.parametrize(
    ("body", "of"),
    [
        ("for p in ROOT.rglob('*'):\n    p.stat()", TREE),
        ("for top, _, files in os.walk('data'):\n    for f in files:\n        os.lstat(f)", TREE),
        ("for p in unknown.rglob('*'):\n    os.stat(p)", TREE),
        ("them = ROOT.iterdir()\nreturn [p for p in them\n if p.is_file()]", FOLDER),
        ("them = sorted(ROOT.glob('*'))\nreturn sum(p.is_file()\n for p in them)", FOLDER),
        ("for n, name in enumerate(os.listdir('data')):\n    os.path.isdir(name)", FOLDER),
        ("with os.scandir('data') as them:\n    for e in them:\n        os.stat(e.path)", FOLDER),
        ("them = glob.glob('data/*')\nreturn sorted(them, key=os.path.getmtime)", FOLDER),
        ("them = list(ROOT.iterdir())\nthem.sort(key=os.path.getmtime)", FOLDER),
        ("them = os.listdir('data')\nreturn list(map(os.path.getsize, them))", FOLDER),
        ("them = os.listdir('data')\nfor n in range(len(them)):\n    os.stat(them[n])", FOLDER),
        ("for name in os.listdir('data')[1:]:\n    os.stat(name)", FOLDER),
        ("for name in await asyncio.to_thread(os.listdir, 'data'):\n    os.stat(name)", FOLDER),
        ("async for p in anyio.Path('data').iterdir():\n    os.stat(p)", FOLDER),
        ("for n in psutil.pids():\n    psutil.pid_exists(n)", "every process of the machine"),
    ],
)
def test_a_loop_over_what_lies_on_the_machine_multiplies(body: str, of: str) -> None:
    confidence, because = only(body)

    assert confidence is Confidence.LIKELY
    assert because.endswith(f"takes microseconds, once for {of}")


@pytest.mark.parametrize(
    ("given", "body", "of"),
    [
        ("names: list[str]", "for name in names:\n    os.stat(name)", REQUEST),
        ("names: Annotated[list[str], Body()]", "for n in set(names):\n    os.stat(n)", REQUEST),
        ("files: list[UploadFile]", "for f in files:\n    os.stat(f.filename)", REQUEST),
        ("order: Order", "for name in order.names:\n    os.stat(name)", REQUEST),
        ("order: Order", "for name in order.parts['a']:\n    os.stat(name)", REQUEST),
        ("order: Order", "for name, _ in order.parts.items():\n    os.stat(name)", REQUEST),
        (
            "request: Request",
            "for name in (await request.json())['names']:\n    os.stat(name)",
            REQUEST,
        ),
        (
            "request: Request",
            "said = await request.json()\nfor n in said.get('n', []):\n    os.stat(n)",
            REQUEST,
        ),
        (
            "db: AsyncSession = Depends(session)",
            "for row in await db.scalars(select(1)):\n    os.stat(row.path)",
            ROWS,
        ),
        (
            "db: AsyncSession = Depends(session)",
            "rows = (await db.execute(select(1))).scalars().all()\n"
            "return [row for row in rows if os.path.exists(row.path)]",
            ROWS,
        ),
        ("", "for row in unknown.fetchall():\n    os.stat(row)", ROWS),
        ("", "for row in unknown.scalars().unique().all():\n    os.stat(row)", ROWS),
    ],
)
def test_so_does_one_over_what_a_request_brings_or_a_query_gives(
    given: str, body: str, of: str
) -> None:
    confidence, because = only(body, given)

    assert confidence is Confidence.LIKELY
    assert because.endswith(f"takes microseconds, once for {of}")


@pytest.mark.parametrize(
    "body",
    [
        "for name in ['a', 'b']:\n    os.stat(name)",
        "for name in ('a',):\n    os.stat(name)",
        "for name in {'a': 1, 'b': 2}:\n    os.stat(name)",
        "one = [ROOT]\nfor p in one:\n    p.resolve()",
        "for name in NAMES:\n    os.stat(name)",
        "for folder in settings.folders:\n    os.path.realpath(folder)",
        "for folder in os.environ['FOLDERS'].split(':'):\n    os.path.isdir(folder)",
        "for _ in range(3):\n    os.path.exists('ready')",
        "for _ in range(600):\n    os.path.exists('ready')\n    await asyncio.sleep(1)",
        "for _ in range(attempts):\n    os.path.exists('ready')",
        "while not os.path.exists('ready'):\n    await asyncio.sleep(1)",
        "for p in sorted(ROOT.iterdir())[:10]:\n    p.stat()",
        "for p in islice(ROOT.rglob('*'), 10):\n    p.stat()",
        "for p in ROOT.rglob('*'):\n    pass\nfor q in [p]:\n    q.stat()",
        "return any(Path(name).exists() for name in ('a', 'b'))",
        "for p in Path(__file__).parent.iterdir():\n    p.stat()",
        "for p in (ROOT / 'lib').glob('python*/site-packages'):\n    p.exists()",
        "for p in HERE.glob('*.py'):\n    p.stat()",
        "for part in list(ROOT.iterdir())[0].parts:\n    os.stat(part)",
        "for name in request.app.state.names:\n    os.stat(name)",
    ],
)
def test_one_over_a_few_or_over_nobody_knows_how_many_is_possible(body: str) -> None:
    given = "request: Request, settings: Settings, attempts: int = 3"
    names = "NAMES = ('a', 'b')\nHERE = Path(__file__).resolve().parent / 'plugins'\n"

    confidence, because = only(body, given, names)

    assert confidence is Confidence.POSSIBLE
    assert because.endswith("nothing shows that its loop goes round many times")


def test_one_call_outside_of_a_loop_stays_trivial() -> None:
    source = IMPORTS + ROUTE.format(given="name: str") + "    os.path.realpath(name)\n"

    assert [each.impact for each in found(source)] == ["trivial"]


def test_a_loop_in_a_helper_goes_over_what_callers_pass() -> None:
    helper = "def sizes(paths):\n    return [os.path.getsize(p) for p in paths]\n"

    few = only("return sizes(['a', 'b'])", more=helper)
    many = only("return sizes(list(ROOT.rglob('*')))", more=helper)

    assert few[0] is Confidence.POSSIBLE
    assert many == (Confidence.LIKELY, f"os.path.getsize takes microseconds, once for {TREE}")


def test_what_a_thread_passes_counts_for_that_thread_alone() -> None:
    helper = "def sizes(paths):\n    return [os.path.getsize(p) for p in paths]\n"
    other = "def nightly():\n    return sizes(list(ROOT.rglob('*')))\n"

    confidence, _ = only(
        "await asyncio.to_thread(sizes, os.listdir('data'))\nreturn sizes(['a'])",
        more=helper + other,
    )

    assert confidence is Confidence.POSSIBLE


def test_a_function_gives_as_many_as_it_is_given_by_this_call() -> None:
    helper = "def unique(them):\n    return list(dict.fromkeys(them))\n"

    few, many = small(
        "for a in unique(['a']):\n    os.stat(a)\nfor b in unique(ROOT.iterdir()):\n    os.stat(b)",
        more=helper,
    )

    assert (few.confidence, many.confidence) == (Confidence.POSSIBLE, Confidence.LIKELY)


@pytest.mark.parametrize(
    "gives",
    [
        "def them():\n    for p in ROOT.rglob('*'):\n        yield p\n",
        "def them():\n    yield from ROOT.rglob('*')\n",
        "def them():\n    return [p for p in ROOT.rglob('*') if p.suffix]\n",
        "def them():\n    a = []\n    for p in ROOT.rglob('*'):\n        a.append(p)\n    return a\n",
        "def them():\n    a = []\n    a.extend(ROOT.rglob('*'))\n    return a\n",
    ],
)
def test_what_a_function_of_ours_gives_is_followed(gives: str) -> None:
    confidence, because = only("for p in them():\n    os.stat(p)", more=gives)

    assert (confidence, TREE in because) == (Confidence.LIKELY, True)


def test_a_list_that_is_emptied_is_gone_over() -> None:
    start = "waiting = [ROOT]\nwhile waiting:\n    here = waiting.pop()\n    here.is_dir()\n"

    assert only(start)[0] is Confidence.POSSIBLE
    assert only(start + "    waiting.extend(here.iterdir())\n")[0] is Confidence.LIKELY


def test_an_object_holds_what_it_was_made_of() -> None:
    class_ = (
        "class Shop:\n"
        "    def __init__(self):\n        self.found = {found}\n"
        "    def look(self):\n        return [os.stat(p) for p in self.found]\n"
    )

    few = only("Shop().look()", more=class_.format(found="[ROOT]"))
    many = only("Shop().look()", more=class_.format(found="list(ROOT.rglob('*'))"))

    assert (few[0], many[0]) == (Confidence.POSSIBLE, Confidence.LIKELY)


def test_functions_that_pass_on_to_each_other_come_to_an_end() -> None:
    more = "def a(them):\n    return b(them)\ndef b(them):\n    return a(them)\n"

    assert only("for p in a(['x']):\n    os.stat(p)", more=more)[0] is Confidence.POSSIBLE


def test_a_file_that_is_read_counts_in_any_loop() -> None:
    (finding,) = found(
        IMPORTS + ROUTE.format(given="") + "    return [Path(n).read_text() for n in ('a', 'b')]\n"
    )

    assert (finding.confidence, finding.impact) == (Confidence.CERTAIN, "low")


SIZES = "def sizes(ps):\n    return [os.path.getsize(p) for p in ps]\n"
CLEAN = "def clean(ps):\n    return [p for p in ps if p]\n"


@pytest.mark.parametrize("first", ["few", "many"])
def test_one_caller_does_not_hide_another(first: str) -> None:
    few = "@app.get('/a')\nasync def few():\n    return sizes(clean(['x']))\n"
    many = "@app.post('/b')\nasync def many(names: list[str]):\n    return sizes(clean(names))\n"
    both = few + many if first == "few" else many + few

    assert only("pass", more=SIZES + CLEAN + both) == (
        Confidence.LIKELY,
        f"os.path.getsize takes microseconds, once for {REQUEST}",
    )
    assert only("pass", more=SIZES + CLEAN + few)[0] is Confidence.POSSIBLE


def test_nor_does_one_call_hide_another_of_the_same_function() -> None:
    body = "return sizes(clean({first}) + clean({second}))"
    more = SIZES + CLEAN

    assert only(body.format(first="['a']", second="ROOT.rglob('*')"), more=more)[0] is (
        Confidence.LIKELY
    )
    assert only(body.format(first="clean(ROOT.rglob('*'))", second="[]"), more=more)[0] is (
        Confidence.LIKELY
    )
    assert only(body.format(first="['a']", second="['b']"), more=more)[0] is Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("class_", "given", "made"),
    [
        ("class Batch(BaseModel):\n    names: list[str]\n", "batch: Batch", "batch"),
        ("class Batch(BaseModel):\n    names: list[str] = []\n", "batch: Batch", "batch"),
        ("@dataclass\nclass Batch:\n    names: list[str]\n", "batch: Batch", "batch"),
        ("@dataclass(slots=True)\nclass Batch:\n    names: list[str]\n", "batch: Batch", "batch"),
        ("@dataclass\nclass Batch:\n    names: list\n", "ns: list[str]", "Batch(ns)"),
        ("@dataclass\nclass Batch:\n    names: list\n", "ns: list[str]", "Batch(names=ns)"),
        ("class Batch(BaseModel):\n    names: list\n", "o: Order", "Batch(**o.model_dump())"),
        (
            "class Base:\n    def __init__(self, them):\n        self.names = them\n"
            "class Batch(Base):\n    kind = 'b'\n",
            "ns: list[str]",
            "Batch(ns)",
        ),
        (
            "class Base:\n    def __init__(self, them):\n        self.names = them\n"
            "class Batch(Base):\n    def __init__(self, k, them):\n"
            "        super().__init__(them)\n",
            "ns: list[str]",
            "Batch(1, ns)",
        ),
        (
            "class Batch:\n    def __init__(self, them):\n        self.names = []\n"
            "        for one in them:\n            self.names.append(one)\n",
            "ns: list[str]",
            "Batch(ns)",
        ),
        (
            "class Base:\n    def __init__(self):\n        self.names = []\n"
            "class Batch(Base):\n    def put(self, ns):\n        self.names += ns\n"
            "        return self\n",
            "ns: list[str]",
            "Batch().put(ns)",
        ),
        (
            "class Batch:\n    def __init__(self, them):\n        self.them = them\n"
            "    @property\n    def names(self):\n        return [n for n in self.them]\n",
            "ns: list[str]",
            "Batch(ns)",
        ),
    ],
)
def test_what_an_object_was_made_with_is_followed_into_its_methods(
    class_: str, given: str, made: str
) -> None:
    method = (
        "    def missing(self):\n        return [n for n in self.names if not os.path.exists(n)]\n"
    )

    confidence, because = only(f"return {made}.missing()", given, class_ + method)

    assert (confidence, REQUEST in because) == (Confidence.LIKELY, True)


@pytest.mark.parametrize(
    ("class_", "made"),
    [
        ("@dataclass\nclass Batch:\n    names: list\n", "Batch(['a'])"),
        ("@dataclass\nclass Batch:\n    names: list\n    more: list\n", "Batch(['a'], ns)"),
        ("class Batch(BaseModel):\n    names: list[str] = ['a']\n", "Batch()"),
        (
            "class Base:\n    def __init__(self, them):\n        self.names = them\n"
            "class Batch(Base):\n    def __init__(self, them):\n"
            "        super().__init__(['a'])\n",
            "Batch(ns)",
        ),
        (
            "class Base:\n    names = os.listdir('a')\nclass Batch(Base):\n    names = ['a']\n",
            "Batch()",
        ),
    ],
)
def test_an_object_that_was_made_with_a_few_holds_a_few(class_: str, made: str) -> None:
    method = (
        "    def missing(self):\n        return [n for n in self.names if not os.path.exists(n)]\n"
    )

    confidence, _ = only(f"return {made}.missing()", "ns: list[str]", class_ + method)

    assert confidence is Confidence.POSSIBLE


@pytest.mark.parametrize(
    "body",
    [
        "found = []\nfor n in names:\n    found.append(n)\nfor n in found:\n    os.stat(n)",
        "found = []\n[found.append(n) for n in names]\nfor n in found:\n    os.stat(n)",
        "every = ['a']\nevery += names\nfor n in every:\n    os.stat(n)",
        "every = set()\nevery |= set(names)\nfor n in every:\n    os.stat(n)",
        "every = []\nevery[:] = names\nfor n in every:\n    os.stat(n)",
        "d = {}\nfor n in names:\n    d[n] = 1\nfor n in d:\n    os.stat(n)",
        "d = {}\nfor n in names:\n    d[n] = 1\nfor n, _ in sorted(d.items()):\n    os.stat(n)",
        "g = defaultdict(list)\nfor n in names:\n    g[n[0]].append(n)\nfor n in g['a']:\n    os.stat(n)",
        "g = {}\nfor n in names:\n    g.setdefault(n[0], []).append(n)\n"
        "for k, ns in g.items():\n    pass\nfor n in ns:\n    os.stat(n)",
        "w = []\nfor n in names:\n    heapq.heappush(w, n)\nwhile w:\n    os.stat(heapq.heappop(w))",
        "d = {}\nd['a'] = names\nfor n in d['a']:\n    os.stat(n)",
        "one, *rest = names\nfor n in rest:\n    os.stat(n)",
        "more = {'few': ['a'], 'all': names}\nfor n in more['all']:\n    os.stat(n)",
        "rows = [['a'], names]\nfor n in rows[1]:\n    os.stat(n)",
        "for n in set(names).difference(['a']):\n    os.stat(n)",
        "for n in {'a'}.union(names):\n    os.stat(n)",
        "i = 0\nwhile i < len(names):\n    os.stat(names[i])\n    i += 1",
        "i = 0\nwhile len(names) > i:\n    os.stat(names[i])\n    i += 1",
        "if isinstance(names, list):\n    for n in names:\n        os.stat(n)",
    ],
)
def test_a_container_holds_what_is_put_into_it(body: str) -> None:
    few = body.replace("names", "['a', 'b']").replace("isinstance(['a', 'b'], list)", "body")
    given = "names: list[str]"

    confidence, because = only(body, given)

    assert (confidence, REQUEST in because) == (Confidence.LIKELY, True)
    assert only(few, given)[0] is Confidence.POSSIBLE


@pytest.mark.parametrize(
    "body",
    [
        "more = {'few': ['a'], 'all': names}\nfor n in more['few']:\n    os.stat(n)",
        "rows = [['a'], names]\nfor n in rows[0]:\n    os.stat(n)",
        "found = []\nwhile len(found) < 3:\n    found.append(1)\nfor n in found:\n    os.stat(n)",
        "d = {}\nd['a'] = names\nfor n in d:\n    os.stat(n)",
        "d = {}\nd['a'] = names\nd['b'] = ['b']\nfor n in d['b']:\n    os.stat(n)",
    ],
)
def test_the_part_that_is_gone_over_counts(body: str) -> None:
    assert only(body, "names: list[str]")[0] is Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("read", "given"),
    [
        ("json.loads(await request.body())['names']", "request: Request"),
        ("orjson.loads((await request.body()).decode())", "request: Request"),
        ("json.loads(await file.read())['names']", "file: UploadFile"),
        ("json.loads(said)", "said: str"),
        ("json.loads(await socket.receive_text())", "socket: WebSocket"),
        ("Order(**await request.json()).names", "request: Request"),
    ],
)
def test_what_is_read_as_json_is_as_long_as_the_request_says(read: str, given: str) -> None:
    confidence, because = only(f"for n in {read}:\n    os.stat(n)", given)

    assert (confidence, REQUEST in because) == (Confidence.LIKELY, True)


@pytest.mark.parametrize(
    "made",
    [
        "Order.model_validate(await request.json())",
        "Order.model_validate_json(await request.body())",
        "Order(**await request.json())",
    ],
)
def test_so_is_a_model_that_is_made_of_it(made: str) -> None:
    body = f"order: Order = {made}\nfor n in order.names:\n    os.stat(n)"

    confidence, because = only(body, "request: Request")

    assert (confidence, REQUEST in because) == (Confidence.LIKELY, True)


def test_what_is_read_from_a_file_of_ours_is_not() -> None:
    body = "for n in json.loads(os.environ['NAMES']):\n    os.stat(n)"

    assert only(body)[0] is Confidence.POSSIBLE


@pytest.mark.parametrize("taken", ["files, errors", "errors, files"])
def test_of_a_tuple_that_is_returned_the_element_counts(taken: str) -> None:
    collect = "def collect(root):\n    files = os.listdir(root)\n    return files, ['a']\n"
    body = f"{taken} = collect('data')\nfor n in files:\n    os.stat(n)"

    is_likely = only(body, more=collect)[0] is Confidence.LIKELY

    assert is_likely == (taken == "files, errors")


@pytest.mark.parametrize(
    "uses", ["from config import NAMES\n{route}NAMES", "import config\n{route}config.NAMES"]
)
@pytest.mark.parametrize(
    ("holds", "told"),
    [
        ("NAMES = sorted(os.listdir('data'))", Confidence.LIKELY),
        ("NAMES = []\nfor n in os.listdir('data'):\n    NAMES.append(n)", Confidence.LIKELY),
        ("from other import NAMES", Confidence.LIKELY),
        ("NAMES = ['a', 'b']", Confidence.POSSIBLE),
    ],
)
def test_a_list_of_another_module_is_followed(uses: str, holds: str, told: Confidence) -> None:
    route = "@app.get('/')\nasync def route():\n    return [os.stat(n) for n in "
    source = "import os\n" + uses.format(route=route) + "]\n"

    others = {"config": f"import os\n{holds}\n", "other": "import os\nNAMES = os.listdir('d')\n"}
    findings = [
        each for each in found(source, **others) if each.site and each.site.file == "app.py"
    ]

    assert [each.confidence for each in findings] == [told]


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("Path(__file__).parent", Confidence.POSSIBLE),
        ("Path(os.path.dirname(os.path.abspath(__file__)))", Confidence.POSSIBLE),
        ("HERE", Confidence.POSSIBLE),
        ("Path(os.path.dirname(__file__), 'uploads')", Confidence.LIKELY),
        ("Path(__file__).with_name('uploads')", Confidence.LIKELY),
        ("Path(f'{os.path.dirname(__file__)}/uploads')", Confidence.LIKELY),
        ("Path(__file__).parent / 'uploads'", Confidence.LIKELY),
        ("Path(__file__).parent.joinpath('uploads')", Confidence.LIKELY),
        ("Path(os.path.dirname(__file__) + '/uploads')", Confidence.LIKELY),
    ],
)
def test_a_folder_beside_the_code_is_one_for_data(folder: str, told: Confidence) -> None:
    more = "HERE = Path(__file__).resolve().parent\n"

    assert only(f"for p in ({folder}).iterdir():\n    p.stat()", more=more)[0] is told


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("os.listdir(f'{os.path.dirname(__file__)}/uploads')", Confidence.LIKELY),
        ("os.listdir(os.path.dirname(__file__))", Confidence.POSSIBLE),
        ("os.listdir(Path(__file__).resolve().parents[1])", Confidence.POSSIBLE),
        ("glob.glob(f'{os.path.dirname(__file__)}/*.py')", Confidence.POSSIBLE),
        ("glob.glob(os.path.join(os.path.dirname(__file__), '*.py'))", Confidence.POSSIBLE),
        ("glob.glob(os.path.join(os.path.dirname(__file__), '*.pdf'))", Confidence.LIKELY),
    ],
)
def test_code_beside_the_code_is_installed(listed: str, told: Confidence) -> None:
    assert only(f"for n in {listed}:\n    os.stat(n)")[0] is told


def test_an_async_function_that_is_handed_on_runs_on_the_loop_all_the_same() -> None:
    more = "async def look(names):\n    for n in names:\n        os.stat(n)\n"
    body = "tasks.add_task(look, {passed})"
    given = "tasks: BackgroundTasks, names: list[str]"

    assert only(body.format(passed="names"), given, more)[0] is Confidence.LIKELY
    assert only(body.format(passed="['a']"), given, more)[0] is Confidence.POSSIBLE


def test_so_does_an_async_method_with_what_its_object_holds() -> None:
    more = "@dataclass\nclass Batch:\n    names: list\n    async def look(self):\n"
    more += "        for n in self.names:\n            os.stat(n)\n"
    body = "batch = Batch({passed})\ntasks.add_task(batch.look)"
    given = "tasks: BackgroundTasks, names: list[str]"

    assert only(body.format(passed="names"), given, more)[0] is Confidence.LIKELY
    assert only(body.format(passed="['a']"), given, more)[0] is Confidence.POSSIBLE


def test_code_that_calls_itself_in_many_ways_comes_to_an_end() -> None:
    calls = " + ".join(f"f{n}(f{(n + 1) % 9}(them))" for n in range(9))
    more = "".join(f"def f{n}(them):\n    return {calls}\n" for n in range(9))
    more += "class Node:\n    def __init__(self, up):\n        self.up = up.up.up\n"

    confidence, _ = only("for n in f0(Node(['a']).up):\n    os.stat(n)", more=more)

    assert confidence is Confidence.POSSIBLE


@pytest.mark.parametrize("put", ["into.append(p)", "into[p] = 1", "more(p, into)"])
def test_a_function_fills_what_it_is_passed(put: str) -> None:
    more = "def more(p, into):\n    into.append(p)\n"
    more += f"def gather(paths, *, into):\n    for p in paths:\n        {put}\n"
    body = "them = []\ngather({paths}, into=them)\nfor p in them:\n    os.stat(p)"

    few, many = body.format(paths="['a']"), body.format(paths="os.listdir('data')")

    assert only(many, more=more)[0] is Confidence.LIKELY
    assert only(few, more=more)[0] is Confidence.POSSIBLE


def test_of_what_a_function_is_passed_it_fills_only_some() -> None:
    more = "def gather(paths, few, many):\n    few.append(1)\n"
    more += "    for p in paths:\n        many.append(p)\n"
    body = "a, b = [], []\ngather(os.listdir('data'), a, b)\nfor p in {over}:\n    os.stat(p)"

    assert only(body.format(over="a + b"), more=more)[0] is Confidence.LIKELY
    assert only(body.format(over="a"), more=more)[0] is Confidence.POSSIBLE


def test_so_does_one_that_calls_itself_for_all_that_lies_below() -> None:
    more = "def gather(root, into):\n    into.append(root)\n"
    more += "    for p in {below}:\n        gather(p, into)\n"
    body = "them = []\ngather(ROOT, them)\nfor p in them:\n    os.stat(p)"

    assert only(body, more=more.format(below="os.listdir(root)"))[0] is Confidence.LIKELY
    assert only(body, more=more.format(below="['a', 'b']"))[0] is Confidence.POSSIBLE


def test_modules_that_import_a_name_from_each_other_come_to_an_end() -> None:
    source = "import os\nfrom a import NAMES\n@app.get('/')\nasync def route():\n"
    source += "    return [os.stat(n) for n in NAMES]\n"

    (finding,) = found(source, a="from b import NAMES\n", b="from a import NAMES\n")

    assert finding.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("given", "over", "told"),
    [
        ("names=Depends(listed)", "names", Confidence.LIKELY),
        ("names: Annotated[list[str], Depends(listed)]", "names", Confidence.LIKELY),
        ("names: Listed", "names", Confidence.LIKELY),
        ("names: list[str] = Depends(asked)", "names", Confidence.LIKELY),
        ("both=Depends(two)", "both[1]", Confidence.LIKELY),
        ("both=Depends(two)", "both[0]", Confidence.POSSIBLE),
        ("page: Page = Depends()", "page.names", Confidence.LIKELY),
        ("page: Annotated[Filters, Depends()]", "page.names", Confidence.LIKELY),
        ("page: Filters = Depends(Filters)", "page.names", Confidence.LIKELY),
        ("names: list[str] = Depends(few)", "names", Confidence.POSSIBLE),
        ("settings: Config = Depends()", "settings.folders", Confidence.POSSIBLE),
    ],
)
def test_what_a_dependency_gives_is_followed(given: str, over: str, told: Confidence) -> None:
    more = (
        "async def listed():\n    yield os.listdir('data')\n"
        "def asked(names: list[str] = Body()):\n    return [n for n in names]\n"
        "def two():\n    return ['a'], os.listdir('data')\n"
        "def few() -> list[str]:\n    return ['a']\n"
        "Listed = Annotated[list[str], Depends(listed)]\n"
        "class Page(BaseModel):\n    names: list[str]\n"
        "class Filters:\n    def __init__(self, names: list[str] = Body()):\n"
        "        self.names = names\n"
    )

    assert only(f"for n in {over}:\n    os.stat(n)", given, more)[0] is told


def test_one_loop_that_leads_nowhere_does_not_hide_the_next() -> None:
    more = "def pick(a, b):\n    return [p for p in b]\n"
    more += "def few(ps):\n    for p in pick(ps, ['a']):\n        os.lstat(p)\n"
    more += "def many(ps):\n    for p in pick(ps, ps):\n        os.stat(p)\n"

    findings = small("few(os.listdir('a'))\nmany(os.listdir('a'))", more=more)

    assert {each.site.call: each.confidence for each in findings if each.site} == {
        "os.lstat": Confidence.POSSIBLE,
        "os.stat": Confidence.LIKELY,
    }


BOUNDED = """
from enum import Enum
from typing import Literal, Optional
from fastapi import Query
from pydantic import ConfigDict, Field, RootModel
LIMIT = 5
class Kind(str, Enum):
    A = "a"
Names = Annotated[list[str], Query(max_length=3)]
Free = Annotated[list[str], Query()]
class Line(BaseModel):
    few: list[str] = Field(max_length=3)
    tags: list[str]
class Basket(BaseModel):
    pair: tuple[str, str]
    both: Optional[tuple[str, str]] = None
    few: list[str] = Field(max_length=3)
    said: Annotated[list[str], Field(max_length=4)] | None = None
    named: list[str] = Field(max_length=LIMIT)
    kinds: set[Kind]
    words: dict[Literal["w", "h"], str]
    flags: frozenset[bool]
    line: Line
    lines: list[Line] = Field(max_length=3)
    rest: tuple[str, ...]
    lot: list[str] = Field(max_length=100_000)
    short: list[Annotated[str, Field(max_length=3)]]
    order: list[Kind]
    texts: dict[str, Kind]
    unbounded: list[str] = Field(max_length=None)
class More(Basket):
    model_config = ConfigDict(extra="allow")
class Whole(RootModel[list[str]]): ...
"""


@pytest.mark.parametrize(
    ("over", "given"),
    [
        ("basket.pair", "basket: Basket"),
        ("basket.both", "basket: Basket"),
        ("basket.few", "basket: Basket"),
        ("basket.few", "basket: Annotated[Basket, Body()]"),
        ("basket.few", "basket: Basket = Depends()"),
        ("basket.said", "basket: Basket | None"),
        ("basket.named", "basket: Basket"),
        ("basket.kinds", "basket: Basket"),
        ("basket.words.items()", "basket: Basket"),
        ("basket.flags", "basket: Basket"),
        ("basket.line.few", "basket: Basket"),
        ("(f for line in basket.lines for f in line.few)", "basket: Basket"),
        ("basket.model_dump()", "basket: Basket"),
        ("basket.model_dump().items()", "basket: Basket"),
        ("basket.dict()['few']", "basket: Basket"),
        ("names", "names: Annotated[list[str], Query(max_length=3)]"),
        ("names", "names: list[str] = Query(..., max_length=3)"),
        ("names", "names: Names"),
        ("names", "names: set[Kind]"),
        ("names", "names: tuple[str, str]"),
    ],
)
def test_what_a_request_brings_is_few_where_its_annotation_says_so(over: str, given: str) -> None:
    assert only(f"for n in {over}:\n    os.stat(n)", given, BOUNDED)[0] is Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("over", "given"),
    [
        ("basket.rest", "basket: Basket"),
        ("basket.lot", "basket: Basket"),
        ("basket.short", "basket: Basket"),
        ("basket.order", "basket: Basket"),
        ("basket.texts", "basket: Basket"),
        ("basket.unbounded", "basket: Basket"),
        ("basket.line.tags", "basket: Basket"),
        ("(t for line in basket.lines for t in line.tags)", "basket: Basket"),
        ("basket.model_dump()['rest']", "basket: Basket"),
        ("(n for part in basket.model_dump().values() for n in part)", "basket: Basket"),
        ("more.model_dump()", "more: More"),
        ("whole.model_dump()", "whole: Whole"),
        ("names", "names: Free"),
        ("names", "names: list[Annotated[str, Query(max_length=3)]]"),
        ("names", "names: Annotated[list[str], Query(min_length=3)]"),
    ],
)
def test_where_it_bounds_nothing_or_only_parts_it_may_be_many(over: str, given: str) -> None:
    confidence, because = only(f"for n in {over}:\n    os.stat(n)", given, BOUNDED)

    assert (confidence, REQUEST in because) == (Confidence.LIKELY, True)
