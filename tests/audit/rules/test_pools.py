"""Pool sizes, as source says them and as import saw them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import seen, write
from unstall.audit.audit import audit
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
