"""Rows that other packages bring, by entry points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from unstall.catalog import table
from unstall.errors import UsageError

ROWS = {"blocks": [{"names": "acme.get", "code": "US102", "cost": "unbounded"}]}


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    load: Callable[[], object]


def _bring(monkeypatch: pytest.MonkeyPatch, load: Callable[[], object]) -> None:
    monkeypatch.setattr(table, "entry_points", lambda *, group: [_Entry("acme", load)])


@pytest.mark.parametrize("gives", [lambda: ROWS, lambda: lambda: ROWS], ids=["mapping", "callable"])
def test_a_package_adds_rows(monkeypatch: pytest.MonkeyPatch, gives: Callable[[], object]) -> None:
    _bring(monkeypatch, gives)
    row = table.installed().row_for("acme.get")
    assert row is not None
    assert row.code == "US102"


def test_the_project_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    _bring(monkeypatch, lambda: ROWS)
    row = table.installed({"clean": [{"names": "acme.get"}]}).row_for("acme.get")
    assert row is not None
    assert row.effect is table.Effect.CLEAN


def _fails() -> object:
    raise ImportError("no module named acme")


@pytest.mark.parametrize(
    ("load", "says"),
    [
        (_fails, "cannot be loaded (ImportError: no module named acme)"),
        (lambda: 3, "is 3: give a mapping"),
        (lambda: {"blocks": [{"names": "a b()"}]}, "has the name 'b()'"),
    ],
    ids=["raises", "number", "name"],
)
def test_a_package_that_brings_nonsense_is_named(
    monkeypatch: pytest.MonkeyPatch, load: Callable[[], object], says: str
) -> None:
    _bring(monkeypatch, load)
    with pytest.raises(UsageError) as told:
        table.installed()
    assert "the entry point acme" in str(told.value)
    assert says in str(told.value)
