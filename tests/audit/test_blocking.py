"""What blocks is found where it runs on the loop; its clean twin beside it stays silent."""

from __future__ import annotations

import pytest

from tests.audit.reading import found, sites
from unstall.model.finding import Confidence, Severity

NAP = "nap time.sleep"
BAD = {
    "direct": ("""
        import time
        @app.get("/")
        async def nap():
            time.sleep(1)
    """, [NAP]),
    "behind a helper": ("""
        import time
        @app.get("/")
        async def route():
            nap()
        def nap():
            time.sleep(1)
    """, [NAP]),
    "method of an attribute": ("""
        import requests
        class Client:
            def __init__(self):
                self.http = requests.Session()
            def load(self):
                return self.http.get("x")
        client = Client()
        @app.get("/")
        async def route():
            return client.load()
    """, ["Client.load requests.Session.get"]),
    "every call of a helper": ("""
        import requests
        @app.get("/")
        async def route():
            helper()
        def helper():
            requests.get("a")
            requests.post("b")
    """, ["helper requests.get", "helper requests.post"]),
    "async dependency": ("""
        import time
        async def nap():
            time.sleep(1)
        @app.get("/")
        def route(x=Depends(nap)): ...
    """, [NAP]),
    "middleware": ("""
        import time
        @app.middleware("http")
        async def nap(request, call_next):
            time.sleep(1)
            return await call_next(request)
    """, [NAP]),
    "async background task": ("""
        import time
        async def nap():
            time.sleep(1)
        @app.get("/")
        def route(tasks: BackgroundTasks):
            tasks.add_task(nap)
    """, [NAP]),
    "task": ("""
        import time, asyncio
        async def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            asyncio.create_task(nap())
    """, [NAP]),
    "call_soon": ("""
        import time, asyncio
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            asyncio.get_running_loop().call_soon(nap)
    """, [NAP]),
    "executor, then result": ("""
        import time
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor()
        @app.get("/")
        async def route():
            return pool.submit(time.sleep, 1).result()
    """, ["route concurrent.futures.Future.result"]),
    "fake offload": ("""
        import requests
        from fastapi.concurrency import run_in_threadpool
        @app.get("/")
        async def route():
            answer = requests.get("x", stream=True)
            for line in answer.iter_lines():
                await run_in_threadpool(lambda: line)
    """, ["route requests.Response.iter_lines", "route requests.get"]),
    "called before it is handed on": ("""
        import time, asyncio
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await asyncio.to_thread(nap())
    """, [NAP]),
    "generator that is iterated": ("""
        import requests
        def pages():
            yield requests.get("x")
        @app.get("/")
        async def route():
            return [p for p in pages()]
    """, ["pages requests.get"]),
    "context manager": ("""
        import time
        from contextlib import contextmanager
        @contextmanager
        def nap():
            time.sleep(1)
            yield
        @app.get("/")
        async def route():
            with nap():
                pass
    """, [NAP]),
    "exit of a class": ("""
        import time
        class A:
            def __enter__(self): ...
            def __exit__(self, *a):
                time.sleep(1)
        @app.get("/")
        async def route():
            with A():
                pass
    """, ["A.__exit__ time.sleep"]),
    "property": ("""
        import time
        class A:
            @property
            def x(self):
                time.sleep(1)
        a = A()
        @app.get("/")
        async def route():
            return a.x
    """, ["A.x time.sleep"]),
    "decorator": ("""
        import time, functools
        def slow(f):
            @functools.wraps(f)
            async def inner(*args):
                time.sleep(1)
                return await f(*args)
            return inner
        @slow
        async def work(): ...
        @app.get("/")
        async def route():
            await work()
    """, ["slow.<locals>.inner time.sleep"]),
    "inside a wrapped function": ("""
        import time, functools
        def plain(f):
            @functools.wraps(f)
            def inner(*args):
                return f(*args)
            return inner
        @plain
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            nap()
    """, [NAP]),
    "callback of a first-party function": ("""
        import time
        def retry(f):
            return f()
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            retry(nap)
    """, [NAP]),
    "map": ("""
        import time
        def nap(n):
            time.sleep(n)
        @app.get("/")
        async def route():
            return list(map(nap, [1]))
    """, [NAP]),
    "super": ("""
        import time
        class A:
            def go(self):
                time.sleep(1)
        class B(A):
            def go(self):
                super().go()
        @app.get("/")
        async def route():
            B().go()
    """, ["A.go time.sleep"]),
    "constructor": ("""
        import requests
        class A:
            def __init__(self):
                requests.get("x")
        @app.get("/")
        async def route():
            A()
    """, ["A.__init__ requests.get"]),
    "async generator": ("""
        import time
        from fastapi.responses import StreamingResponse
        async def nap():
            time.sleep(1)
            yield b""
        @app.get("/")
        async def route():
            return StreamingResponse(nap())
    """, [NAP]),
    "upload's own file": ("""
        from fastapi import UploadFile
        @app.post("/")
        async def route(file: UploadFile):
            return file.file.read()
    """, ["route starlette.datastructures.UploadFile.file.read"]),
    "of an abstract class": ("""
        import time
        from abc import ABC, abstractmethod
        class Store(ABC):
            @abstractmethod
            def load(self): ...
        class Slow(Store):
            def load(self):
                time.sleep(1)
        @app.get("/")
        async def route(store: Store = Depends()):
            store.load()
    """, ["Slow.load time.sleep"]),
    "async function nobody calls": ("""
        import time
        async def nap():
            time.sleep(1)
    """, [NAP]),
    "app.state": ("""
        import requests
        from fastapi import Request
        @app.on_event("startup")
        def up():
            app.state.http = requests.Session()
        @app.get("/")
        async def route(request: Request):
            return request.app.state.http.get("x")
    """, ["route requests.Session.get"]),
    "functional route": ("""
        import time
        async def nap():
            time.sleep(1)
        app.get("/")(nap)
    """, [NAP]),
    "an executor that is left": ("""
        import time
        from concurrent.futures import ThreadPoolExecutor
        def nap(x): time.sleep(x)
        @app.get("/")
        async def r():
            with ThreadPoolExecutor() as ex:
                list(ex.map(nap, [1]))
    """, ["r concurrent.futures.Executor"]),
    "result of a coroutine of the loop": ("""
        import asyncio
        async def job(): ...
        @app.get("/")
        async def r():
            f = asyncio.run_coroutine_threadsafe(job(), loop)
            return f.result()
    """, ["r concurrent.futures.Future.result"]),
    "async callback": ("""
        import time
        async def run(fn): return await fn()
        async def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await run(nap)
    """, ["nap time.sleep"]),
    "decorator of a library": ("""
        import time, tenacity
        @tenacity.retry(stop=1)
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): nap()
    """, ["nap time.sleep"]),
    "websocket": ("""
        import time
        from fastapi import WebSocket
        @app.websocket("/ws")
        async def ws(w: WebSocket):
            time.sleep(1)
    """, ["ws time.sleep"]),
    "callable object as a dependency": ("""
        import requests
        class Dep:
            async def __call__(self): requests.get("x")
        dep = Dep()
        @app.get("/")
        async def r(d=Depends(dep)): ...
    """, ["Dep.__call__ requests.get"]),
    "a task that is queued": ("""
        import time
        from celery import Celery
        c = Celery("x")
        @c.task
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): nap.delay()
    """, ["r celery.app.task.Task.delay"]),
    "cached on first use": ("""
        import time
        from functools import lru_cache
        @lru_cache
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            return nap()
    """, [NAP]),
    "an attribute of another package's class, inherited": ("""
        from sqlalchemy.orm import DeclarativeBase
        class Base(DeclarativeBase): pass
        @app.get("/")
        async def route():
            Base.metadata.create_all(engine)
    """, ["route sqlalchemy.MetaData.create_all"]),
    "what is passed for any": ("""
        import time
        class A:
            def search(self): time.sleep(1)
        def work(chosen: any):
            chosen.search()
        @app.get("/")
        async def route():
            work(A())
    """, ["A.search time.sleep"]),
    "what somebody hands to an object": ("""
        import redis
        class Service:
            def __init__(self, cache: redis.Redis | None = None):
                self.cache = cache
            async def get(self, key):
                if self.cache:
                    return self.cache.get(key)
                return key
        shared = Service(redis.Redis())
        @app.get("/")
        async def route():
            await Service().get("a")
            return await shared.get("a")
    """, ["Service.get redis.Redis.get"]),
    "what somebody puts into an object": ("""
        import redis
        class Service:
            def __init__(self, cache: redis.Redis | None = None):
                self.cache = cache
            async def get(self, key):
                if self.cache:
                    return self.cache.get(key)
                return key
        shared = Service()
        shared.cache = redis.Redis()
        @app.get("/")
        async def route():
            return await shared.get("a")
    """, ["Service.get redis.Redis.get"]),
    "next of a generator": ("""
        from sqlalchemy.orm import Session
        def get_db():
            db = Session(e)
            db.execute("before")
            yield db
            db.commit()
        @app.get("/")
        async def route():
            db = next(get_db())
    """, ["get_db sqlalchemy.orm.Session.execute"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_it_is_found(case: str) -> None:
    source, expected = BAD[case]

    assert sites(source) == expected


CLEAN = {
    "plain route": """
        import time
        @app.get("/")
        def nap():
            time.sleep(1)
    """,
    "plain dependency": """
        import time
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route(x=Depends(nap)): ...
    """,
    "plain background task": """
        import time
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route(tasks: BackgroundTasks):
            tasks.add_task(nap)
    """,
    "to_thread": """
        import time, asyncio
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await asyncio.to_thread(nap)
    """,
    "a lambda in the pool": """
        import time
        from fastapi.concurrency import run_in_threadpool
        @app.get("/")
        async def route():
            await run_in_threadpool(lambda: time.sleep(1))
    """,
    "a local function in an executor": """
        import time, asyncio
        @app.get("/")
        async def route():
            def nap():
                time.sleep(1)
            await asyncio.get_running_loop().run_in_executor(None, nap)
    """,
    "partial": """
        import time, asyncio
        from functools import partial
        @app.get("/")
        async def route():
            await asyncio.to_thread(partial(time.sleep, 1))
    """,
    "an offloader of its own": """
        import time, asyncio
        async def run_async(f, *args):
            return await asyncio.get_running_loop().run_in_executor(None, f, *args)
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await run_async(nap)
    """,
    "an offloader with partial": """
        import time, asyncio
        from functools import partial
        async def run_async(f, *args, **kwargs):
            bound = partial(f, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(None, bound)
        def nap(n):
            time.sleep(n)
        @app.get("/")
        async def route():
            await run_async(nap, 1)
    """,
    "an offloading decorator": """
        import time, asyncio, functools
        def in_thread(f):
            @functools.wraps(f)
            async def inner(*args):
                return await asyncio.to_thread(f, *args)
            return inner
        @in_thread
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await nap()
    """,
    "a thread": """
        import time, threading
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            threading.Thread(target=nap).start()
    """,
    "a method of an attribute in a thread": """
        import time, asyncio
        class Repo:
            def load(self, x): time.sleep(1)
        class S:
            def __init__(self): self.repo = Repo()
            async def go(self):
                return await asyncio.to_thread(self.repo.load, 1)
        @app.get("/")
        async def r(): await S().go()
    """,
    "a callable object in the pool": """
        import time
        from fastapi.concurrency import run_in_threadpool
        class W:
            def __call__(self): time.sleep(1)
        @app.get("/")
        async def r(): await run_in_threadpool(W())
    """,
    "partial of an own method": """
        import time, asyncio, functools
        class S:
            def work(self, x): time.sleep(1)
            async def go(self):
                loop = asyncio.get_event_loop()
                await loop.run_in_executor(None, functools.partial(self.work, 1))
        @app.get("/")
        async def r(): await S().go()
    """,
    "a loop in a lambda": """
        import time, anyio
        def nap(x): time.sleep(x)
        @app.get("/")
        async def r(): await anyio.to_thread.run_sync(lambda: [nap(x) for x in [1]])
    """,
    "a class as an offloading decorator": """
        import time, asyncio
        class offload:
            def __init__(self, f): self.f = f
            async def __call__(self, *a): return await asyncio.to_thread(self.f, *a)
        @offload
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await nap()
    """,
    "a task of to_thread": """
        import time, asyncio
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): asyncio.create_task(asyncio.to_thread(nap))
    """,
    "a generator asked in the pool": """
        import time
        from fastapi.concurrency import run_in_threadpool
        def gen():
            time.sleep(1)
            yield 1
        @app.get("/")
        async def r():
            it = gen()
            await run_in_threadpool(next, it)
    """,
    "iterate_in_threadpool": """
        import time
        from starlette.concurrency import iterate_in_threadpool
        def gen():
            time.sleep(1)
            yield 1
        @app.get("/")
        async def r():
            async for x in iterate_in_threadpool(gen()): pass
    """,
    "sync_to_async": """
        import time
        from asgiref.sync import sync_to_async
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await sync_to_async(nap)()
    """,
    "asyncify": """
        import time
        from asyncer import asyncify
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await asyncify(nap)()
    """,
    "sync_to_async as a decorator": """
        import time
        from asgiref.sync import sync_to_async
        @sync_to_async
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await nap()
    """,
    "a response's background task": """
        import time
        from starlette.background import BackgroundTask
        from fastapi.responses import JSONResponse
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): return JSONResponse({}, background=BackgroundTask(nap))
    """,
    "a timer of threads": """
        import time, threading
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): threading.Timer(1, nap).start()
    """,
    "a class of threads": """
        import time, threading
        class T(threading.Thread):
            def run(self): time.sleep(1)
        @app.get("/")
        async def r(): T().start()
    """,
    "an offloader with a lambda": """
        import time, asyncio
        class Pool:
            async def run(self, fn, *args, **kw):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(None, lambda: fn(*args, **kw))
        pool = Pool()
        def nap(x): time.sleep(x)
        @app.get("/")
        async def r(): await pool.run(nap, 1)
    """,
    "a thread started by a helper": """
        import time, threading
        def spawn(fn, *args):
            t = threading.Thread(target=fn, args=args, daemon=True)
            t.start()
        def nap(x): time.sleep(x)
        @app.get("/")
        async def r(): spawn(nap, 1)
    """,
    "a local function in a thread": """
        import time, threading
        @app.get("/")
        async def r():
            def worker():
                time.sleep(1)
            threading.Thread(target=worker).start()
    """,
    "an executor by keywords": """
        import time, asyncio
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await asyncio.get_running_loop().run_in_executor(executor=None, func=nap)
    """,
    "a process": """
        import time, anyio
        def nap(): time.sleep(1)
        @app.get("/")
        async def r(): await anyio.to_process.run_sync(nap)
    """,
    "a coroutine that a helper makes": """
        import httpx
        def call(client: httpx.AsyncClient):
            return client.get("x")
        @app.get("/")
        async def r(c: httpx.AsyncClient):
            return await call(c)
    """,
    "coroutines gathered later": """
        import httpx, asyncio
        @app.get("/")
        async def r(c: httpx.AsyncClient):
            tasks = [c.get(u) for u in "ab"]
            tasks.append(c.get("x"))
            await asyncio.gather(*tasks)
    """,
    "a lane": """
        import time
        from unstall import Lane
        lane = Lane("billing", threads=2, queue=2)
        def nap():
            time.sleep(1)
        @app.get("/")
        async def route():
            await lane.run(nap)
    """,
    "async client": """
        import httpx
        client = httpx.AsyncClient()
        @app.get("/")
        async def route():
            return await client.get("x")
    """,
    "gathered": """
        import httpx, asyncio
        @app.get("/")
        async def route():
            async with httpx.AsyncClient() as client:
                return await asyncio.gather(*[client.get(u) for u in "ab"])
    """,
    "async session": """
        from sqlalchemy.ext.asyncio import AsyncSession
        async def get_db():
            async with AsyncSession(e) as session:
                yield session
        @app.get("/")
        async def route(db: AsyncSession = Depends(get_db)):
            return (await db.execute("q")).scalars().all()
    """,
    "generator that is never begun": """
        import time
        def nap():
            time.sleep(1)
            yield
        @app.get("/")
        async def route():
            nap()
    """,
    "plain generator in a streaming response": """
        import time
        from fastapi.responses import StreamingResponse
        def nap():
            time.sleep(1)
            yield b""
        @app.get("/")
        async def route():
            return StreamingResponse(nap())
    """,
    "if False": """
        import time
        @app.get("/")
        async def route():
            if False:
                time.sleep(1)
    """,
    "a constant flag": """
        import time
        DEBUG = False
        @app.get("/")
        async def route():
            if DEBUG:
                time.sleep(1)
    """,
    "a parameter that is always off": """
        import time
        def helper(debug=False):
            if debug:
                time.sleep(1)
        @app.get("/")
        async def route():
            helper()
    """,
    "the way of another class": """
        import time
        class A:
            def go(self):
                self.step()
            def step(self):
                time.sleep(1)
        class B(A):
            def step(self): ...
        @app.get("/")
        async def route():
            B().go()
    """,
    "passed to the loop and to a thread": """
        import time, asyncio
        def apply(f):
            return f()
        def nap():
            time.sleep(1)
        def quick(): ...
        @app.get("/")
        async def route():
            apply(quick)
            await asyncio.to_thread(apply, nap)
    """,
    "not waiting": """
        import threading
        lock = threading.Lock()
        @app.get("/")
        async def route():
            lock.acquire(blocking=False)
    """,
    "text that looks like files": """
        import os.path
        from pathlib import Path
        @app.get("/")
        async def route():
            return os.path.join("a", "b"), os.path.abspath("a"), Path("a").name
    """,
    "a single stat": """
        import os
        @app.get("/")
        async def route():
            return os.path.exists("a")
    """,
    "file response": """
        from fastapi.responses import FileResponse
        @app.get("/")
        async def route():
            return FileResponse("a")
    """,
    "await file.read()": """
        from fastapi import UploadFile
        @app.post("/")
        async def route(file: UploadFile):
            return await file.read()
    """,
    "recursion": """
        def a(n):
            return b(n)
        def b(n):
            return a(n)
        @app.get("/")
        async def route():
            a(1)
    """,
    "own method called like an API": """
        class Session:
            def execute(self, q): ...
        @app.get("/")
        async def route():
            Session().execute("q")
    """,
    "what nobody hands to an object": """
        import redis
        class Service:
            def __init__(self, cache: redis.Redis | None = None):
                self.cache = cache
            async def get(self, key):
                if self.cache:
                    return self.cache.get(key)
                return key
        @app.get("/")
        async def route():
            return await Service().get("a")
    """,
    "cached since the lifespan": """
        from contextlib import asynccontextmanager
        from functools import cache
        import httpx
        @cache
        def config():
            return httpx.get("http://config").json()
        @asynccontextmanager
        async def lifespan(app):
            config()
            yield
        app = FastAPI(lifespan=lifespan)
        @app.get("/")
        async def route():
            return config()
    """,
    "of another class than the condition's": """
        import subprocess
        import numpy as np
        def load(audio):
            if isinstance(audio, str):
                return subprocess.run(["ffmpeg", audio])
        def work(audio: np.ndarray):
            return load(audio)
        @app.get("/")
        async def route():
            return work(np.zeros(3))
    """,
    "cached since start-up": """
        from functools import lru_cache
        @lru_cache
        def settings():
            return open("x").read()
        known = settings()
        @app.get("/")
        async def route():
            return settings()
    """,
    "a command": """
        import time, sys
        def main():
            time.sleep(1)
        if __name__ == "__main__":
            main()
    """,
}


@pytest.mark.parametrize("case", CLEAN)
def test_it_is_clean(case: str) -> None:
    assert sites(CLEAN[case]) == []


def test_tests_are_no_entrances() -> None:
    test = "import time\nasync def test_nap():\n    time.sleep(1)\n"

    assert sites("", test_app=test) == []


def test_one_helper_in_two_places_is_told_for_the_loop_only() -> None:
    (finding,) = found("""
        import requests
        def check():
            requests.get("x", timeout=1)
        @app.get("/plain")
        def plain():
            check()
        @app.get("/async")
        async def on_loop():
            check()
    """)

    assert [entry.name for entry in finding.entries] == ["GET /async"]
    assert finding.runs_on == "loop"


def test_one_helper_of_many_routes_is_one_finding_with_all_of_them() -> None:
    routes = "".join(f"@app.get('/{n}')\nasync def route_{n}():\n    check()\n" for n in range(5))
    (finding,) = found("import requests\ndef check():\n    requests.get('x')\n" + routes)

    assert sorted(entry.name for entry in finding.entries) == [f"GET /{n}" for n in range(5)]


def test_the_chain_leads_from_the_route_to_the_call() -> None:
    (finding,) = found("""
        import requests
        def outer():
            inner()
        def inner():
            requests.get("x")
        @app.get("/")
        async def route():
            outer()
    """)

    assert [(hop.function, hop.call, hop.place) for hop in finding.reach] == [
        ("route", "outer", "loop"),
        ("outer", "inner", "loop"),
    ]
    assert finding.confidence is Confidence.CERTAIN


def test_start_up_is_a_class_of_its_own() -> None:
    (finding,) = found("""
        import requests
        @app.on_event("startup")
        async def up():
            requests.get("x")
    """)

    assert (finding.severity, finding.runs_on) == (Severity.NOTE, "start-up")


@pytest.mark.parametrize(
    ("classes", "confidence"), [(3, Confidence.LIKELY), (12, Confidence.POSSIBLE)]
)
def test_the_more_classes_it_may_be_the_less_is_claimed(
    classes: int, confidence: Confidence
) -> None:
    source = "import requests\nclass Base:\n    def go(self): pass\n"
    source += "".join(
        f"class C{n}(Base):\n    def go(self):\n        requests.get('{n}')\n"
        for n in range(classes)
    )
    source += "@app.get('/')\nasync def route(base: Base = Depends()):\n    base.go()\n"

    assert {each.confidence for each in found(source)} == {confidence}


def test_of_several_classes_none_is_certain() -> None:
    findings = found("""
        import requests
        class A:
            def go(self):
                requests.get("a")
        class B:
            def go(self):
                requests.get("b")
        def make(name):
            return A() if name else B()
        @app.get("/")
        async def route(name: str):
            make(name).go()
    """)

    assert [finding.confidence for finding in findings] == [Confidence.LIKELY] * 2


def test_one_method_of_objects_that_are_known_more_and_less_well_is_certain() -> None:
    (finding,) = found("""
        import requests
        class Client:
            def go(self):
                requests.get("a")
        class Service:
            client: Client | None = None
            @property
            def lazy(self):
                if not self.client:
                    self.client = Client()
                return self.client
        @app.get("/")
        async def route():
            Service().lazy.go()
    """)

    assert finding.confidence is Confidence.CERTAIN


def test_a_command_beside_a_service_freezes_nobody() -> None:
    source = "@app.get('/')\nasync def route(): ...\n"
    command = "import asyncio, time\nasync def nap():\n    time.sleep(1)\nasyncio.run(nap())\n"

    assert sites(source, **{"shop/cli/run": command}) == []
    assert sites(
        source, **{"shop/work/run": command.replace("asyncio.run(nap())", "jobs = [nap]")}
    ) == ["nap time.sleep"]


def test_many_stats_are_more_than_one() -> None:
    (finding,) = found("""
        import os
        @app.get("/")
        async def route(names: list[str]):
            return [os.path.getsize(name) for name in names]
    """)

    assert finding.impact == "low"


@pytest.mark.parametrize(
    ("given", "shown"), [("Image", ["crop PIL.Image.Image.crop"]), ("ImageFilter", [])]
)
def test_who_annotates_with_a_module_means_the_class_it_is_named_after(
    given: str, shown: list[str]
) -> None:
    source = f"""
        from PIL import Image, ImageFilter

        def crop(picture: {given}):
            return picture.crop((0, 0, 1, 1))

        @app.get("/")
        async def route():
            crop(app.state.picture)
    """
    assert sites(source) == shown
