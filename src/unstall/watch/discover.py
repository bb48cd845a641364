"""Finds loops: `run_forever` of asyncio's and uvloop's loops is wrapped while a monitor is on.

`asyncio.run`, `run_until_complete` and every ASGI server end there. A library that is not imported yet
is wrapped when it is, by a finder that stands first on `sys.meta_path` and finds nothing itself.

Every Python process under `unstall run` imports this module as it starts, so it imports next to nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # `typing` alone would cost as much as the rest of a bare interpreter's start
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Hook = Callable[[ModuleType], None]
    Around = Callable[[Any], AbstractContextManager[None]]


class ImportHooks:
    """Calls a hook once a module has been imported; at once if it has been already."""

    def __init__(self, failed: Callable[[BaseException], None] = lambda _: None) -> None:
        self._failed = failed
        self._hooks: dict[str, list[Hook]] = {}
        self._busy: set[str] = set()

    def when(self, module: str, hook: Hook) -> None:
        if module in sys.modules:
            self._fire([hook], sys.modules[module])
        else:
            self._hooks.setdefault(module, []).append(hook)

    def start(self) -> None:
        if self._hooks and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        self._hooks.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._hooks or fullname in self._busy:
            return None
        self._busy.add(fullname)
        try:
            from importlib.util import find_spec

            spec = find_spec(fullname)
        except Exception:  # the host's own import will raise it again, where it belongs
            spec = None
        finally:
            self._busy.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._loaded)  # type: ignore[assignment]
        return spec

    def _loaded(self, module: ModuleType) -> None:
        """Only now are the hooks used up: a spec may be asked for and never loaded."""
        self._fire(self._hooks.pop(module.__name__, []), module)

    def _fire(self, hooks: list[Hook], module: ModuleType) -> None:
        for hook in hooks:
            try:
                hook(module)
            except Exception as error:  # the host's import has succeeded, and stays so
                self._failed(error)


class _Loader:
    """The real loader, and what follows it."""

    def __init__(self, inner: Any, loaded: Hook) -> None:
        self._inner = inner
        self._loaded = loaded

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None:
            spec.loader = self._inner
        module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._loaded(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Discovery:
    """Runs every loop of this process inside `around(loop)`, from `start` to `stop`."""

    def __init__(self, around: Around, imports: ImportHooks) -> None:
        self._around = around
        self._imports = imports
        self._wrapped: list[tuple[type, Any, Any]] = []

    def start(self) -> None:
        self._imports.when("asyncio.base_events", lambda m: self._wrap(m.BaseEventLoop))
        self._imports.when("uvloop", lambda m: self._wrap(m.Loop))

    def stop(self) -> None:
        for cls, original, ours in self._wrapped:
            if cls.__dict__.get("run_forever") is not ours:
                continue  # somebody wrapped it again: ours stays inside and does nothing
            if original is None:
                del cls.run_forever  # type: ignore[attr-defined]
            else:
                cls.run_forever = original  # type: ignore[attr-defined]
        self._wrapped.clear()

    def _wrap(self, cls: type) -> None:
        own = cls.__dict__.get("run_forever")
        original = cls.run_forever  # type: ignore[attr-defined]
        around = self._around
        from functools import wraps

        @wraps(original)
        def run_forever(self: Any) -> Any:
            with around(self):
                return original(self)

        cls.run_forever = run_forever  # type: ignore[attr-defined]
        self._wrapped.append((cls, own, run_forever))
