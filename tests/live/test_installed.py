"""An application that lies among its libraries, as `pip install myservice` puts it, on a real loop.

Its packages are written into a folder named site-packages and imported from there.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.support.trapped import made as trap
from unstall.explain.findings import code_of
from unstall.explain.stalls import stall_of
from unstall.model.finding import Cause, Stall
from unstall.settings import Settings
from unstall.watch.monitor import Monitor

pytestmark = pytest.mark.live

SETTINGS = Settings(threshold_ms=60, root=Path.cwd())
SOURCES = {
    "acmeshop/__init__.py": "",
    "acmeshop/main.py": """
        import asyncio, tenacity
        from fastapi import Depends, FastAPI, Request
        from starlette.background import BackgroundTask
        from starlette.responses import PlainTextResponse
        from acmeshop.waits import pause
        from acmedeco import Counted, Packed, timed
        from acmehelp import fetch
        from acmerelay import Relayed

        app = FastAPI()
        app.add_middleware(Relayed)
        app.add_middleware(Packed)  # outside of the other
        app.add_middleware(Counted)

        @app.get("/packed")
        async def packed(): ...

        @app.get("/itself")
        async def itself():
            pause()

        @app.get("/helped")
        async def helped():
            fetch()  # the line of /helped

        @app.get("/wrapped")
        @timed
        async def wrapped():
            pause()

        @app.get("/retried")
        @tenacity.retry(reraise=True)
        async def retried():
            pause()

        async def user():
            pause()

        @app.get("/dependency", dependencies=[Depends(user)])
        async def dependency(): ...

        async def mail():
            pause()

        @app.get("/background")
        async def background():
            return PlainTextResponse("", background=BackgroundTask(mail))

        @app.get("/patient")
        @timed
        async def patient():
            await asyncio.sleep(0.3)
        """,
    "acmeshop/waits.py": """
        import time

        def pause():
            time.sleep(0.3)  # the line of the others
        """,
    "acmehelp.py": """
        import time

        def fetch():
            time.sleep(0.3)
        """,
    "acmedeco.py": """
        import functools, time

        def timed(func):
            @functools.wraps(func)
            async def measured(*args, **kwargs):
                return await func(*args, **kwargs)
            return measured

        class Counted:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                if scope["type"] == "http" and scope["path"] == "/counted":
                    time.sleep(0.3)  # the line of /counted
                await self.app(scope, receive, send)

        class Packed(Counted):
            async def __call__(self, scope, receive, send):
                async def pack(message):
                    if message["type"] == "http.response.body" and scope["path"] == "/packed":
                        time.sleep(0.3)  # the line of /packed
                    await send(message)
                await self.app(scope, receive, pack)
        """,
    "acmerelay.py": """
        class Relayed:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                async def relay(message):
                    await send(message)
                await self.app(scope, receive, relay)
        """,
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("venv") / "site-packages"
    for name, source in SOURCES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [each for each in sys.modules if each.partition(".")[0].startswith("acme")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def app(installed: Path) -> FastAPI:
    made: FastAPI = importlib.import_module("acmeshop.main").app
    return made


def line_of(folder: Path, marker: str) -> tuple[str, int]:
    """File and number of the one line that holds `marker`."""
    (found,) = [
        (str(folder / name), number)
        for name in SOURCES
        for number, line in enumerate((folder / name).read_text().splitlines(), 1)
        if line.endswith(marker)
    ]
    return found


def stalls_of(app: FastAPI, path: str) -> list[Stall]:
    with Monitor(SETTINGS) as monitor, TestClient(app) as client:
        client.get(path)
    stalls = [stall_of(s, SETTINGS.threshold_ns) for s in monitor.recording().stretches]
    print(*stalls, sep="\n")  # shown if the test fails
    return [stall for stall in stalls if stall.cause is not Cause.STARVED]


@pytest.mark.parametrize(
    ("path", "kind", "function"),
    [
        ("/itself", "route", "acmeshop.main:itself"),
        ("/wrapped", "route", "acmeshop.main:wrapped"),
        ("/retried", "route", "acmeshop.main:retried"),
        ("/dependency", "dependency", "acmeshop.main:user"),
        ("/background", "background task", "acmeshop.main:mail"),
    ],
)
def test_a_stall_is_blamed_at_the_innermost_line_of_the_installed_application(
    app: FastAPI, installed: Path, path: str, kind: str, function: str
) -> None:
    (stall,) = stalls_of(app, path)
    assert stall.site is not None
    assert stall.entry is not None
    assert (stall.site.file, stall.site.line) == line_of(installed, "# the line of the others")
    assert (stall.entry.kind, stall.entry.name) == (kind, f"GET {path}")
    assert stall.entry.function == function
    assert (stall.site.call, code_of(stall)) == ("time.sleep", "US101")
    assert [hop.function for hop in stall.reach] == [function.partition(":")[2]]


def test_below_a_helper_that_is_installed_as_well_the_rule_is_that_of_its_call(
    app: FastAPI, installed: Path
) -> None:
    (stall,) = stalls_of(app, "/helped")
    assert stall.site is not None
    assert (stall.site.file, stall.site.line) == line_of(installed, "# the line of /helped")
    assert (stall.site.call, code_of(stall)) == ("acmehelp.fetch", "US101")


def test_a_middleware_of_a_library_is_blamed_for_what_it_does_itself(
    app: FastAPI, installed: Path
) -> None:
    (stall,) = stalls_of(app, "/counted")
    assert stall.site is not None
    assert stall.entry is not None
    assert (stall.site.file, stall.site.line) == line_of(installed, "# the line of /counted")
    assert stall.entry.kind == "middleware"


def test_of_two_middlewares_that_a_response_passes_the_one_that_blocks_is_blamed(
    app: FastAPI, installed: Path
) -> None:
    (stall,) = stalls_of(app, "/packed")
    assert stall.site is not None
    assert (stall.site.file, stall.site.line) == line_of(installed, "# the line of /packed")


def test_an_installed_application_that_waits_as_it_should_is_not_accused(app: FastAPI) -> None:
    assert stalls_of(app, "/patient") == []


def test_a_trap_names_the_same_line(app: FastAPI, installed: Path) -> None:
    with TestClient(app) as client, trap() as caught:
        client.get("/wrapped")
        client.get("/patient")
    (finding,) = caught.findings
    assert finding.code == "US101"
    assert finding.site is not None
    assert finding.entry is not None
    assert (finding.site.file, finding.site.line) == line_of(installed, "# the line of the others")
    assert finding.entry.function == "acmeshop.main:wrapped"
