"""An async function that nobody is seen to call: who may call it nevertheless, and who cannot."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import found
from unstall.model.finding import Confidence, Finding

SERVES = """
import asyncio, time
@app.get("/")
async def route(): ...
"""
NAP = """
async def nap():
    time.sleep(1)
"""
NAPPER = """
class Napper:
    async def nap(self):
        time.sleep(1)
"""

MADE = "napper = Napper()\n"

CALLED = {
    "by name in a table": NAP + "HANDLERS = {'nap': nap}\n",
    "by name, handed on": NAP + "queue.every(3, nap)\n",
    "by name, as a keyword": NAP + "queue.add(handler=nap)\n",
    "as a coroutine": NAP + "queue.add(nap())\n",
    "as a bound method": NAPPER + "queue.add(Napper().nap)\n",
    "returned by a closure": dedent("""
        def make():
            async def nap():
                time.sleep(1)
            return nap
        queue.add(make())
        """),
    "under another name": NAP + "from app import nap as doze\nqueue.add(doze)\n",
    "by a decorator of others": "@bus.on('night')" + NAP,
    "by a decorator of our own": dedent("""
        def job(function):
            return Job(function)
        @job
        async def nap():
            time.sleep(1)
        """),
    "by a class of others": "import bus\n" + NAPPER.replace("Napper", "Napper(bus.Consumer)"),
    "by a class that is not known": NAPPER.replace("Napper", "Napper(mixin())"),
    "by a class of others, though one below it has its own": "import bus\n"
    + NAPPER.replace("Napper", "Napper(bus.Consumer)")
    + MADE
    + "class Dozer(Napper):\n    async def nap(self): ...\n",
    "by a class of others, where one below it has its own and asks it": "import bus\n"
    + NAPPER.replace("Napper", "Napper(bus.Consumer)")
    + "class Dozer(Napper):\n    async def nap(self):\n        return super().nap()\n",
    "by a class of others beside it": "import bus\n"
    + NAPPER
    + "class Dozer(Napper, bus.Consumer): ...\n",
    "by a decorator of a class below": "import bus\n"
    + NAPPER
    + "@bus.handler\nclass Dozer(Napper): ...\n",
    "by a decorator of its class": "import bus\n@bus.handler" + NAPPER,
    "by others, who are given its object": "import bus\n" + NAPPER + "bus.listen(Napper())\n",
    "by others, who are given its object by name": "import bus\n"
    + NAPPER
    + "napper = Napper()\nbus.listen(to=napper)\n",
    "by others, who are given an object of a module": "import bus\n"
    + NAPPER
    + "napper = Napper()\nasync def lifespan(app):\n    bus.listen(napper)\nqueue.add(lifespan)\n",
    "by others, who are given an attribute": "import bus\n"
    + NAPPER
    + dedent("""
        class Owner:
            def __init__(self):
                self.napper = Napper()
                bus.listen(self.napper)
        queue.add(Owner())
        """),
    "by others, who are given a list": "import bus\n" + NAPPER + "bus.listen([Napper()])\n",
    "by others, who are given a tuple by name": "import bus\n"
    + NAPPER
    + "nappers = (1, Napper())\nbus.listen(nappers)\n",
    "by others, who are given a dict": "import bus\n"
    + NAPPER
    + "bus.listen({'a': {'b': Napper()}})\n",
    "by others, who are given what makes it": "import bus\n"
    + NAPPER
    + "bus.listen(lambda: Napper())\n",
    "by others, who are given its class": "import bus\n" + NAPPER + "bus.listen(Napper)\n",
    "by others, who are given an object of a class below": "import bus\n"
    + NAPPER
    + "class Dozer(Napper): ...\nbus.listen(Dozer())\n",
    "by others, whose constructor a class of ours inherits": "import bus\n"
    + NAPPER
    + "class Bus(bus.Bus): ...\nBus(Napper())\n",
    "by a text with its path": NAP + "queue.add('app:nap')\n",
    "by any name, of its module": NAP
    + "@app.get('/nap')\nasync def serve(name):\n    await globals()[name]()\n",
    "by any name, of its module as an object": "import sys\n"
    + NAP
    + "@app.get('/nap')\nasync def serve(name):\n    await getattr(sys.modules[__name__], name)()\n",
    "by any name, of an object that is kept": NAPPER
    + dedent("""
        from fastapi import Request
        app.state.napper = Napper()
        @app.get("/nap")
        async def serve(request: Request, name: str):
            await getattr(request.app.state.whatever, name)()
        """),
    "by any name in two steps, of an object that is kept": NAPPER
    + dedent("""
        kept = {"napper": Napper()}
        @app.get("/nap")
        async def serve(service, name):
            method = getattr(service, name, None)
            if method:
                await method()
        """),
    "by any name, of an object that is made later": dedent("""
        @app.get("/nap")
        async def serve(service, name):
            await getattr(service, name)()
        """)
    + NAPPER
    + "def make():\n    return Napper()\nqueue.add(make)\n",
    "through a base class that is called": dedent("""
        import abc
        class Base(abc.ABC):
            async def nap(self): ...
        class Napper(Base):
            async def nap(self):
                time.sleep(1)
        async def serve(napper: Base):
            await napper.nap()
        queue.add(serve)
        """),
}
CALLED_OF_AN_OBJECT = {
    "of an object that is not known": NAPPER
    + dedent("""
        from fastapi import Request
        @app.get("/nap")
        async def serve(request: Request):
            await request.app.state.napper.nap()
        """),
    "of an object that is not known, by who is mentioned": NAPPER
    + dedent("""
        async def serve(napper):
            await napper.nap()
        handlers.append(serve)
        """),
    "as an attribute of what is not known": NAPPER + "queue.add(make().nap)\n",
    "by others, who are given itself": "import bus\n"
    + NAPPER
    + "    def __init__(self):\n        bus.listen(self)\n",
    "by the language": NAPPER.replace("nap(self)", "__aenter__(self)"),
    "by its name as a text": NAPPER + "getattr(make(), 'nap')()\n",
    "by a text that is put together": NAPPER.replace("nap(", "on_nap(")
    + "def call(obj, kind):\n    getattr(obj, f'on_{kind}')()\ncall(1, 2)\n",
    "by a text that was put together before": NAPPER.replace("nap(", "on_nap(")
    + "def call(obj, kind):\n    name = f'on_{kind}'\n    getattr(obj, name)()\ncall(1, 2)\n",
    "by the sum of two texts": NAPPER.replace("nap(", "on_nap(")
    + "def call(obj, kind):\n    getattr(obj, 'on_' + kind)()\ncall(1, 2)\n",
    "by a text with a place in it": NAPPER.replace("nap(", "on_nap(")
    + "def call(obj, kind):\n    getattr(obj, 'on_%s' % kind)()\ncall(1, 2)\n",
    "by a template": NAPPER.replace("nap(", "nap_it(")
    + "def call(obj, kind):\n    getattr(obj, '{}_it'.format(kind))()\ncall(1, 2)\n",
    "by a member of its own object": dedent("""
        class Napper:
            async def nap(self):
                time.sleep(1)
            def __call__(self, name):
                return getattr(self, name)()
        """),
}
"""Of a class that somebody has to make one of."""
UNCALLED = {
    "nowhere": NAP,
    "nowhere, a method": NAPPER,
    "nowhere, though its object is made": NAPPER + "napper = Napper()\n",
    "nowhere, though its object is given to our own": NAPPER
    + "def keep(napper):\n    kept.append(1)\nkeep(Napper())\n",
    "nowhere, though its object is given to our own by name": NAPPER
    + "napper = Napper()\ndef keep(napper):\n    kept.append(1)\nkeep(to=[napper])\n",
    "nowhere, though its object is printed, logged and put into a list": "import logging\n"
    + NAPPER
    + "nappers = []\nnappers.append(Napper())\nprint(nappers)\nlogging.info('%s', nappers)\n",
    "nowhere, though its object is kept by others for us": "import collections\n"
    + NAPPER
    + "kept = collections.deque()\nkept.append(Napper())\n"
    + "waiting = asyncio.Queue()\nwaiting.put_nowait(Napper())\n",
    "nowhere, though its object is what another class of ours gets": NAPPER
    + "class Owner:\n    def __init__(self, napper): ...\nOwner([Napper()])\n",
    "nowhere, though a dependency is made of its class": NAPPER
    + "@app.get('/nap')\nasync def serve(napper=Depends(Napper)): ...\n",
    "nowhere, though a dependency makes its object": NAPPER
    + "def make():\n    return Napper()\n"
    + "@app.get('/nap')\nasync def serve(napper=Depends(make)): ...\n",
    "nowhere, though a field is read by any name": NAPPER
    + "app.state.napper = Napper()\n"
    + "@app.get('/nap')\nasync def serve(row, name):\n    return str(getattr(row, name))\n",
    "nowhere, though any method is called of another object": NAPPER
    + dedent("""
        import httpx
        app.state.napper = Napper()
        @app.get("/nap")
        async def serve(client: httpx.AsyncClient, name: str):
            await getattr(client, name)()
        """),
    "nowhere, though any method is called, for no object is made": NAPPER
    + dedent("""
        @app.get("/nap")
        async def serve(service, name):
            await getattr(service, name)()
        """),
    "nowhere, though a method of another name is called": NAPPER
    + dedent("""
        app.state.napper = Napper()
        @app.get("/nap")
        async def serve(service, kind):
            name = "on_" + kind
            await getattr(service, name)()
        """),
    "nowhere, though any function of its module is called": NAPPER
    + "@app.get('/nap')\nasync def serve(name):\n    await globals()[name]()\n",
    "nowhere, of a dataclass": "import dataclasses\n@dataclasses.dataclass" + NAPPER + MADE,
    "by itself": dedent("""
        async def nap(again):
            time.sleep(1)
            await nap(again - 1)
        """),
    "by a function that nobody calls": NAP + "async def helper():\n    await nap()\n",
    "by a plain function that nobody calls": NAP + "def helper():\n    return nap()\n",
    "of another object that is known": NAPPER
    + MADE
    + dedent("""
        import httpx
        @app.get("/nap")
        async def serve(client: httpx.AsyncClient):
            await client.nap()
        """),
    "where the name is a parameter": NAP
    + dedent("""
        @app.get("/nap")
        async def serve(nap: int):
            return nap
        """),
    "in __all__": NAP + "__all__ = ['nap']\n",
    "in its documentation": NAP + "def about():\n    'nap'\n",
    "imported and left": NAP + "from app import nap\n",
    "below a decorator that tells nobody": "import functools\n@functools.lru_cache" + NAP,
    "of a class above none of others": NAPPER
    + MADE
    + "class Dozer(Napper): ...\nimport bus\nclass Other(bus.Consumer): ...\n",
    "of a class of others, where each below it has its own": "import bus\n"
    + NAPPER.replace("Napper", "Napper(bus.Consumer)")
    + "class Dozer(Napper):\n    async def nap(self): ...\nbus.listen(Dozer)\n",
    "of a class that only inherits a shape": "import abc\n"
    + NAPPER.replace("Napper", "Napper(abc.ABC)")
    + MADE,
}
JOBS = """
import click
class Job:
    async def run(self):
        await self.work()
    async def work(self): ...
