"""`[tool.unstall.catalog]`: a project says what its own libraries do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unstall.cli import main

APP = """
import acme
from fastapi import FastAPI

app = FastAPI()


@app.get("/orders")
async def orders():
    return acme.open().post("order")
"""
ROWS = """
[[tool.unstall.catalog.blocks]]
of = "acme.Ledger"
names = "post"
code = "US103"
cost = "unbounded"

[tool.unstall.catalog.returns]
"acme.open" = "acme.Ledger"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(capsys: pytest.CaptureFixture[str]) -> list[str]:
    main(["audit", "--no-import", "--format", "json", "--select", "US1"])
    return [each["site"]["call"] for each in json.loads(capsys.readouterr().out)["findings"]]


def test_rows_of_the_project_name_what_nobody_else_knows(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found(capsys) == []
    (project / "pyproject.toml").write_text(ROWS)
    assert found(capsys) == ["acme.Ledger.post"]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("[tool.unstall]\ncatalog = 3\n", "catalog in"),
        (ROWS.replace("US103", "US999"), "US999"),
    ],
)
def test_rows_that_cannot_be_read_are_one_sentence(
    rows: str, sentence: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pyproject.toml").write_text(rows)
    assert main(["audit", "--no-import"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line
