"""Hooks on imports: they fire once, after the import, and are never felt by the host."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from unstall.watch.discover import Discovery, ImportHooks


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def hooks() -> Iterator[ImportHooks]:
    hooks = ImportHooks()
    yield hooks
    hooks.stop()
    assert hooks not in sys.meta_path


def test_a_module_that_is_there_is_hooked_at_once(hooks: ImportHooks) -> None:
    seen: list[ModuleType] = []
    hooks.when("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_a_module_is_hooked_when_it_has_been_imported(modules: Path, hooks: ImportHooks) -> None:
    (modules / "later_one.py").write_text("value = 7\n")
    seen: list[int] = []
    hooks.when("later_one", lambda module: seen.append(module.value))
    hooks.start()
    module = importlib.import_module("later_one")
    assert seen == [7]
    assert inspect.getsource(module) == "value = 7\n"
    assert type(module.__loader__).__module__.startswith("_frozen_importlib")
    assert module.__spec__ is not None
    assert module.__spec__.loader is module.__loader__


def test_a_package_keeps_its_submodules(modules: Path, hooks: ImportHooks) -> None:
    (modules / "later_package").mkdir()
    (modules / "later_package" / "__init__.py").write_text("")
    (modules / "later_package" / "inner.py").write_text("value = 8\n")
    hooks.when("later_package", lambda module: None)
    hooks.start()
    assert importlib.import_module("later_package.inner").value == 8


def test_a_module_that_was_only_looked_for_is_still_hooked(
    modules: Path, hooks: ImportHooks
) -> None:
    (modules / "later_probed.py").write_text("value = 3\n")
    seen: list[int] = []
    hooks.when("later_probed", lambda module: seen.append(module.value))
    hooks.start()
    assert importlib.util.find_spec("later_probed") is not None
    importlib.import_module("later_probed")
    assert seen == [3]


def test_an_import_that_fails_fails_with_its_own_error(modules: Path, hooks: ImportHooks) -> None:
    (modules / "later_broken.py").write_text("raise RuntimeError('mine')\n")
    hooks.when("later_broken", lambda module: None)
    hooks.start()
    with pytest.raises(RuntimeError, match="mine"):
        importlib.import_module("later_broken")


def test_a_module_that_does_not_exist_is_missing_as_ever(hooks: ImportHooks) -> None:
    hooks.when("unstall_no_such_module", lambda module: None)
    hooks.start()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("unstall_no_such_module")


def test_a_hook_that_raises_does_not_break_the_import(modules: Path, hooks: ImportHooks) -> None:
    def explode(_: ModuleType) -> None:
        raise ZeroDivisionError

    (modules / "later_two.py").write_text("value = 9\n")
    hooks.when("later_two", explode)
    hooks.start()
    assert importlib.import_module("later_two").value == 9


def test_a_class_wrapped_again_by_others_stays_theirs() -> None:
    class Loop:
        def run_forever(self) -> str:
            return "ran"

    entered: list[object] = []

    @contextmanager
    def around(loop: object) -> Iterator[None]:
        entered.append(loop)
        yield

    discovery = Discovery(around, ImportHooks())
    discovery._wrap(Loop)
    ours = Loop.run_forever
    assert Loop().run_forever() == "ran"
    assert len(entered) == 1

    def theirs(self: Loop) -> str:
        return ours(self)

    Loop.run_forever = theirs  # type: ignore[method-assign]
    discovery.stop()
    assert Loop.__dict__["run_forever"] is theirs
    assert Loop().run_forever() == "ran"