class Mail(Job):
    async def work(self): ...
class Napper(Job):
    async def work(self):
        time.sleep(1)
@app.get("/mail")
async def mail():
    await Mail().run()
"""
NAMED = {
    "in a module": "napper = Napper()\n",
    "in a function that a route calls": dedent("""
        def make():
            return Napper()
        @app.get("/nap")
        async def nap():
            kept.append(make)
        """),
    "in a function that a command and a route call": dedent("""
        def make():
            return Napper()
        @click.command()
        def command():
            make()
        @app.get("/nap")
        async def nap():
            make()
        """),
    "in a table": "JOBS = {'mail': Mail, 'nap': Napper}\n",
    "in a text": "JOBS = ['app:Mail', 'app:Napper']\n",
    "by its module": "import app as own\nnapper = own.Napper()\n",
    "as another name": "from app import Napper as Dozer\n",
    "below it": "class Dozer(Napper): ...\ndozer = Dozer()\n",
    "by any name, of its module": "def make(name):\n    return globals()[name]()\nmake('Nap' + 'per')\n",
    "by any name, of its module as an object": "import app as own\n"
    "def make(name):\n    return getattr(own, name)()\nmake('Nap' + 'per')\n",
    "by what imports any": "def make(name):\n    return import_string(name)()\nmake(read())\n",
    "by its base": "jobs = [each() for each in Job.__subclasses__()]\n",
}
NOT_NAMED = {
    "nowhere": "",
    "where it is imported": "from app import Napper\n",
    "in __all__": "__all__ = ['Napper']\n",
    "in a function that nobody calls": "def make():\n    return Napper()\n",
    "in a command": "@click.command()\ndef command():\n    kept = [Napper()]\n",
    "in what a command calls": "def make():\n    return Napper()\n"
    "@click.command()\ndef command():\n    make()\n",
    "as what another class inherits": "class Dozer(Napper): ...\n",
    "where any object of another module is found": "import httpx\n"
    "def make(name):\n    return getattr(httpx, name)()\nmake('Client')\n",
}
ORDERS = """
class Root:
    async def handle(self): ...
