"""From frames to stacks: whose file, which line, which call, and nothing of the host touched."""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

from tests.support.disk import PATIENCE_S, Disk
from unstall.model.place import Owner, Stack
from unstall.watch import stacks
from unstall.watch.ground import Ground
from unstall.watch.stacks import Glimpse, Places, StackReader, glimpse_of

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]


def read(frame: FrameType | None) -> Stack:
    assert frame is not None
    return StackReader(Places(ROOT)).read(glimpse_of(list(Ground().frames(frame))))


def stack_here() -> Stack:
    return read(sys._getframe(1))


class Probe:
    """Calls back from inside a call, so that the caller's line is in the middle of it."""

    seen: Stack

    def look(self, *_: object) -> bool:
        self.seen = read(sys._getframe(1))
        return True

    def __enter__(self) -> None:
        self.seen = read(sys._getframe(1))

    def __exit__(self, *_: object) -> None: ...


def test_a_frame_has_its_file_below_the_root_its_line_and_its_qualified_name() -> None:
    frame = stack_here().frames[-1]
    assert frame.file == "tests/watch/test_stacks.py"
    assert (
        frame.function == "test_a_frame_has_its_file_below_the_root_its_line_and_its_qualified_name"
    )
    assert "stack_here()" in HERE.read_text().splitlines()[frame.line - 1]
    assert frame.owner is Owner.APP


def test_a_call_is_named_as_its_line_says_and_without_its_arguments() -> None:
    probe = Probe()
    probe.look("a secret", 42)
    assert probe.seen.frames[-1].call == "probe.look"


def test_a_call_on_more_than_one_line_is_named() -> None:
    probe = Probe()
    probe.look(
        "a",
    )
    assert probe.seen.frames[-1].call == "probe.look"


def test_a_context_that_is_entered_is_named_as_such() -> None:
    probe = Probe()
    with probe:
        pass
    assert probe.seen.frames[-1].call == "with probe"


def test_a_module_under_another_name_is_named_by_its_own() -> None:
    assert stacks._qualified("j.loads", {"j": json}) == "json.loads"


def test_a_function_imported_by_name_is_qualified() -> None:
    assert stacks._qualified("loads", {"loads": json.loads}) == "json.loads"


def test_a_local_name_stays_as_it_is_written() -> None:
    assert stacks._qualified("cursor.execute", {}) == "cursor.execute"


def test_no_attribute_hook_of_the_host_is_run() -> None:
    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was read")

    class Proxy:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"{name} was read")

    lazy = Lazy("lazy_module")
    assert stacks._qualified("lazy.call", {"lazy": lazy}) == "lazy_module.call"
    assert stacks._qualified("proxy.call", {"proxy": Proxy()}) == "proxy.call"


@pytest.mark.parametrize(
    ("file", "owner"),
    [
        (str(ROOT / "app" / "main.py"), Owner.APP),
        (str(ROOT / ".venv/lib/python3.11/site-packages/fastapi/routing.py"), Owner.LIBRARY),
        ("/somewhere/else/helpers.py", Owner.APP),
        (threading.__file__, Owner.STDLIB),
        (stacks.__file__, Owner.SELF),
        ("<frozen importlib._bootstrap>", Owner.STDLIB),
        ("<string>", Owner.LIBRARY),
        (str(ROOT / "src/unstall/_reference/incident/app.py"), Owner.APP),
    ],
)
def test_every_file_has_one_owner(file: str, owner: Owner) -> None:
    assert Places(ROOT).locate(file)[1] is owner


def test_an_installed_package_that_is_the_root_is_the_application_and_all_of_them_are_not() -> None:
    packages = Path("/venv/lib/python3.11/site-packages")
    file = str(packages / "shop/api.py")
    assert Places(packages / "shop").locate(file) == ("api.py", Owner.APP)
    assert Places(packages).locate(file) == (file, Owner.LIBRARY)


def test_the_standard_library_is_nobodys_application_even_below_the_root() -> None:
    assert Places(Path("/")).locate(threading.__file__)[1] is Owner.STDLIB
    assert Places(Path("/")).locate("/srv/app/main.py") == ("srv/app/main.py", Owner.APP)


def test_a_very_deep_stack_keeps_its_inner_end_and_says_how_much_was_cut() -> None:
    def deeper(depth: int) -> Stack:
        return deeper(depth - 1) if depth else stack_here()

    stack = deeper(200)
    assert len(stack.frames) == stacks.MAX_FRAMES
    assert stack.cut > 100
    assert stack.frames[-1].function.endswith("deeper")


def test_equal_stacks_are_one_object() -> None:
    reader = StackReader(Places(ROOT))
    glimpses = [glimpse_of([sys._getframe()]) for _ in range(2)]
    first, second = (reader.read(glimpse) for glimpse in glimpses)
    assert first is second


TEXTS = [
    r'probe("\d")',
    r"probe('\'')",
    r'probe(r"\d\\")',
    r'probe("\\d", "\N{BULLET}")',
    'probe("a" \\\n        "b")',
]


@pytest.mark.parametrize("written", TEXTS)
def test_the_host_is_not_warned_of_texts_in_its_source(written: str, tmp_path: Path) -> None:
    file = tmp_path / "texts.py"
    file.write_text(f"def calls(probe):\n    return {written}\n")
    space: dict[str, Any] = {"__name__": "texts"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(file.read_text(), str(file), "exec"), space)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        stack = space["calls"](lambda *_: read(sys._getframe(1)))
    assert stack.frames[-1].call == "probe"
    assert not told


# --- source on a slow disk --------------------------------------------------------------------


def until(glance: Callable[[], Stack | None]) -> Stack:
    deadline = time.monotonic() + PATIENCE_S
    while (stack := glance()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return stack


def called_in(file: Path) -> Glimpse:
    """A glimpse of a call in that file, whose source nobody has read yet."""
    file.write_text("def calls(probe):\n    return probe()  # é\n")
    space: dict[str, Any] = {"__name__": "slow"}
    exec(compile(file.read_text(), str(file), "exec"), space)
    glimpse: Glimpse = space["calls"](lambda: glimpse_of([sys._getframe(1)]))
    return glimpse


def test_source_that_is_on_its_way_from_a_disk_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glimpse = called_in(tmp_path / "slow.py")
    reader = StackReader(Places(tmp_path))
    disk = Disk(monkeypatch)
    try:
        assert reader.read_at_once(glimpse) is None
        without = reader.read_at_once(glimpse, anyway=True)
        assert without is not None
        assert (without.frames[0].line, without.frames[0].call) == (2, "")
    finally:
        disk.turns.set()
    stack = until(lambda: reader.read_at_once(glimpse))
    assert stack.frames[0].call == "probe"


def test_source_on_its_way_is_asked_for_once_and_all_of_it_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    files = [folder / name for name in ("a.py", "b.py")]
    glimpse = Glimpse(tuple(line for file in files for line in called_in(file).lines), 0)
    disk = Disk(monkeypatch)
    reader = StackReader(Places(Path("/nowhere")))
    try:
        for _ in range(3):
            assert reader.read_at_once(glimpse) is None
    finally:
        disk.turns.set()
    stack = until(lambda: reader.read_at_once(glimpse))
    assert [frame.call for frame in stack.frames] == ["probe", "probe"]
    assert [frame.file for frame in stack.frames] == list(map(str, reversed(files)))
    assert sorted(disk.asked) == list(map(str, files))
