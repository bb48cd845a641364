"""A service's own files are read, and of its tests, scripts and examples those that it imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstall.audit import program
from unstall.audit.audit import audit
from unstall.audit.needed import needed, words
from unstall.audit.source import data_of


def of(**files: str) -> list[str]:
    sources = {name.replace("__", "/") + ".py": text for name, text in files.items()}
    return needed(sources, lambda file: words(sources[file].encode()))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os.path as p, json\n", {"os", "path", "as", "p", "json"}),
        ("from a.b import c, d  # e\n", {"a", "b", "c", "d"}),
        ("from a import (\n    b,\n    c,\n)\nd = 1\n", {"a", "b", "c"}),
        ("    from . import late\n", {"late"}),
        ("x = 'import y'\n", set()),
    ],
)
def test_the_words_of_an_import_are_read_from_its_text(text: str, found: set[str]) -> None:
    assert words(text.encode()) == found


def test_modules_that_are_imported_by_text_count() -> None:
    assert "loaded" in words(b"importlib.import_module('scripts.loaded')\n")


def test_what_nobody_imports_is_left_out() -> None:
    assert of(app="import json\n", tests__test_app="import app\n", conftest="") == ["app.py"]


def test_what_a_kept_script_imports_is_kept_as_well() -> None:
    kept = of(
        app="from scripts import load\n", scripts__load="from fixtures.rows import ROWS\n",
        fixtures__rows="ROWS = ()\n", fixtures__other="", tests__test_app="",
    )  # fmt: skip
    assert kept == ["app.py", "scripts/load.py", "fixtures/rows.py", "fixtures/other.py"]


def test_each_file_is_opened_once_and_what_nobody_imports_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "app": "import test_used",
        "test_used": "",
        "test_unused": "import app",
    }.items():
        (tmp_path / f"{name}.py").write_text(f"{text}\n")
    opened: list[str] = []

    def read(path: Path) -> bytes | str:
        opened.append(path.name)
        return data_of(path)

    monkeypatch.setattr(program, "data_of", read)

    parsed, unread = program.read(tmp_path)

    assert opened == ["app.py", "test_used.py"]
    assert ([each.file for each in parsed], unread) == (["app.py", "test_used.py"], [])


def test_a_blocking_helper_among_the_scripts_is_still_found(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "help.py").write_text("import time\n\ndef wait():\n    time.sleep(1)\n")
    (tmp_path / "test_help.py").write_text("this is (no Python\n")
    (tmp_path / "main.py").write_text(
        "from fastapi import FastAPI\nfrom scripts.help import wait\napp = FastAPI()\n\n"
        "@app.get('/')\nasync def root():\n    wait()\n"
    )
    report = audit(tmp_path)
    assert ("US101", "scripts/help.py") in {
        (f.code, f.site and f.site.file) for f in report.findings
    }
    assert report.gaps == (), "the broken test beside it is nobody's"
