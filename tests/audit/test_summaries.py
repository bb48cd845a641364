"""Packages that no row knows: what a call of theirs surely comes to is found in their own source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from tests.audit.reading import HEAD, parsed
from unstall.audit.audit import blocking
from unstall.audit.packages import Packages, packages_of, sources
from unstall.audit.program import Worked, work_out
from unstall.audit.room import room_to_work
from unstall.catalog.table import default, read
from unstall.model.finding import Confidence

ROUTE = """
import acme
@app.get("/")
async def route():
    return acme.fetch("x")
"""

Seen = Callable[..., list[str]]


@pytest.fixture
def installed(tmp_path: Path) -> Callable[[Mapping[str, str]], Packages]:
    """An environment with these files."""

    def install(files: Mapping[str, str]) -> Packages:
        for file, text in files.items():
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        return Packages((tmp_path,))

    return install


def worked(app: str, packages: Packages, rows: Mapping[str, object] | None = None) -> Worked:
    table = default().extended(read(rows, "the test")) if rows else default()
    with room_to_work():
        return work_out(
            Path(), parsed({"app.py": HEAD + dedent(app)}), [], table, packages=packages
        )


def calls(app: str, packages: Packages, rows: Mapping[str, object] | None = None) -> list[str]:
    """What blocks, by the call; all of it likely."""
    found = blocking(worked(app, packages, rows))
    assert all(each.confidence is Confidence.LIKELY for each in found)
    return sorted(each.site.call or "" for each in found if each.site)


BLOCKS = {
    "in the function itself": (
        {"acme.py": "import requests\ndef fetch(url):\n    return requests.get(url)\n"},
        "acme.fetch → requests.get",
    ),
    "behind two functions of other modules": (
        {
            "acme/__init__.py": "from acme.client import fetch\n",
            "acme/client.py": "from . import wire\ndef fetch(url):\n    return wire.send(url)\n",
            "acme/wire.py": "import requests\ndef send(url):\n    return requests.post(url)\n",
        },
        "acme.fetch → acme.wire.send → requests.post",
    ),
    "behind a session that the object keeps": (
        {
            "acme/__init__.py": """
                import requests
                class Client:
                    def __init__(self):
                        self.session = requests.Session()
                    def get(self, url):
                        return self.session.get(url)
                client = Client()
                def fetch(url):
                    return client.get(url)
            """
        },
        "acme.fetch → acme.Client.get → requests.Session.get",
    ),
    "after a look at what was passed": (
        {
            "acme.py": """
                import subprocess
                def fetch(url, dry=False):
                    if dry or not url:
                        return None
                    for attempt in range(3):
                        try:
                            return subprocess.run(["curl", url])
                        except OSError:
                            pass
            """
        },
        "acme.fetch → subprocess.run",
    ),
    "of what the caller passes or one that is made": (
        {
            "acme.py": """
                import requests
                def fetch(url, session=None):
                    session = session or requests.Session()
                    return session.get(url)
            """
        },
        "acme.fetch → requests.Session.get",
    ),
    "of one object or another, both made there": (
        {
            "acme.py": """
                import requests
                def fetch(url):
                    client = requests.Session() if url else requests.Session()
                    return client.get(url)
            """
        },
        "acme.fetch → requests.Session.get",
    ),
    "the dearest of several": (
        {
            "acme.py": """
                import requests
                def fetch(url):
                    with open("token") as file:
                        token = file.read()
                    return requests.get(url, token)
            """
        },
        "acme.fetch → requests.get",
    ),
}


@pytest.mark.parametrize("shape", BLOCKS)
def test_what_surely_blocks_is_found(
    shape: str, installed: Callable[[Mapping[str, str]], Packages]
) -> None:
    files, call = BLOCKS[shape]

    assert calls(ROUTE, installed(files)) == [call]


SILENT = {
    "asynchronous": "import requests\nasync def fetch(url):\n    return requests.get(url)\n",
    "a generator": "import requests\ndef fetch(url):\n    yield requests.get(url)\n",
    "cached": """
        import functools, requests
        @functools.lru_cache
        def fetch(url):
            return requests.get(url)
    """,
    "a cache of its own": """
        import requests
        known = {}
        def fetch(url):
            if url in known:
                return known[url]
            known[url] = requests.get(url)
            return known[url]
    """,
    "done once": """
        import requests
        token = None
        def fetch(url):
            global token
            if token is None:
                token = requests.get("token")
            return token + url
    """,
    "only for some arguments": """
        def fetch(url, file=None):
            if file:
                open(file).read()
            return url
    """,
    "a lock": """
        import threading
        lock = threading.Lock()
        def fetch(url):
            with lock:
                lock.acquire()
                return url
    """,
    "logging": "import logging\ndef fetch(url):\n    logging.getLogger('a').info(url)\n",
    "microseconds": "import os\ndef fetch(url):\n    return os.path.exists(url)\n",
    "computing": "import hashlib\ndef fetch(url):\n    return hashlib.pbkdf2_hmac('sha256', url, b'', 9)\n",
    "in a thread": """
        import threading, requests
        def fetch(url):
            threading.Thread(target=requests.get, args=(url,)).start()
    """,
    "one of several": """
        import random, requests
        def pure(url):
            return url
        def fetch(url):
            return random.choice([requests.get, pure])(url)
    """,
    "whatever the caller passes": "def fetch(session):\n    return session.get('x')\n"
    "import requests\nfetch(requests.Session())\n",
    "a file or what the caller passes": """
        def fetch(target, text):
            file = target if hasattr(target, "write") else open(target, "w")
            file.write(text)
    """,
    "a file in place of what the caller passes": """
        def fetch(target, text):
            if isinstance(target, str):
                target = open(target, "w")
            target.write(text)
    """,
    "a coroutine that nobody awaits here": """
        import requests
        async def inner(url):
            return requests.get(url)
        def fetch(url):
            return inner(url)
    """,
    "five calls deep": """
        import requests
        def fetch(url): return a(url)
        def a(url): return b(url)
        def b(url): return c(url)
        def c(url): return d(url)
        def d(url): return requests.get(url)
    """,
    "what fails otherwise": """
        import requests
        def fetch(url):
            try:
                return int(url)
            except ValueError:
                return requests.get(url)
    """,
}


@pytest.mark.parametrize("shape", SILENT)
def test_what_may_not_block_is_not(
    shape: str, installed: Callable[[Mapping[str, str]], Packages]
) -> None:
    assert calls(ROUTE, installed({"acme.py": SILENT[shape]})) == []


def test_a_row_on_the_way_has_the_last_word(
    installed: Callable[[Mapping[str, str]], Packages],
) -> None:
    files, _ = BLOCKS["behind two functions of other modules"]

    assert calls(ROUTE, installed(files), {"clean": [{"names": "acme.wire.send"}]}) == []
    blocks = {"names": "acme.wire.send", "code": "US104", "cost": "unbounded"}
    assert calls(ROUTE, installed(files), {"blocks": [blocks]}) == ["acme.fetch → acme.wire.send"]


def test_methods_and_constructors_are_followed(
    installed: Callable[[Mapping[str, str]], Packages],
) -> None:
    packages = installed(
        {
            "acme/__init__.py": """
                import socket, requests
                class Base:
                    def load(self):
                        return self._load()
                class Client(Base):
                    def __init__(self, host):
                        self.peer = socket.create_connection((host, 1))
                    def _load(self):
                        return requests.get("x")
                class Asleep(Base):
                    async def _load(self):
                        return requests.get("x")
            """
        }
    )
    app = """
        import acme
        @app.get("/")
        async def route():
            client = acme.Client("h")
            client.load()
            acme.Asleep().load()
    """

    assert calls(app, packages) == [
        "acme.Client → socket.create_connection",
        "acme.Client.load → acme.Client._load → requests.get",
    ]


def test_what_is_awaited_and_what_runs_in_a_thread_stays_silent(
    installed: Callable[[Mapping[str, str]], Packages],
) -> None:
    app = """
        import acme, asyncio
        @app.get("/a")
        async def awaited():
            await acme.fetch("x")
        @app.get("/b")
        async def moved():
            await asyncio.to_thread(acme.fetch, "x")
        @app.get("/c")
        def plain():
            acme.fetch("x")
    """

    assert calls(app, installed(BLOCKS["in the function itself"][0])) == []


def test_the_files_that_were_read_are_remembered(
    installed: Callable[[Mapping[str, str]], Packages], tmp_path: Path
) -> None:
    packages = installed(
        {"acme/__init__.py": "from .client import fetch", "acme/other.py": "", "acme/client.py": """
            import time
            def fetch(x): time.sleep(1)
            """}
    )  # fmt: skip
    worked('import acme\n@app.get("/")\nasync def route():\n    acme.fetch("x")\n', packages)
    assert packages.used == {tmp_path / "acme/__init__.py", tmp_path / "acme/client.py"}


def test_packages_without_source_are_a_gap(
    installed: Callable[[Mapping[str, str]], Packages], tmp_path: Path
) -> None:
    (gap,) = worked(ROUTE, installed({"other.py": ""})).gaps
    assert gap.startswith(f"calls into acme are not followed: their source is not in {tmp_path}")

    (gap,) = worked(ROUTE, Packages(())).gaps
    assert gap.startswith("no environment was found")


def test_a_package_that_cannot_be_read_is_no_reason_to_stop(
    installed: Callable[[Mapping[str, str]], Packages],
) -> None:
    files = {
        "acme/__init__.py": "def broken(:",
        "bold.py": BLOCKS["in the function itself"][0]["acme.py"],
    }
    app = ROUTE + "    \n@app.get('/b')\nasync def other():\n    import bold\n    bold.fetch('x')\n"

    assert calls(app, installed(files)) == ["bold.fetch → requests.get"]


# Where packages lie


def test_an_environment_keeps_packages_beside_its_interpreter(tmp_path: Path) -> None:
    inside = tmp_path / "lib" / "python3.12" / "site-packages"
    inside.mkdir(parents=True)
    (inside / "Acme_Client-1.2.dist-info").mkdir()

    packages = packages_of(tmp_path / "bin" / "python", "/usr/bin/python3", ["/elsewhere"])

    assert packages.folders == (inside,)
    before = packages.stamp()
    assert "Acme_Client-1.2" in before


def test_of_the_running_interpreter_its_own_path_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site-packages").mkdir()
    path = [
        str(tmp_path),
        str(tmp_path / "site-packages"),
        str(tmp_path / "gone" / "site-packages"),
    ]

    assert packages_of(Path("/x/python"), "/x/python", path).folders == (
        tmp_path / "site-packages",
    )


def test_of_a_large_package_only_the_neighbourhood_is_read(
    installed: Callable[[Mapping[str, str]], Packages], tmp_path: Path
) -> None:
    chain = {f"acme/m{n}.py": f"from . import m{n + 1}\nimport acme.m{n + 2}\n" for n in range(90)}
    installed({"acme/__init__.py": "", **chain})

    files = [each.file for each in sources(tmp_path, ["acme/m5.py"])]

    assert files[:4] == ["acme/m5.py", "acme/__init__.py", "acme/m6.py", "acme/m7.py"]
    assert len(files) == 40
