"""The names of the catalog, against the packages that are installed here."""

from __future__ import annotations

import inspect
import sys

import pytest

from tests.support.names import look_up
from unstall.catalog.table import canonical, default

pytestmark = pytest.mark.slow

MADE_AT_RUN_TIME = (
    "boto3.resources.base.ServiceResource.",
    "botocore.client.BaseClient.generate_presigned_",
    "postgrest.SyncRequestBuilder.",
    "weaviate.Client.query",
)
IN_PARTS = ("azure.", "google.", "llama_index.")
"""Packages that come in parts, of which not all are installed."""

UNTIL = {"configparser.SafeConfigParser": (3, 12)}
"""Names that the standard library had until then; what was written before still uses them."""


def _names() -> list[str]:
    facts = default().facts
    names = {row.name for row in facts.rows if not row.versions}
    for table in (
        facts.returns, facts.attributes, facts.enters, facts.iterates, facts.unpacks, facts.bases,
    ):  # fmt: skip
        names |= table.keys()
        names |= {each for classes in table.values() for each in classes}
    bare = {name.rstrip("*").removesuffix(".") for name in names}
    return sorted(name for name in bare if not name.startswith(MADE_AT_RUN_TIME))


def _is_absent_part(name: str) -> bool:
    if not name.startswith(IN_PARTS):
        return False
    parts = name.split(".")
    module = ".".join(part for part in parts if not part[:1].isupper())
    return look_up(module).seen == "missing" or look_up(".".join(parts[:3])).seen == "missing"


def test_every_name_is_there() -> None:
    seen = {name: look_up(name).seen for name in _names()}
    assert sum(each == "found" for each in seen.values()) > 1_000
    gone = {name for name, python in UNTIL.items() if sys.version_info >= python}
    missing = {name for name, each in seen.items() if each == "missing"}
    assert {name for name in missing if not _is_absent_part(name)} == gone


def test_a_class_is_known_by_where_it_is_defined() -> None:
    wrong = {}
    for name in _names():
        value = look_up(name).value
        if not inspect.isclass(value) or "dummy" in value.__module__:
            continue
        defined = f"{value.__module__}.{value.__qualname__}"
        if value.__qualname__ == name.rpartition(".")[2] and canonical(defined) != canonical(name):
            wrong[defined] = name
    assert wrong == {}
