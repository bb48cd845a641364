"""From a live frame to a `Stack`: names and lines only, no local of the host is touched."""

from __future__ import annotations

import ast
import dis
import linecache
import os
import re
import sysconfig
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NamedTuple

from unstall.model.place import INSTALLED, Frame, Owner, Stack
from unstall.threads import frames as thread_frames
from unstall.watch.source import Sources

MAX_FRAMES = 96
_CALL_WIDTH = 80
_SELF = Path(__file__).resolve().parent.parent
_SHIPPED_APP = _SELF / "_reference"  # the demonstration service is somebody's app like any other


class Places:
    """Whose file is whose, relative to one project root."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        paths = sysconfig.get_paths()
        self._stdlib = {os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib")}
        self._owners: dict[str, tuple[str, Owner]] = {}

    def locate(self, file: str) -> tuple[str, Owner]:
        """The file as reports name it, and its owner."""
        known = self._owners.get(file)
        if known is None:
            known = self._owners[file] = self._locate(file)
        return known

    def _locate(self, file: str) -> tuple[str, Owner]:
        if file.startswith("<"):  # <frozen importlib>, <string>, a template
            return file, Owner.STDLIB if file.startswith("<frozen") else Owner.LIBRARY
        path = Path(os.path.realpath(file))
        ours = path.is_relative_to(_SELF) and not path.is_relative_to(_SHIPPED_APP)
        stdlib = any(path.is_relative_to(folder) for folder in self._stdlib)
        if stdlib and not _is_installed(path):  # before the root, which may be above it, as / is
            return str(path), Owner.STDLIB
        if path.is_relative_to(self._root):
            inside = path.relative_to(self._root)
            if ours:
                return inside.as_posix(), Owner.SELF
            if not _is_installed(inside) and self._root.name not in INSTALLED:
                return inside.as_posix(), Owner.APP
        if ours:
            return str(path), Owner.SELF
        if _is_installed(path):
            return str(path), Owner.LIBRARY
        return str(path), Owner.APP


def _is_installed(path: PurePath) -> bool:
    return not INSTALLED.isdisjoint(path.parts)


class Line(NamedTuple):
    """One frame, as little of it as a stack needs."""

    code: CodeType
    lasti: int
    number: int
    module_globals: dict[str, Any]


class Glimpse(NamedTuple):
    """A thread's stack at one moment, innermost first; no frame is kept alive by it."""

    lines: tuple[Line, ...]
    cut: int


def glimpse_of(frames: Sequence[FrameType]) -> Glimpse:
    """Innermost first. Does nothing that lets go of the interpreter lock, so the moment is one."""
    lines = tuple(
        Line(frame.f_code, frame.f_lasti, frame.f_lineno or 0, frame.f_globals)
        for frame in frames[:MAX_FRAMES]
    )
    return Glimpse(lines, max(0, len(frames) - MAX_FRAMES))


