"""First imports by `importlib.import_module`: an `import` statement has an audit event, and this has none.

A finder that finds nothing is asked for each module that is not loaded yet. From the frames above it one
can tell who asks; it leaves no frame of ours on the stack while the module runs.
"""

from __future__ import annotations

import importlib
import sys
from asyncio import _get_running_loop
from collections.abc import Sequence
from importlib import _bootstrap  # type: ignore[attr-defined,unused-ignore]
from types import FrameType, ModuleType

from unstall.traps.events import IMPORT
from unstall.watch.audit import Failed, Heard

_MACHINERY = vars(_bootstrap)
_ASKING = {(id(vars(importlib)), "import_module"), (id(_MACHINERY), "__import__")}
_BY_NAME = ("_find_spec", "_find_and_load_unlocked", "_find_and_load", "_gcd_import")
"""How `import_module` gets from its caller to the finders, the innermost first. With parents that are not
loaded either there is more of it; a statement comes without the last."""


class FirstImports:
    """Stands first on `sys.meta_path` from `start` to `stop`."""

    def __init__(self, heard: Heard, failed: Failed) -> None:
        self._heard = heard
        self._failed = failed

    def start(self) -> None:
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        if _get_running_loop() is None:
            return
        refusal = None
        try:
            caller = _who_asks(sys._getframe(1))
            if caller is not None:
                refusal = self._heard(IMPORT, fullname, caller)
        except Exception as error:
            self._failed(error)
        if refusal is not None:
            raise refusal


def _who_asks(frame: FrameType | None) -> FrameType | None:
    """The caller of `import_module`; None for all other imports, and for parents of what it was asked for."""
    for name in _BY_NAME:
        if frame is None or frame.f_globals is not _MACHINERY or frame.f_code.co_name != name:
            return None
        frame = frame.f_back
    if frame is None or (id(frame.f_globals), frame.f_code.co_name) not in _ASKING:
        return None
    return frame.f_back
