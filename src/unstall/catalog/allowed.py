"""Packs of what may block in a test, from `allowed.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from unstall.model.place import Frame, Owner


@dataclass(frozen=True, slots=True)
class Pack:
    name: str
    why: str
    below: tuple[str, ...] = ()
    """Packages, or `module:function` with `*` for anything."""
    sites: tuple[str, ...] = ()
    """Names of files."""
    within: tuple[str, ...] = ()
    """Names of files of the application's line that `below` is limited to; empty: all."""
    peers: tuple[str, ...] = ()
    """Files that may be opened, with `*` for anything."""
    codes: tuple[str, ...] = ()
    """Rules it is limited to; empty: all."""
    innermost: bool = False
    """Whether nothing of a library may lie below its frame: else it blocks, and not what runs it."""
    except_: tuple[str, ...] = ()
    """Frames that it does not hold at, nor above them: they block, though they are of its packages."""
    becomes: str = ""
    """The rule to report instead; empty: nothing is said."""

    def holds(self, code: str, file: str, below: Iterable[Frame], peer: str | None = None) -> bool:
        """`file` is that of the application's line, `below` are the frames under it."""
        if self.codes and code not in self.codes:
            return False
        name = file.rpartition("/")[2]
        if any(fnmatchcase(name, pattern) for pattern in self.sites):
            return True
        if peer is not None and any(fnmatchcase(peer, pattern) for pattern in self.peers):
            return True
        if self.within and not any(fnmatchcase(name, pattern) for pattern in self.within):
            return False
        for frame in reversed(tuple(below)):
            if any(_is(frame, pattern) for pattern in self.except_):
                return False
            if any(_is(frame, pattern) for pattern in self.below):
                return True
            if self.innermost and frame.owner is Owner.LIBRARY:
                return False
        return False


@cache
def packs() -> tuple[Pack, ...]:
    """Those that unstall brings along."""
    text = files(__package__).joinpath("allowed.toml").read_text(encoding="utf-8")
    return tuple(_pack(row) for row in tomllib.loads(text)["pack"])


def _pack(row: Mapping[str, Any]) -> Pack:
    lists = {key: tuple(row.get(key, ())) for key in ("below", "sites", "within", "peers", "codes")}
    lists["except_"] = tuple(row.get("except", ()))
    innermost, becomes = row.get("innermost", False), row.get("becomes", "")
    return Pack(row["name"], row["why"], innermost=innermost, becomes=becomes, **lists)


@cache
def quiet_packages() -> frozenset[str]:
    """Whole packages that are allowed whatever they do: their calls need no further look."""
    unlimited = (pack for pack in packs() if not (pack.codes or pack.becomes or pack.within))
    return frozenset(
        name for pack in unlimited for name in pack.below if ":" not in name and "." not in name
    )


def _is(frame: Frame, pattern: str) -> bool:
    if ":" in pattern:
        return fnmatchcase(f"{frame.module}:{frame.function}", pattern)
    return frame.module == pattern or frame.module.startswith(f"{pattern}.")
