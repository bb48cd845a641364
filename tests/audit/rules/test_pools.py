"""Pool sizes, as source says them and as import saw them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import seen, write
from unstall.audit.audit import audit
from unstall.audit.imported import Imported, decode
from unstall.audit.rules.pools import SERVER, TOKENS
from unstall.model.finding import Finding

MAIN = """
    import os

    from fastapi import FastAPI
    from sqlalchemy.ext.asyncio import create_async_engine

    SIZE = int(os.environ.get("POOL_SIZE", "30"))
    engine = create_async_engine("postgresql+asyncpg://db/app", pool_size=SIZE, max_overflow=0)
    app = FastAPI()


    @app.get("/")
    async def read() -> str:
        return "ok"
"""


def test_a_size_that_source_cannot_tell_is_not_guessed(tmp_path: Path) -> None:
    assert _sums(_service(tmp_path)) == []


@pytest.mark.live
def test_a_size_that_import_saw_counts(tmp_path: Path) -> None:
    root = _service(tmp_path)
    found = [f for f in audit(root, imported=seen(root)).findings if f.code == "US403"]
    because = found[0].evidence[0].because
    assert because is not None
    assert because.startswith(f"4 workers (Procfile:1) x 30 = 120 connections, and {SERVER} is")


def test_the_worker_counts_of_several_files_are_not_added(tmp_path: Path) -> None:
    root = _service(tmp_path, main=MAIN.replace("pool_size=SIZE", "pool_size=20"))
    (root / "Dockerfile").write_text("CMD uvicorn main:app --workers 2\n")
    assert _sums(root) == []


@pytest.mark.parametrize("tokens", ["15", "SETTINGS.tokens"])
def test_tokens_that_were_set_are_not_taken_for_forty(tmp_path: Path, tokens: str) -> None:
    main = """
        import anyio.to_thread
        from fastapi import Depends, FastAPI
        from sqlalchemy import create_engine, text
        from sqlalchemy.orm import Session

        from settings import SETTINGS

        engine = create_engine("postgresql+psycopg://db/app")
        app = FastAPI()


        @app.on_event("startup")
        async def start() -> None:
            anyio.to_thread.current_default_thread_limiter().total_tokens = NUMBER


        @app.get("/")
        def read() -> object:
            with Session(engine) as session:
                return session.execute(text("select 1")).first()
    """
    assert TOKENS == 40
    small = write(tmp_path / "small", main=main.replace("NUMBER", tokens))
    default = write(tmp_path / "default", main=main.replace("NUMBER", "40"))
    assert _sums(small) == []
    assert len(_sums(default)) == 1


def _service(folder: Path, main: str = MAIN) -> Path:
    root = write(folder / "service", main=main)
    (root / "Procfile").write_text("web: uvicorn main:app --workers 4\n")
    return root


def _sums(root: Path) -> list[Finding]:
    return [finding for finding in audit(root).findings if finding.code == "US403"]


THREADS = """
    from contextlib import asynccontextmanager

    from fastapi import FastAPI
    from sqlalchemy import create_engine, text
    from sqlalchemy.orm import Session, sessionmaker

    class Exporter:
        def __init__(self):
            self.engine = create_engine("postgresql://db/app")

    def make():
        engine = create_engine("postgresql://db/app")
        return sessionmaker(bind=engine)

    def check():
        engine = create_engine("postgresql://db/app")
        with engine.begin() as connection:
            connection.execute(text("select 1"))

    def lend():
        engine = create_engine("postgresql://db/app")
        app.state.sessions = sessionmaker(engine)

    @asynccontextmanager
    async def lifespan(_):
        {start}
        yield

    app = FastAPI(lifespan=lifespan)
    {top}

    @app.get("/")
    def read():
        {body}
        with Session() as session:
            return session.execute(text("select 1")).first()
"""


@pytest.mark.parametrize(
    ("start", "top", "body", "makers"),
    [
        ("pass", "Sessions = make()", "pass", ["make"]),
        ("make()", "", "pass", ["make"]),
        ("lend()", "", "pass", ["lend"]),
        ("Exporter()", "", "Exporter()", ["Exporter.__init__"]),
        ("pass", "one = Exporter()", "Exporter()", ["Exporter.__init__"]),
        ("pass", "", "Exporter()", []),
        ("check()", "", "pass", []),
        ("pass", "", "check()", []),
        ("pass", "", "pass", []),
        ("pass", 'if __name__ == "__main__": make()', "pass", []),
    ],
)
def test_only_a_pool_that_requests_share_can_be_too_small(
    tmp_path: Path, start: str, top: str, body: str, makers: list[str]
) -> None:
    root = write(tmp_path / "service", main=THREADS.format(start=start, top=top, body=body))

    assert [each.site.function for each in _sums(root) if each.site] == makers


@pytest.mark.parametrize(("call", "count"), [("make()", 1), ("None", 0)])
def test_a_pool_that_a_module_makes_by_a_function_is_seen(
    tmp_path: Path, call: str, count: int
) -> None:
    main = """
        from fastapi import FastAPI
        from db import Sessions

        app = FastAPI()

        @app.get("/")
        def read():
            with Sessions() as session:
                return session.get(int, 1)
    """
    db = f"""
        from sqlalchemy import create_engine
        from sqlalchemy.orm import sessionmaker

        def make() -> sessionmaker:
            engine = create_engine("postgresql://db/app")
            return sessionmaker(bind=engine)

        Sessions: sessionmaker = {call}
    """
    assert len(_sums(write(tmp_path / "service", main=main, db=db))) == count


# Sums, servers, and what import saw

APP = """
    from fastapi import FastAPI
    from sqlalchemy import create_engine
    app = FastAPI()
    {}

    @app.get("/")
    async def read(): ...
