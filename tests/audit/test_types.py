"""The class of a receiver is found where people write it down, and nowhere else."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tests.audit.reading import types_at_end

SESSION = "sqlalchemy.orm.Session"
CASES = {
    "constructor": ("""
        import requests
        x = requests.Session()
    """, "requests.Session"),
    "annotated name": ("""
        from sqlalchemy.orm import Session
        x: Session = make()
    """, SESSION),
    "annotated with the module of its class": ("""
        from PIL import Image
        x: Image = make()
    """, "PIL.Image.Image"),
    "annotated with a module that is written small": ("""
        import socket
        x: socket = make()
    """, "socket.socket"),
    "annotated with a class that is called as its module": ("""
        from datetime import datetime
        x: datetime = make()
    """, "datetime.datetime"),
    "annotated with a module of no such class": ("""
        from PIL import ImageFilter
        x: ImageFilter = make()
    """, "PIL.ImageFilter"),
    "factory": ("""
        import boto3
        x = boto3.client('s3')
    """, "botocore.client.BaseClient"),
    "two steps": ("""
        from sqlalchemy.orm import sessionmaker
        make = sessionmaker()
        x = make()
    """, SESSION),
    "with": ("""
        from sqlalchemy.orm import Session
        with Session(e) as x:
            pass
    """, SESSION),
    "path division": ("""
        from pathlib import Path
        x = Path('a') / 'b' / 'c'
    """, "pathlib.Path"),
    "path parent": ("""
        from pathlib import Path
        x = Path(__file__).parent / 'b'
    """, "pathlib.Path"),
    "walrus": ("""
        import requests
        if (x := requests.Session()):
            pass
    """, "requests.Session"),
    "tuple": ("""
        import requests
        x, y = requests.Session(), 1
    """, "requests.Session"),
    "or": ("""
        import requests
        x = None or requests.Session()
    """, "requests.Session"),
    "choice": ("""
        import requests
        x = requests.Session() if a else None
    """, "requests.Session"),
    "loop over a literal": ("""
        import requests
        for x in [requests.Session()]:
            pass
    """, "requests.Session"),
    "comprehension": ("""
        import requests
        x = [s for s in [requests.Session()]][0]
    """, "requests.Session"),
    "dict of classes": ("""
        class A: ...
        d = {'a': A}
        x = d['a']()
    """, "app:A"),
    "appended": ("""
        import requests
        l = []
        l.append(requests.Session())
        x = l[0]
    """, "requests.Session"),
    "put into a dict": ("""
        import requests
        d = {}
        d['a'] = requests.Session()
        x = d['a']
    """, "requests.Session"),
    "dict.get": ("""
        class A: ...
        d = {'a': A()}
        x = d.get('a')
    """, "app:A"),
    "dict.items": ("""
        class A: ...
        for k, x in {'a': A()}.items():
            pass
    """, "app:A"),
    "enumerate": ("""
        class A: ...
        for i, x in enumerate([A()]):
            pass
    """, "app:A"),
    "next": ("""
        class A: ...
        x = next(iter([A()]))
    """, "app:A"),
    "optional": ("""
        import requests
        from typing import Optional
        x: Optional[requests.Session] = None
    """, "requests.Session"),
    "bar": ("""
        import requests
        x: requests.Session | None = None
    """, "requests.Session"),
    "string": ("""
        import requests
        x: 'requests.Session' = f()
    """, "requests.Session"),
    "list element": ("""
        import requests
        l: list[requests.Session] = f()
        x = l[0]
    """, "requests.Session"),
    "dict value": ("""
        import requests
        d: dict[str, requests.Session] = f()
        x = d['a']
    """, "requests.Session"),
    "returned": ("""
        import requests
        def f():
            return requests.Session()
        x = f()
    """, "requests.Session"),
    "said to return": ("""
        import requests
        def f() -> requests.Session: ...
        x = f()
    """, "requests.Session"),
    "passed through": ("""
        import requests
        def f(a):
            return a
        x = f(requests.Session())
    """, "requests.Session"),
    "global": ("""
        import requests
        x = None
        def f():
            global x
            x = requests.Session()
    """, "requests.Session"),
    "attribute": ("""
        import requests
        class A:
            def __init__(self):
                self.s = requests.Session()
        x = A().s
    """, "requests.Session"),
    "later attribute": ("""
        import requests
        class A:
            s = None
            def up(self):
                self.s = requests.Session()
        x = A().s
    """, "requests.Session"),
    "passed to init": ("""
        import requests
        class A:
            def __init__(self, s: requests.Session):
                self.s = s
        x = A(1).s
    """, "requests.Session"),
    "untyped init": ("""
        import requests
        class A:
            def __init__(self, s):
                self.s = s
        x = A(requests.Session()).s
    """, "requests.Session"),
    "dataclass field": ("""
        import requests
        from dataclasses import dataclass
        @dataclass
        class A:
            s: requests.Session
        x = A(1).s
    """, "requests.Session"),
    "inherited": ("""
        import requests
        class A:
            def __init__(self):
                self.s = requests.Session()
        class B(A): ...
        x = B().s
    """, "requests.Session"),
    "of a subclass": ("""
        import requests
        class A:
            def go(self):
                return self.s
        class B(A):
            s = requests.Session()
        x = A().go()
    """, "requests.Session"),
    "property": ("""
        import requests
        class A:
            @property
            def s(self):
                return requests.Session()
        x = A().s
    """, "requests.Session"),
    "set from outside": ("""
        import requests
        class A:
            def __init__(self):
                self.s = None
        a = A()
        a.s = requests.Session()
        x = a.s
    """, "requests.Session"),
    "class method": ("""
        class A:
            @classmethod
            def make(cls):
                return cls()
        class B(A): ...
        x = B.make()
    """, "app:B"),
    "returns self": ("""
        class A:
            def go(self):
                return self
        class B(A): ...
        x = B().go()
    """, "app:B"),
    "Self": ("""
        from typing import Self
        class A:
            def go(self) -> Self: ...
        x = A().go()
    """, "app:A"),
    "context manager": ("""
        import requests
        from contextlib import contextmanager
        @contextmanager
        def f():
            yield requests.Session()
        with f() as x:
            pass
    """, "requests.Session"),
    "made a manager": ("""
        import requests
        from contextlib import contextmanager
        def f():
            yield requests.Session()
        g = contextmanager(f)
        with g() as x:
            pass
    """, "requests.Session"),
    "own enter": ("""
        import requests
        class A:
            def __enter__(self):
                return requests.Session()
        with A() as x:
            pass
    """, "requests.Session"),
    "closing": ("""
        import requests
        from contextlib import closing
        with closing(requests.Session()) as x:
            pass
    """, "requests.Session"),
    "exit stack": ("""
        import requests
        from contextlib import ExitStack
        with ExitStack() as stack:
            x = stack.enter_context(requests.Session())
    """, "requests.Session"),
    "generator": ("""
        import requests
        def f():
            yield requests.Session()
        for x in f():
            pass
    """, "requests.Session"),
    "callable object": ("""
        import requests
        class A:
            def __call__(self):
                return requests.Session()
        x = A()()
    """, "requests.Session"),
    "super": ("""
        import requests
        class A:
            def s(self):
                return requests.Session()
        class B(A):
            def t(self):
                return super().s()
        x = B().t()
    """, "requests.Session"),
    "cast": ("""
        import requests
        from typing import cast
        x = cast(requests.Session, f())
    """, "requests.Session"),
    "isinstance": ("""
        import requests
        def f(a):
            if isinstance(a, requests.Session):
                return a
            return None
        x = f(1)
    """, "requests.Session"),
    "alias of a type": ("""
        import requests
        from typing import Annotated
        T = Annotated[requests.Session, 1]
        x: T = f()
    """, "requests.Session"),
    "type of class": ("""
        class A: ...
        def f(c: type[A]):
            return c()
        x = f(A)
    """, "app:A"),
    "wrapped": ("""
        import requests, functools
        def deco(f):
            @functools.wraps(f)
            def inner(*a):
                return f(*a)
            return inner
        @deco
        def g():
            return requests.Session()
        x = g()
    """, "requests.Session"),
    "field with a default": ("""
        import requests
        from dataclasses import dataclass, field
        @dataclass
        class A:
            s: requests.Session = field(default_factory=make)
        x = A(1).s
    """, "requests.Session"),
    "dependency of a class-based view": ("""
        from fastapi import Depends
        from sqlalchemy.orm import Session
        class View:
            db: Session = Depends(get_db)
        x = View().db
    """, SESSION),
    "type of self": ("""
        class A:
            def other(self):
                return type(self)()
        class B(A): ...
        x = B().other()
    """, "app:B"),
    "run in an executor": ("""
        import asyncio, requests
        def make():
            return requests.Session()
        async def f():
            return await asyncio.get_running_loop().run_in_executor(None, make)
        async def g():
            return await f()
        class A:
            async def up(self):
                self.s = await g()
        x = A().s
    """, "requests.Session"),
    "result of a future": ("""
        import requests
        from concurrent.futures import ThreadPoolExecutor
        x = ThreadPoolExecutor().submit(requests.Session).result()
    """, "requests.Session"),
    "everything of a library": ("""
        from requests import *
        x = Session()
    """, "requests.Session"),
    "getattr": ("""
        import requests
        class A:
            s = requests.Session()
        x = getattr(A(), 's')
    """, "requests.Session"),
    "one by chance": ("""
        import random, requests
        x = random.choice([requests.Session() for _ in range(3)])
    """, "requests.Session"),
    "the next of a ring": ("""
        import itertools, requests
        ring = itertools.cycle((requests.Session(), requests.Session()))
        x = next(ring)
    """, "requests.Session"),
    "out of several chained": ("""
        from itertools import chain
        import requests
        x = next(chain([1], [requests.Session()]))
    """, "requests.Session"),
    "a rotating deque": ("""
        from collections import deque
        import requests
        waiting = deque([requests.Session()])
        x = waiting.popleft()
    """, "requests.Session"),
    "type variable of a base": ("""
        from typing import Generic, TypeVar
        import requests
        T = TypeVar("T")
        class Base(Generic[T]):
            held: T
        class Own(Base[requests.Session]): ...
        x = Own().held
    """, "requests.Session"),
    "type variable two bases away": ("""
        from typing import Generic, TypeVar
        import requests
        T = TypeVar("T")
        U = TypeVar("U")
        class Base(Generic[T]):
            def held(self) -> T: ...
        class Middle(Base[U], Generic[U]): ...
        class Own(Middle[requests.Session]): ...
        x = Own().held()
    """, "requests.Session"),
    "type variable of an annotation": ("""
        from typing import Generic, TypeVar
        import requests
        T, U = TypeVar("T"), TypeVar("U")
        class Pair(Generic[T, U]):
            left: T
            right: U
        def make() -> Pair[int, requests.Session]: ...
        x = make().right
    """, "requests.Session"),
    "type variable beside a value": ("""
        from typing import Generic, TypeVar
        import requests
        T = TypeVar("T")
        class Base(Generic[T]):
            def __init__(self, held: T = requests.Session()):
                self.held: T = held
        x = Base().held
    """, "requests.Session"),
    "what an inherited constructor is passed": ("""
        import requests
        class Base:
            def __init__(self, held):
                self.held = held
        class Own(Base):
            def __init__(self):
                super().__init__(requests.Session())
        x = Own().held
    """, "requests.Session"),
    "what a class body passes": ("""
        import requests
        class Holder:
            def __init__(self, held):
                self.held = held
        class Settings:
            holder = Holder(requests.Session())
        x = Settings.holder.held
    """, "requests.Session"),
    "a provider that is called": ("""
        from dependency_injector import containers, providers
        import requests
        class Container(containers.DeclarativeContainer):
            session = providers.Singleton(requests.Session)
        x = Container.session()
    """, "requests.Session"),
    "a container that is asked": ("""
        import punq, requests
        x = punq.Container().resolve(requests.Session)
    """, "requests.Session"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_class_is_found(case: str) -> None:
    source, expected = CASES[case]

    assert expected in types_at_end(dedent(source), "x")


UNKNOWN = {
    "an argument nobody passes": "def f(a):\n    return a\nx = f",
    "a name nobody binds": "x = nowhere",
    "any": "from typing import Any\nx: Any = f()",
    "itself": "x = x",
    "each other": "def f():\n    return g()\ndef g():\n    return f()\nx = f()",
    "a class that is its own base": "class A(A): ...\nx = A().s",
    "a list of nothing": "l = []\nx = l[0]",
    "a type variable that no class gives": (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\n"
        "class A(Generic[T]):\n    s: T\nclass B(A): ...\nx = B().s"
    ),
    "a generic class that is its own base": (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\n"
        "class A(A[T], Generic[T]):\n    s: T\nx = A().s"
    ),
    "a provider of nothing": (
        "from dependency_injector import providers\nx = providers.Singleton()()"
    ),
}


@pytest.mark.parametrize(
    ("opening", "class_"),
    [
        ("open(name)", "TextIOWrapper"),
        ("open(name, 'w')", "TextIOWrapper"),
        ("open(name, mode)", "TextIOWrapper"),
        ("open(name, 'rb')", "BufferedReader"),
        ("open(name, 'wb')", "BufferedWriter"),
        ("io.open(name, mode='ab')", "BufferedWriter"),
        ("open(name, 'r+b')", "BufferedRandom"),
        ("open(name, 'rb', 0)", "FileIO"),
        ("open(name, 'wb', buffering=0)", "FileIO"),
        ("open(name, 'rb', buffering=size)", "BufferedReader"),
        ("Path(name).open()", "TextIOWrapper"),
        ("Path(name).open('xb')", "BufferedWriter"),
        ("Path(name).open('rb', 0)", "FileIO"),
        ("os.fdopen(name, 'rb')", "BufferedReader"),
        ("os.fdopen(*name)", "TextIOWrapper"),
    ],
)
def test_a_file_is_what_its_mode_says(opening: str, class_: str) -> None:
    source = f"import io, os\nfrom pathlib import Path\nwith {opening} as x: pass\n"
    assert types_at_end(source, "x") == (f"io.{class_}",)


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_source_does_not_say_is_not_known(case: str) -> None:
    assert types_at_end(UNKNOWN[case], "x") == ()


def test_a_sibling_is_given_nothing_of_what_the_other_class_says() -> None:
    source = """
        from typing import Generic, TypeVar
        import httpx, requests
        T = TypeVar("T")
        class Base(Generic[T]):
            held: T
        class Plain(Base[requests.Session]): ...
        class Ready(Base[httpx.AsyncClient]): ...
        x = Ready().held
    """

    assert types_at_end(dedent(source), "x") == ("httpx.AsyncClient",)


def test_the_last_assignment_before_the_use_counts() -> None:
    source = "import requests, httpx\nx = requests.Session()\nx = httpx.AsyncClient()"

    assert types_at_end(source, "x") == ("httpx.AsyncClient",)


def test_both_branches_count() -> None:
    source = (
        "import requests, httpx\nif a:\n    x = requests.Session()\nelse:\n    x = httpx.Client()"
    )

    assert types_at_end(source, "x") == ("httpx.Client", "requests.Session")


def test_a_protocol_is_any_class_with_its_methods() -> None:
    source = """
    from typing import Protocol
    class Store(Protocol):
        def load(self): ...
    class Disk:
        def load(self):
            return open('x')
    class Other:
        def save(self): ...
    def f(store: Store):
        return store.load()
    x = f(Disk())
    """
    assert types_at_end(dedent(source), "x") == ("io.TextIOWrapper",)


@pytest.mark.parametrize(
    ("method", "fits"),
    [
        ("def load(self, key): ", True),
        ("def load(self, key, fresh=False): ", True),
        ("def load(self, *args, **kwargs): ", True),
        ("def load(self): ", False),
        ("def load(self, key, folder): ", False),
        ("def load(self, key, *, folder): ", False),
        ("def load(self, script): ", False),
    ],
)
def test_a_protocol_is_no_class_whose_method_cannot_be_called_as_it_says(
    method: str, fits: bool
) -> None:
    source = f"""
    from requests import Session
    from typing import Protocol
    class Store(Protocol):
        def load(self, key): ...
    class Disk:
        {method}return Session()
    def f(store: Store):
        return store.load("a")
    x = f(1)
    """
    assert types_at_end(dedent(source), "x") == (("requests.Session",) if fits else ())


def test_what_a_protocol_takes_by_place_has_any_name() -> None:
    source = """
    from requests import Session
    from typing import Protocol
    class Store(Protocol):
        def load(self, key, /): ...
    class Disk:
        def load(self, path): return Session()
    def f(store: Store):
        return store.load("a")
    x = f(1)
    """
    assert types_at_end(dedent(source), "x") == ("requests.Session",)


def test_a_function_that_gives_some_context_manager_gives_the_one_in_its_body() -> None:
    source = """
    from contextlib import AbstractContextManager, contextmanager
    from requests import Session
    def made():
        yield Session()
    def session() -> AbstractContextManager[object]:
        return contextmanager(made)()
    with session() as x:
        pass
    """
    assert types_at_end(dedent(source), "x") == ("requests.Session",)


@pytest.mark.parametrize(
    ("made", "given"),
    [("factory()", "sqlalchemy.orm.Session"), ("Own('e')", "app:Own")],
    ids=["is not known", "is one of a class below"],
)
def test_what_a_function_says_of_its_context_manager_counts_where_the_body_does_not_tell(
    made: str, given: str
) -> None:
    source = f"""
    from contextlib import AbstractContextManager, contextmanager
    from elsewhere import factory
    from sqlalchemy.orm import Session
    class Own(Session): ...
    @contextmanager
    def made():
        yield {made}
    def session() -> AbstractContextManager[Session]:
        return made()
    with session() as x:
        pass
    """
    assert types_at_end(dedent(source), "x") == (given,)


def test_a_method_that_is_abstract_is_what_subclasses_make_of_it() -> None:
    source = """
    import requests, httpx
    from abc import ABC, abstractmethod
    class Base(ABC):
        @abstractmethod
        def client(self): ...
    class A(Base):
        def client(self):
            return requests.Session()
    class B(Base):
        def client(self):
            return httpx.Client()
    def f(base: Base):
        return base.client()
    x = f(1)
    """
    assert types_at_end(dedent(source), "x") == ("httpx.Client", "requests.Session")


def test_what_a_decorator_passes_is_the_type_of_the_parameter() -> None:
    source = """
    from sqlalchemy.orm import Session
    def with_session(f):
        def inner(*args):
            with Session(e) as session:
                return f(session, *args)
        return inner
    @with_session
    def load(session, name):
        return session
    load("a")
    x = load("b")
    """
    assert types_at_end(dedent(source), "x") == (SESSION,)


def test_an_unannotated_dependency_gives_what_its_function_yields() -> None:
    source = """
    from fastapi import Depends
    from sqlalchemy.orm import Session
    def get_db():
        with Session(e) as session:
            yield session
    def f(db=Depends(get_db)):
        return db
    x = f()
    """
    assert types_at_end(dedent(source), "x") == (SESSION,)


def test_a_long_chain_is_followed() -> None:
    source = (
        "from sqlalchemy.orm import Session\ns: Session = f()\nx = s.query(A)" + ".filter(b)" * 25
    )

    assert types_at_end(source, "x") == ("sqlalchemy.orm.Query",)


def test_a_long_line_of_functions_is_followed() -> None:
    source = "import requests\ndef f0():\n    return requests.Session()\n"
    source += "".join(f"def f{n}():\n    y = f{n - 1}()\n    return y\n" for n in range(1, 15))

    assert types_at_end(source + "x = f14()", "x") == ("requests.Session",)


def test_deep_nesting_ends() -> None:
    source = "x = " + "f(" * 90 + ")" * 90

    assert types_at_end(source, "x") == ()
