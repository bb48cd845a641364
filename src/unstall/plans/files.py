"""Where plans lie: in a file of their own, in unstall.toml, or in pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstall.errors import UsageError
from unstall.model.plan import Plan
from unstall.plans.plan import plan_of

SHARED = ("unstall.toml", "pyproject.toml")
"""Files that hold settings as well."""
_SIGNS = ("app", "fault", "scenario")


def read_plan(file: Path) -> Plan:
    """Raises UsageError for what is no plan."""
    tables = _tables(file, file.name == "pyproject.toml")
    if tables is None:
        raise UsageError(f"{file} has no [tool.unstall]: write the plan below it, or name its file")
    return plan_of(tables, file, shared=file.name in SHARED)


def find_plan(folder: Path) -> Plan | None:
    """The nearest one at or above `folder` in a file that is shared; raises UsageError."""
    for place in (folder, *folder.parents):
        for name in SHARED:
            file = place / name
            if not file.is_file():
                continue
            tables = _tables(file, name == "pyproject.toml")
            if tables is not None and any(sign in tables for sign in _SIGNS):
                return plan_of(tables, file, shared=True)
        if (place / ".git").exists():
            break  # what lies above belongs to somebody else
    return None


def _tables(file: Path, below_tool: bool) -> Mapping[str, Any] | None:
    """None if all of it is somebody else's."""
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"the plan {file} cannot be read ({error.strerror}): name a file that is there"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 ({error.reason}): save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is no TOML ({error}): correct it") from None
    tool = document.get("tool", {})
    tables = tool.get("unstall") if isinstance(tool, Mapping) else None
    if tables is None and not below_tool:
        tables = {name: value for name, value in document.items() if name != "tool"}
    if tables is not None and not isinstance(tables, Mapping):
        raise UsageError(f"tool.unstall in {file} is {tables!r}, which is no table")
    return tables
