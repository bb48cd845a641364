"""Reads what `faulthandler` writes: the stack of every thread, as text."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from unstall.model.place import Frame, Owner, Stack
from unstall.watch.stacks import Places

_THREAD = re.compile(
    r"(?:Current thread|Thread) 0x([0-9a-f]+)(?: \[.*\])? \(most recent call first\):"
)
_FRAME = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')
_ESCAPE = re.compile(r"\\[xuU]([0-9a-f]{8}|[0-9a-f]{4}|[0-9a-f]{2})")
_INSTALLED = re.compile(r".*/(?:site|dist)-packages/")
_OURS = re.compile(r".*/(?=unstall/watch/)")


def stacks_of(lines: Iterable[str], places: Places, root: Path, stdlib: str) -> dict[int, Stack]:
    """Thread ident to its stack, outermost first; lines that are no part of a dump are passed over."""
    threads: dict[int, list[Frame]] = {}
    frames: list[Frame] | None = None
    for line in lines:
        if thread := _THREAD.fullmatch(line):
            frames = threads.setdefault(int(thread[1], 16), [])
        elif frames is not None and (found := _FRAME.fullmatch(line)):
            file, number, function = _text(found[1]), found[2], _text(found[3])
            frames.append(_frame(file, number, function, places, root, stdlib))
    return {ident: Stack(tuple(reversed(frames))) for ident, frames in threads.items()}


def _frame(file: str, number: str, function: str, places: Places, root: Path, stdlib: str) -> Frame:
    shown, owner = places.locate(file)
    if owner is Owner.APP and file.startswith(stdlib + os.sep):  # of another interpreter than ours
        owner = Owner.STDLIB
    line = int(number) if number.isdecimal() else 0
    return Frame(shown, line, function, _module(file, root, stdlib), owner)


def _module(file: str, root: Path, stdlib: str) -> str:
    """The dotted name that a file is imported by, as far as its path tells."""
    if file.startswith("<"):
        return file.removeprefix("<frozen ").strip("<>")
    path = _OURS.sub("", _INSTALLED.sub("", file))
    path = path.removeprefix(stdlib + os.sep).removeprefix(f"{root}{os.sep}")
    return path.removesuffix(".py").removesuffix("/__init__").strip("/").replace("/", ".")


def _text(escaped: str) -> str:
    """What `faulthandler` wrote in ASCII, as it was."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), escaped)