"""
HALF = "create_engine({!r}, pool_size=20, max_overflow=10)"
POSTGRES, MYSQL = "postgresql://db/a", "mysql+pymysql://db/a"


def _because(root: Path, code: str, engines: str, imported: Imported | None = None) -> list[str]:
    write(root, main=APP.format(engines))
    (root / "Procfile").write_text("web: uvicorn main:app --workers 2\n")
    found = [f for f in audit(root, imported=imported).findings if f.code == code]
    return [f.evidence[0].because or "" for f in found]


def test_pools_of_one_server_are_summed(tmp_path: Path) -> None:
    one = f"first = {HALF.format(POSTGRES)}"
    assert _because(tmp_path, "US403", one) == []

    two = f"{one}; second = {HALF.format(POSTGRES)}"
    assert _because(tmp_path, "US403", two) == [
        "2 workers (Procfile:1) x ((20 + 10) + (20 + 10) of 2 pools at main.py:4, main.py:4) = "
        "120 connections, and 100 is PostgreSQL's default limit (assumed)"
    ]


def test_pools_of_two_servers_are_not(tmp_path: Path) -> None:
    two = f"first = {HALF.format(POSTGRES)}; second = {HALF.format('postgresql://other/a')}"
    assert _because(tmp_path, "US403", two) == []


def test_mysql_allows_more(tmp_path: Path) -> None:
    two = f"first = {HALF.format(MYSQL)}; second = {HALF.format(MYSQL)}"
    assert _because(tmp_path, "US403", two) == []

    (said,) = _because(tmp_path, "US403", f"{two}; third = {HALF.format(MYSQL)}")
    assert said.endswith("= 180 connections, and 151 is MySQL's default limit (assumed)")


def test_a_server_of_which_no_limit_is_known_is_not_judged(tmp_path: Path) -> None:
    oracle = HALF.format("oracle+oracledb://db/a")
    assert _because(tmp_path, "US403", "; ".join(f"e{n} = {oracle}" for n in range(9))) == []


def _told(**numbers: object) -> Imported:
    """An app that was imported, with this engine."""
    known: dict[str, object] = {
        "kind": "engine", "type": "sqlalchemy.engine.base.Engine", "name": "main:engine", **numbers
    }  # fmt: skip
    files = {"main": "/r/main.py"}
    return _decoded({"root": "/r", "modules": files, "pools": [known]})


def _decoded(told: dict[str, object]) -> Imported:
    return decode(told, "main:app")


QUEUE = "sqlalchemy.pool.impl.QueuePool"
UNKNOWN = "import settings; engine = create_engine(settings.URL, **settings.POOL)"


def test_numbers_of_the_imported_app_beat_what_source_cannot_tell(tmp_path: Path) -> None:
    assert _because(tmp_path, "US403", UNKNOWN) == []

    large = _told(driver="mysql+pymysql", size=60, overflow=20, host="db", port=3306)
    (said,) = _because(tmp_path, "US403", UNKNOWN, large)
    assert said.startswith(
        "2 workers (Procfile:1) x (60 + 20) = 160 connections, and 151 is MySQL's"
    )

    small = _told(driver="mysql+pymysql", size=5, overflow=5)
    large_source = "engine = create_engine('mysql://db/a', pool_size=500)"
    assert _because(tmp_path, "US403", large_source, small) == []


def test_a_pool_made_in_a_function_is_known_if_it_is_the_only_one(tmp_path: Path) -> None:
    made = "import settings\n    def make():\n        return create_engine(settings.URL)\n    engine = make()"
    told = _told(driver="postgresql+psycopg", size=60, overflow=20)

    assert len(_because(tmp_path, "US403", made, told)) == 1
    assert (
        _because(tmp_path, "US403", f"{made}\n    other = make(); third = create_engine('x')", told)
        == []
    )


def test_waits_of_the_imported_app_are_judged_by_what_it_has(tmp_path: Path) -> None:
    endless = _told(driver="postgresql+psycopg", size=5, overflow=0, pool_class=QUEUE)
    assert len(_because(tmp_path, "US404", UNKNOWN, endless)) == 1
    assert len(_because(tmp_path, "US502", UNKNOWN, endless)) == 1

    waits = {"connect_timeout": 3, "options": "-c statement_timeout=5000"}
    bounded = _told(
        driver="postgresql+psycopg", size=5, overflow=0, pool_class=QUEUE, acquire_timeout=3.0,
        timeouts=waits,
    )  # fmt: skip
    assert _because(tmp_path, "US404", UNKNOWN, bounded) == []
    assert _because(tmp_path, "US502", UNKNOWN, bounded) == []
