"""A first import by name is what a first import by statement is."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support.trapped import codes, trapped
from unstall.model.finding import Finding
from unstall.traps.trap import trap

LAZY = """
import importlib
from importlib import import_module

async def by_statement():
    import large.table  # noqa

async def by_attribute():
    importlib.import_module("large.table")

async def by_its_own_name():
    import_module("large.table")

async def by_relative_name():
    import_module(".table", "large")

async def by_the_function_of_the_statement():
    importlib.__import__("large.table")

async def of_what_is_not_there():
    try:
        import_module("large.chair")
    except ImportError:
        pass

async def looks_for_it():
    importlib.util.find_spec("large")
"""
WAYS = (
    "by_statement",
    "by_attribute",
    "by_its_own_name",
    "by_relative_name",
    "by_the_function_of_the_statement",
)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """An application, and a package that imports a module of its own by name."""
    (tmp_path / "lazy.py").write_text(LAZY)
    large = tmp_path / "large"
    large.mkdir()
    (large / "__init__.py").write_text("import importlib\nimportlib.import_module('large.rows')\n")
    (large / "rows.py").write_text("ROWS = [1]\n")
    (large / "table.py").write_text("def columns():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("lazy")
    for name in ("lazy", "large", "large.rows", "large.table"):
        sys.modules.pop(name, None)


def what_is_said(finding: Finding) -> tuple[object, ...]:
    assert finding.site is not None
    evidence = finding.evidence[0]
    because = str(evidence.because).rpartition(" imports ")[2]
    return finding.code, finding.severity, finding.site.call, evidence.count, because


@pytest.mark.parametrize("way", WAYS)
def test_all_ways_to_import_for_the_first_time_are_one_finding(
    way: str, shop: ModuleType, tmp_path: Path
) -> None:
    (finding,) = trapped(getattr(shop, way), root=tmp_path)
    said = ("US112", "warning", "import", 1, "large.table for the first time")
    assert what_is_said(finding) == said
    assert finding.site is not None
    assert (finding.site.file, finding.site.function) == ("lazy.py", way)


@pytest.mark.parametrize("way", WAYS)
def test_a_module_that_is_there_already_is_nobodys_wait(
    way: str, shop: ModuleType, tmp_path: Path
) -> None:
    importlib.import_module("large.table")
    assert trapped(getattr(shop, way), root=tmp_path) == ()


def test_one_that_is_looked_for_and_not_there_is_told_of(shop: ModuleType, tmp_path: Path) -> None:
    """Each request looks for it anew."""
    importlib.import_module("large")
    assert codes(trapped(shop.of_what_is_not_there, root=tmp_path)) == ["US112"]


def test_whether_there_is_a_module_is_no_import(shop: ModuleType, tmp_path: Path) -> None:
    assert "US112" not in codes(trapped(shop.looks_for_it, root=tmp_path))


def test_the_start_of_an_application_imports_what_it_likes(
    shop: ModuleType, tmp_path: Path
) -> None:
    """`large` imports its rows by name, and whoever loads `large` at the top of a module waits for all."""
    (tmp_path / "starts.py").write_text("import large.table\n")

    async def loads() -> None:
        spec = importlib.util.spec_from_file_location("starts", tmp_path / "starts.py")
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))

    assert trapped(loads, root=tmp_path) == ()


def test_a_lifespan_imports_by_name_what_its_routes_then_have(
    shop: ModuleType, tmp_path: Path
) -> None:
    @asynccontextmanager
    async def warm(app: Starlette) -> AsyncIterator[None]:
        if app.state.warm:
            await shop.by_attribute()
        yield

    async def export(request: Request) -> Response:
        await shop.by_attribute()
        return PlainTextResponse("1,2")

    app = Starlette(routes=[Route("/", export)], lifespan=warm)
    found = []
    for app.state.warm in (True, False):
        for name in ("large", "large.rows", "large.table"):
            sys.modules.pop(name, None)
        with trap(threshold_ms=0, root=tmp_path) as caught, TestClient(app) as client:
            client.get("/")
        found.append([(each.code, each.entry.name) for each in caught.findings if each.entry])
    assert found == [[], [("US112", "GET /")]]


def test_what_a_library_imports_by_name_is_its_own_business(
    shop: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "dialects.py").write_text(
        "import importlib\n\ndef load():\n    importlib.import_module('large.table')\n"
    )
    (tmp_path / "uses.py").write_text("import dialects\n\nasync def uses():\n    dialects.load()\n")
    monkeypatch.syspath_prepend(str(installed))
    uses = importlib.import_module("uses")
    try:
        assert trapped(uses.uses, root=tmp_path) == ()
    finally:
        del sys.modules["uses"], sys.modules["dialects"]


def test_off_a_loop_it_is_nobodys_business(shop: ModuleType, tmp_path: Path) -> None:
    async def elsewhere() -> None:
        import asyncio

        await asyncio.to_thread(importlib.import_module, "large.table")

    assert trapped(elsewhere, root=tmp_path) == ()


def test_a_strict_trap_lets_a_warning_pass(shop: ModuleType, tmp_path: Path) -> None:
    assert codes(trapped(shop.by_attribute, root=tmp_path, strict=True)) == ["US112"]
    assert "large.table" in sys.modules


def test_no_frame_of_ours_is_there_while_the_module_runs(shop: ModuleType, tmp_path: Path) -> None:
    """Whoever warns of a module points past the machinery of imports, which would end at our frame."""
    (tmp_path / "large" / "table.py").write_text(
        "import sys\nSTACK = []\nframe = sys._getframe()\n"
        "while frame is not None:\n    STACK.append(frame.f_code.co_filename)\n    frame = frame.f_back\n"
    )
    trapped(shop.by_attribute, root=tmp_path)
    stack = sys.modules["large.table"].STACK
    until = next(n for n, file in enumerate(stack) if file.endswith("lazy.py"))
    assert not [file for file in stack[:until] if "unstall/traps" in file]
