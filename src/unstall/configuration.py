"""What `[tool.unstall]` in pyproject.toml, or unstall.toml, says about auditing; flags win over it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unstall.errors import UsageError
from unstall.model.finding import Confidence

FILES = ("unstall.toml", "pyproject.toml")
_SECTIONS = ("audit", "catalog", "lanes", "trap")
_PLAN = (
    "app", "fault", "in_flight", "name", "repeat", "scenario", "seed", "thresholds", "upstreams",
    "witness",
)  # fmt: skip
"""What a file of its own may hold beside the sections: a plan for a run."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Of `unstall audit`; patterns match paths relative to the project's root, with `/`."""

    select: tuple[str, ...] = ()
    """Codes of rules, or their beginnings; empty: all."""
    ignore: tuple[str, ...] = ()
    min_confidence: Confidence = Confidence.LIKELY
    exclude: tuple[str, ...] = ()
    """Files and folders whose findings are not shown; they are still followed into."""
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    baseline: Path | None = None
    entrances: tuple[str, ...] = ()
    """Functions that run on a loop although nothing in the source says so: `package.module:function`."""
    file: Path | None = None
    """Where this was read; None if nothing was."""


@dataclass(frozen=True, slots=True)
class TrapSettings:
    """Of `unstall.trap()`, the plugin for pytest and the mixin for unittest."""

    ignore: tuple[str, ...] = ()
    """Codes of rules or their beginnings, and names of calls with `*` for anything."""
    threshold_ms: float | None = None
    baseline: Path | None = None
    file: Path | None = None
    """Where this was read; None if nothing was."""


def audit_settings(folder: Path) -> AuditSettings:
    """From the nearest file at or above `folder` that has a word for unstall; raises UsageError."""
    tables, file = _nearest(folder)
    if file is None:
        return AuditSettings()
    given = _values(tables.get("audit", {}), file, "audit", _READERS)
    return replace(AuditSettings(file=file), **given)


def trap_settings(folder: Path) -> TrapSettings:
    """From the same file as `audit_settings`; raises UsageError."""
    tables, file = _nearest(folder)
    if file is None:
        return TrapSettings()
    given = _values(tables.get("trap", {}), file, "trap", _TRAP_READERS)
    return replace(TrapSettings(file=file), **given)


def catalog_rows(folder: Path) -> Mapping[str, object]:
    """What the project adds to the catalog, as it stands in the same file; raises UsageError."""
    tables, file = _nearest(folder)
    rows = tables.get("catalog", {})
    if not isinstance(rows, Mapping):
        raise UsageError(
            f"catalog in {file} is {rows!r}, which is no table: write [tool.unstall.catalog]"
        )
    return rows


def _nearest(folder: Path) -> tuple[Mapping[str, Any], Path | None]:
    for place in (folder, *folder.parents):
        for name in FILES:
            tables = _tables(place / name)
            if tables is not None:
                return tables, place / name
        if (place / ".git").exists():
            break  # what lies above belongs to somebody else
    return {}, None


def confidence_of(text: object, where: str) -> Confidence:
    """From what a user typed for the flag or key `where`; raises UsageError."""
    if isinstance(text, str) and text in tuple(Confidence):
        return Confidence(text)
    raise UsageError(f"{where} is {text!r}: give {', '.join(Confidence)}")


def _tables(file: Path) -> Mapping[str, Any] | None:
    """The tables of unstall, if the file has any."""
    try:
        if not file.is_file():
            return None  # a pipe would be waited for for ever
        text = file.read_text(encoding="utf-8")
    except OSError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 ({error.reason}): save it as UTF-8") from None
    own = file.name == "unstall.toml"
    if not own and "unstall" not in text:
        return None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is no TOML ({error}): correct it") from None
    tool = document.get("tool", {})
    tables = tool.get("unstall") if isinstance(tool, Mapping) else None
    if tables is None and own:
        tables = {name: value for name, value in document.items() if name != "tool"}
    if tables is None:
        return None
    if not isinstance(tables, Mapping):
        raise UsageError(f"tool.unstall in {file} is {tables!r}, which is no table")
    for name in tables:
        if name not in (*_SECTIONS, *_PLAN):
            raise UsageError(_unknown(name, f"[tool.unstall] of {file}", _SECTIONS))
    return tables


def _values(
    table: object, file: Path, section: str, readers: Mapping[str, Callable[[object, str], object]]
) -> dict[str, Any]:
    """Field to value, of one section."""
    if not isinstance(table, Mapping):
        raise UsageError(
            f"{section} in {file} is {table!r}, which is no table: write [tool.unstall.{section}]"
        )
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in readers:
            where = f"[tool.unstall.{section}] of {file}"
            raise UsageError(_unknown(key, where, tuple(readers)))
        found[key.replace("-", "_")] = readers[key](value, f"{key} in {file}")
    return found


def _unknown(key: str, where: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key, known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"{key!r} is no setting of {where}; {advice}"


def _texts(value: object, where: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) and each for each in value):
        return tuple(value)
    raise UsageError(f'{where} is {value!r}: give a list of texts, as in ["US1", "US403"]')


def _ignores(value: object, where: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, Mapping):
        raise UsageError(f'{where} is {value!r}: give a table, as in {{ "scripts/*" = ["US106"] }}')
    return tuple((pattern, _texts(codes, where)) for pattern, codes in value.items())


def _path(value: object, where: str) -> Path:
    if isinstance(value, str) and value:
        return Path(value)
    raise UsageError(
        f'{where} is {value!r}: give the name of a file, as in ".unstall-baseline.json"'
    )


def _milliseconds(value: object, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise UsageError(f"{where} is {value!r}: give milliseconds, as in 200")


_TRAP_READERS: Mapping[str, Callable[[object, str], object]] = {
    "ignore": _texts,
    "threshold-ms": _milliseconds,
    "baseline": _path,
}
_READERS: Mapping[str, Callable[[object, str], object]] = {
    "select": _texts,
    "ignore": _texts,
    "min-confidence": confidence_of,
    "exclude": _texts,
    "per-file-ignores": _ignores,
    "baseline": _path,
    "entrances": _texts,
}
