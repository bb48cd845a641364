"""Small projects that are really imported, in a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent

from unstall.audit.imported import Imported, Refused
from unstall.audit.imported_child import Limits
from unstall.audit.imported_read import read

ENVIRON = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "PATH", "TMPDIR")}

APP = """
class Starlette:
    routes, user_middleware, exception_handlers = [], [], {}
    router = type("Router", (), {"lifespan_context": None})
    def build_middleware_stack(self): ...
app = Starlette()
"""
"""Enough of an app to be one, without the time that an import of the real one takes."""


def write(root: Path, **files: str) -> Path:
    """`main="..."` writes main.py; `app__db` is app/db.py."""
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    return root


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*")}


def imported(
    root: Path,
    app: str | None = "main:app",
    *,
    environ: dict[str, str] | None = None,
    python: str = sys.executable,
    required: bool = False,
    seconds: float = 30.0,
) -> Imported | Refused:
    return read(
        root,
        app,
        environ={**ENVIRON, **(environ or {})},
        python=python,
        required=required,
        limits=Limits(seconds=seconds),
    )


def seen(root: Path, app: str | None = "main:app", **named: object) -> Imported:
    result = imported(root, app, **named)  # type: ignore[arg-type]
    assert isinstance(result, Imported), result.why
    return result


def why(root: Path, app: str | None = "main:app", **named: object) -> str:
    """The sentence of an import that must not succeed."""
    result = imported(root, app, **named)  # type: ignore[arg-type]
    assert isinstance(result, Refused), result
    return result.why
