"""`unstall audit --types`: a type checker is asked about what source leaves open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unstall.audit import typeserver
from unstall.cli import main

APP = """
from fastapi import FastAPI

from shop.clients import client

app = FastAPI()


@app.get("/orders")
async def orders():
    return fetch(client())


def fetch(with_what):
    return with_what.send()
"""
CLIENTS = """
import requests


class Client:
    def send(self):
        return requests.get("http://billing/orders", timeout=2).json()


def client(kind: str = "Client") -> "Client":
    return globals()[kind]()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "app.py").write_text(APP)
    (tmp_path / "shop" / "clients.py").write_text(CLIENTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_type_checker_is_asked_when_one_is_there(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if typeserver.settler(project, {}) is None:
        pytest.skip("neither ty nor jedi is installed")
    main(["audit", "--no-import", "--types", "--no-cache", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    assert told["gaps"] == []
    assert ("shop/clients.py", "US102") in {
        (finding["site"]["file"], finding["code"]) for finding in told["findings"]
    }


def test_without_one_the_extra_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(typeserver, "settler", lambda *_: None)
    assert main(["audit", "--no-import", "--types"]) == 4
    assert "pip install 'unstall[types]'" in capsys.readouterr().err