class Timed(Root):
    async def handle(self):
        await super().handle()
class Napper(Root):
    async def handle(self):
        time.sleep(1)
@app.get("/timed")
async def timed():
    await Timed().handle()
napper = Napper()
"""


@pytest.mark.parametrize("source", CALLED.values(), ids=CALLED)
def test_what_somebody_may_call_is_believed(source: str) -> None:
    (finding,) = _found(source)

    assert finding.confidence in (Confidence.LIKELY, Confidence.CERTAIN)


@pytest.mark.parametrize("source", CALLED_OF_AN_OBJECT.values(), ids=CALLED_OF_AN_OBJECT)
def test_what_may_be_called_of_an_object_is_believed_if_there_may_be_one(source: str) -> None:
    (made,) = _found(source + MADE)
    (unmade,) = _found(source)

    assert made.confidence is Confidence.LIKELY
    assert unmade.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize("named", NAMED.values(), ids=NAMED)
def test_an_override_is_believed_whose_class_is_named(named: str) -> None:
    (finding,) = _found(JOBS + named)

    assert finding.confidence is Confidence.LIKELY


@pytest.mark.parametrize("named", NOT_NAMED.values(), ids=NOT_NAMED)
def test_an_override_of_a_class_that_nobody_makes_is_possible(named: str) -> None:
    (finding,) = _found(JOBS + named)

    assert finding.confidence is Confidence.POSSIBLE


LISTED = {
    "a class": "class Job:\n    def __init_subclass__(cls):\n        jobs.append(cls)",
    "a metaclass": "class Listed(type): ...\nclass Job(metaclass=Listed):",
}


@pytest.mark.parametrize("listed", LISTED.values(), ids=LISTED)
def test_a_base_that_is_told_of_the_classes_below_names_them(listed: str) -> None:
    (finding,) = _found(JOBS.replace("class Job:", listed))

    assert finding.confidence is Confidence.LIKELY


def test_super_means_nothing_of_a_class_that_is_in_no_order_with_it() -> None:
    (beside,) = _found(ORDERS)
    (after,) = _found(ORDERS + "class Both(Timed, Napper): ...\nboth = Both()\n")

    assert beside.confidence is Confidence.POSSIBLE
    assert after.confidence is Confidence.LIKELY


@pytest.mark.parametrize("source", UNCALLED.values(), ids=UNCALLED)
def test_what_nobody_mentions_is_possible_and_says_why(source: str) -> None:
    (finding,) = _found(source)
    (evidence,) = finding.evidence

    assert finding.confidence is Confidence.POSSIBLE
    assert finding.entry is not None
    told = f"nobody was seen to call {finding.entry.name}, and it comes to time.sleep"
    assert evidence.because == told


def test_others_are_given_an_object_of_another_module() -> None:
    napper = "import time\n" + NAPPER + "napper = Napper()\n"
    (finding,) = found(SERVES + "import bus\nfrom naps import napper\nbus.listen(3, napper)\n",
                       naps=napper)  # fmt: skip

    assert finding.confidence is Confidence.LIKELY


def test_a_library_is_called_by_others() -> None:
    (finding,) = found("import time\n" + NAP)

    assert finding.confidence is Confidence.LIKELY


def test_a_test_calls_nothing_of_a_service() -> None:
    calls = "from app import nap\nasync def test_nap():\n    await nap()\n"
    (finding,) = found(SERVES + NAP, **{"tests/test_nap": calls})

    assert finding.confidence is Confidence.POSSIBLE


def test_what_only_such_a_function_comes_to_is_possible_as_well() -> None:
    helped = "def doze():\n    time.sleep(1)\nasync def nap():\n    doze()\n"
    (finding,) = found(SERVES + helped)
    served = found(SERVES + helped + "@app.get('/nap')\nasync def doing():\n    doze()\n")

    assert finding.confidence is Confidence.POSSIBLE
    assert [(each.confidence, [e.kind for e in each.entries]) for each in served] == [
        (Confidence.CERTAIN, ["route"])
    ]


def _found(source: str) -> list[Finding]:
    return found(SERVES + source)
