"""From the qualified name of an API to the rule that calling it on the loop breaks."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _rows() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(files(__package__).joinpath("blocking.toml").read_text(encoding="utf-8"))


@cache
def table() -> Mapping[str, str]:
    """Name to rule code, from `blocking.toml`."""
    return {name: code for code, row in _rows().items() for name in row["names"]}


@cache
def methods() -> Mapping[str, str]:
    """Method name to the rule that calling it likely breaks when C code then waits on a peer."""
    return {name: code for code, row in _rows().items() for name in row.get("methods", ())}


def rule_for(api: str) -> str | None:
    """The code of the row with the longest name that `api` is or lies below; None if there is none."""
    names = table()
    name = api
    while name:
        if name in names:
            return names[name]
        name = name.rpartition(".")[0]
    return None


def rule_and_kind(api: str) -> tuple[str, str]:
    """The code, and what it is a matter of, in a word; both empty if there is no row."""
    code = rule_for(api)
    return (code, _rows()[code]["kind"]) if code else ("", "")
