"""Reads a project for `unstall audit`: source, what the imported app tells, and what an earlier run kept."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace

from unstall.audit.audit import audit
from unstall.audit.imported import Imported
from unstall.audit.imported_read import read as read_app
from unstall.audit.imported_target import interpreter
from unstall.audit.packages import packages_of
from unstall.audit.settled import Settle
from unstall.catalog.table import Effect, Table, installed, plugins
from unstall.cli.cache import cached
from unstall.cli.target import Target
from unstall.configuration import catalog_rows
from unstall.errors import MissingExtra, TargetError, UsageError
from unstall.model.report import Report
from unstall.rules import BY_CODE
from unstall.version import TOOL

REFUSE, REQUIRE = "refuse", "require"


def read_project(
    target: Target,
    *,
    importing: str | None = None,
    python: str | None = None,
    types: bool = False,
    keep: bool = True,
    entrances: tuple[str, ...] = (),
) -> Report:
    """What the project is, before anybody's wishes.

    Raises TargetError if a required import failed, MissingExtra if there is nobody to ask for types,
    UsageError for rows of the catalog that cannot be read, and for entrances that are not there.
    """
    table = _catalog(target)
    settle = _settle(target, python) if types else None
    imported, gaps = _imported(target, importing, python)
    running = interpreter(target.root, python, os.environ, sys.executable)
    packages = packages_of(running, sys.executable, sys.path)

    def make() -> Report:
        return audit(
            target.root,
            app=target.app,
            imported=imported,
            table=table,
            settle=settle,
            packages=packages,
            entrances=entrances,
        )

    parts = (packages.stamp(), *entrances, *_parts(target, imported, types))
    report = cached(target.root, parts, make, lambda: packages.used) if keep else make()
    return replace(report, tool=TOOL, target=target.text, gaps=(*gaps, *report.gaps))


def _imported(
    target: Target, importing: str | None, python: str | None
) -> tuple[Imported | None, tuple[str, ...]]:
    """What importing the app tells, or in a sentence why it tells nothing."""
    if importing == REFUSE:
        return None, ()
    required = importing == REQUIRE
    found = read_app(target.root, target.app, environ=os.environ, python=python, required=required)
    if isinstance(found, Imported):
        return found, ()
    if required:
        raise TargetError(found.why)
    return found.partial, (found.why,)


def _catalog(target: Target) -> Table:
    table = installed(catalog_rows(target.root))
    for row in table.rows.values():
        if row.effect is Effect.BLOCKS and row.code not in BY_CODE:
            raise UsageError(
                f"the catalog says {row.name} breaks {row.code}, which is no rule: `unstall rules` lists them"
            )
    return table


def _settle(target: Target, python: str | None) -> Settle:
    from unstall.audit.typeserver import settler

    running = interpreter(target.root, python, os.environ, sys.executable)
    settle = settler(target.root, os.environ, running)
    if settle is None:
        raise MissingExtra("ty", "types")
    return settle


def _parts(target: Target, imported: Imported | None, types: bool) -> tuple[str, ...]:
    rows = json.dumps(catalog_rows(target.root), sort_keys=True, default=str)
    how = (str(target.app), "types" if types else "", rows, *plugins())
    if imported is None:
        return how
    told = json.dumps(dict(imported.told), sort_keys=True, default=str)
    return *how, imported.app, told
