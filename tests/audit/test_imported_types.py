"""Import says what source cannot: the class of a global made by code, and the routes made in a loop."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.imports import seen, write
from unstall.audit.audit import audit
from unstall.audit.imported import Global, Imported
from unstall.audit.imported_types import seen as types_seen
from unstall.audit.values import NOTHING, instance

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="apps are not imported there")

CLIENTS = """
import importlib

import requests


class Api:
    def __init__(self, **parts):
        self.__dict__.update(parts)


library = importlib.import_module("requests")
http = getattr(library, "Session")()
api = Api(http=getattr(library, "Session")())
"""

MAIN = """
from fastapi import FastAPI
from shop.clients import api, http

app = FastAPI()


@app.get("/global")
async def by_global():
    return http.get("https://example.org")


@app.get("/attribute")
async def by_attribute():
    return api.http.get("https://example.org")


@app.get("/plain")
def plain():
    return http.get("https://example.org")


async def made(name: str):
    return name


for prefix in ("/a", "/b"):
    app.add_api_route("".join((prefix, "/made")), made)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("requests")
    return write(tmp_path_factory.mktemp("shop"), shop__main=MAIN, shop__clients=CLIENTS)


@pytest.fixture(scope="module")
def told(root: Path) -> Imported:
    return seen(root, "shop.main:app")


def blocked(root: Path, imported: Imported | None) -> set[str]:
    """Names of the routes that wait for requests on the loop."""
    return {
        entry.name
        for finding in audit(root, imported=imported).findings
        if finding.code == "US102"
        for entry in finding.entries
    }


def test_calls_on_objects_that_code_made_are_found_with_import_alone(
    root: Path, told: Imported
) -> None:
    assert blocked(root, None) == set()
    assert blocked(root, told) == {"GET /global", "GET /attribute"}


def test_routes_that_code_made_are_entrances_with_import_alone(root: Path, told: Imported) -> None:
    def routes(imported: Imported | None) -> set[str]:
        return {path.entry.name for path in audit(root, imported=imported).paths}

    assert {"GET /a/made", "GET /b/made"} <= routes(told)
    assert not {"GET /a/made", "GET /b/made"} & routes(None)


def test_what_source_knows_is_not_narrowed_by_one_environment() -> None:
    known = types_seen(
        Imported("app:app", globals={("app", "store"): Global("app", "store", "app:Local")})
    )
    both = instance("app:Local") | instance("boto3.Client")
    assert known.of_global("app", "store", both) == both
    assert known.of_global("app", "store", NOTHING) == instance("app:Local")
    assert known.of_global("app", "other", NOTHING) == NOTHING


DERIVED = """
import acme
from fastapi import FastAPI

app = FastAPI()
client = acme.Client()

@app.get("/")
async def route():
    client.get("https://example.org")
    client.other()
"""


def test_a_class_of_others_is_known_by_what_it_inherits_from(tmp_path: Path) -> None:
    write(tmp_path, main=DERIVED)
    told = Imported(
        "main:app",
        told={
            "root": str(tmp_path),
            "modules": {"main": str(tmp_path / "main.py")},
            "globals": [
                {
                    "module": "main",
                    "name": "client",
                    "types": [["acme", "Client", "acme"], ["requests", "Session", "requests"]],
                    "attributes": {},
                }
            ],
        },
    )

    (finding,) = audit(tmp_path, imported=told, only=frozenset({"US102"})).findings

    assert finding.site is not None
    assert (finding.site.line, finding.site.call) == (9, "requests.Session.get")
    assert finding.confidence == "likely"  # acme may define `get` anew
    assert audit(tmp_path, only=frozenset({"US102"})).findings == ()