class StackReader:
    """Turns glimpses into stacks, and keeps each distinct one once. May read source files."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._frames: dict[tuple[CodeType, str, int, str], Frame] = {}
        self._stacks: dict[tuple[Frame, ...], Stack] = {}
        self._sources = Sources()

    def read(self, glimpse: Glimpse) -> Stack:
        """May wait for a disk."""
        stack, _ = self._read(glimpse, lambda _: True)
        return stack

    def read_at_once(self, glimpse: Glimpse, *, anyway: bool = False) -> Stack | None:
        """Waits for no disk: None while source is on its way, or `anyway` a stack without its call."""
        stack, whole = self._read(glimpse, self._sources.at_hand)
        return stack if whole or anyway else None

    def _read(self, glimpse: Glimpse, at_hand: Callable[[str], bool]) -> tuple[Stack, bool]:
        frames: list[Frame] = []
        found_app, whole = False, True
        for depth, line in enumerate(glimpse.lines):
            # The call is read where blame may fall: at the tip, and at the first application frame.
            seen, read = self._frame(line, depth == 0 or not found_app, at_hand)
            found_app, whole = found_app or seen.owner is Owner.APP, whole and read
            frames.append(seen)
        frames.reverse()
        return self._kept(tuple(frames), glimpse.cut), whole

    def _frame(
        self, line: Line, read_call: bool, at_hand: Callable[[str], bool]
    ) -> tuple[Frame, bool]:
        module = str(line.module_globals.get("__name__") or "?")
        file = line.code.co_filename  # equal code of two files is equal
        key = (line.code, file, line.lasti if read_call else -line.number, module)
        known = self._frames.get(key)
        if known is None:
            if len(self._frames) > 10_000:  # a server with endless generated code
                self._frames.clear()
            name, owner = self._places.locate(file)
            readable = read_call and owner in (Owner.APP, Owner.LIBRARY)
            whole = not readable or at_hand(file)
            call = _call_at(line.code, file, line.lasti) if readable and whole else ""
            known = Frame(
                name, line.number, line.code.co_qualname, module, owner,
                _qualified(call, line.module_globals),
            )  # fmt: skip
            if not whole:
                return known, False
            self._frames[key] = known
        return known, True

    def _kept(self, frames: tuple[Frame, ...], cut: int) -> Stack:
        known = self._stacks.get(frames)
        if known is None:
            if len(self._stacks) > 2_000:
                self._stacks.clear()
            known = self._stacks[frames] = Stack(frames, cut)
        return known


_ESCAPE = re.compile(r"""\\N\{[^}]*\}|(\\[\\'"\n])|\\(.)""")
"""In texts. CPython would warn the host of those that it takes for mistakes."""


@lru_cache(maxsize=1024)
def _call_at(code: CodeType, file: str, lasti: int) -> str:
    """The source text of what is called at an instruction, without arguments; empty if unreadable."""
    entered = dis.opname[code.co_code[lasti]] in _ENTERS_CONTEXT
    # What enters a context spans the whole block; the expression is the instruction's before it.
    at = lasti // 2 - (1 if entered else 0)
    try:
        line, end_line, column, end_column = list(code.co_positions())[at]
        if line is None or end_line is None or column is None or end_column is None:
            return ""
        lines = [linecache.getline(file, n).encode() for n in range(line, end_line + 1)]
        if not lines[-1]:
            return ""
        lines[-1] = lines[-1][:end_column]
        lines[0] = lines[0][column:]
        text = _ESCAPE.sub(r"\1\2", b"".join(lines).decode())
        node = ast.parse(f"({text})", mode="eval").body
    except (IndexError, SyntaxError, ValueError, MemoryError, RecursionError):
        return ""
    while isinstance(node, ast.Await):
        node = node.value
    if isinstance(node, ast.Call):
        node = node.func
    elif not entered:
        return ""
    if not isinstance(node, ast.Name | ast.Attribute):
        return ""
    name = ast.unparse(node)
    name = name if len(name) <= _CALL_WIDTH else name[: _CALL_WIDTH - 1] + "…"
    return f"{_WITH}{name}" if entered else name


_WITH = "with "
_ENTERS_CONTEXT = frozenset({"BEFORE_WITH", "LOAD_SPECIAL"})


def _qualified(call: str, module_globals: dict[str, Any]) -> str:
    """`r.get` as `requests.get` where the file says `import requests as r`.

    Only modules, functions and classes found by name in the module's globals are followed, and read
    without their own attribute hooks: proxies and lazy modules would run the host's code.
    """
    if not call or call.startswith(_WITH):
        return call
    root, _, rest = call.partition(".")
    value = module_globals.get(root)
    kind = type(value)
    if issubclass(kind, ModuleType):
        name = object.__getattribute__(value, "__dict__").get("__name__")
    elif issubclass(kind, type) or kind in _FUNCTIONS:
        home = type if issubclass(kind, type) else kind
        module = object.__getattribute__(value, "__module__") if home is not type else (
            type.__dict__["__module__"].__get__(value)
        )  # fmt: skip
        if not isinstance(module, str) or module == module_globals.get("__name__"):
            return call
        name = f"{module}.{home.__dict__['__qualname__'].__get__(value)}"
    else:
        return call
    if not isinstance(name, str):
        return call
    return f"{name}.{rest}" if rest else name


_FUNCTIONS = (FunctionType, BuiltinFunctionType)


def current_frame(ident: int) -> FrameType | None:
    """The frame a thread runs now; drop it soon, for it keeps its locals alive."""
    return thread_frames().get(ident)
