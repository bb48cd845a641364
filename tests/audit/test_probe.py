"""The probe can be read by the oldest Python it runs on, and its parts decide rightly without a child."""

from __future__ import annotations

import ast
import os
import struct
import sys
from pathlib import Path

import pytest

from unstall.audit import probe
from unstall.audit.probe import fence
from unstall.audit.probe.guard import Guard, in_memory, is_first_party, shown

FOLDER = Path(probe.__file__).parent


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.stem)
def test_the_probe_is_written_for_the_oldest_python_and_brings_nothing_along(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            top = (node.module or "").partition(".")[0]
            assert top in sys.stdlib_module_names or top == "fastapi"
        elif isinstance(node, ast.Import):
            assert all(
                each.name.partition(".")[0] in sys.stdlib_module_names for each in node.names
            )
        assert not isinstance(node, ast.Match)


def test_the_guard_lets_the_throw_away_folder_and_the_null_device_be_written(
    tmp_path: Path,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    guard = Guard(str(tmp_path), str(scratch))
    for path in (
        scratch / "a",
        bytes(scratch / "b"),
        os.devnull,
        3,
        scratch / ".." / "scratch" / "c",
    ):
        assert guard.allows(path)
    for path in (tmp_path / "a", "a", scratch / ".." / "a", f"{scratch}2/a"):
        assert not guard.allows(path)


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="Linux alone tells what a descriptor is"
)
def test_a_path_beside_a_descriptor_is_judged_by_the_folder_it_stands_for(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    guard = Guard(str(tmp_path), str(scratch))
    for folder, allowed in ((scratch, True), (tmp_path, False)):
        number = os.open(folder, os.O_RDONLY)
        try:
            assert guard.allows("inside", number) is allowed
        finally:
            os.close(number)


def test_refusals_of_one_line_are_counted_and_all_are_bounded(tmp_path: Path) -> None:
    guard = Guard(str(tmp_path), str(tmp_path / "scratch"))
    for number in range(1_000):
        guard.note("write", f"event{number % 300}", "x")
    assert len(guard.refusals) == 200
    assert guard.refusals[0]["count"] == 4


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        (":memory:", True),
        ("", True),
        ("file::memory:?cache=shared", True),
        ("file:x?mode=memory", True),
        ("app.db", False),
        (b"app.db", False),
        ("file:app.db", False),
        (Path("app.db"), False),
    ],
)
def test_a_database_in_memory_is_no_file(database: object, expected: bool) -> None:
    assert in_memory(database) is expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/p/app/main.py", True),
        ("/p/.venv/lib/python3.12/site-packages/x.py", False),
        ("/p/lib/site-packages/x.py", False),
        ("/p/.hidden/x.py", False),
        ("/px/app.py", False),
        ("<frozen os>", False),
    ],
)
def test_the_projects_own_files_are_those_below_its_root(file: str, expected: bool) -> None:
    assert is_first_party(file, "/p/") is expected


def test_arguments_are_shown_without_running_anybodys_code() -> None:
    class Loud:
        def __repr__(self) -> str:
            raise AssertionError

        __str__ = __repr__

    assert shown(Loud()) == "Loud"
    assert shown(("host", 80, Loud())) == "host 80 Loud"
    assert shown(b"/tmp/x") == "/tmp/x"
    assert len(shown("x" * 1_000)) == 200


# --- the filter -----------------------------------------------------------------------------

ALLOWED = 0x7FFF0000


def decide(
    machine: str, number: int, *arguments: int, arch: int | None = None, pid: int = 77
) -> int:
    """Runs the filter as the kernel would, over one system call."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    architecture = fence._ARCH[machine] if arch is None else arch
    data = struct.pack("<IIQ6Q", number, architecture, 0, *values)
    lines = fence.rules(machine, pid)
    at, register = 0, 0
    while True:
        code, if_true, if_false, operand = lines[at]
        at += 1
        if code == 0x06:
            return operand
        if code == 0x20:
            (register,) = struct.unpack_from("<I", data, operand)
            continue
        test = {
            0x15: register == operand,
            0x35: register >= operand,
            0x45: bool(register & operand),
        }
        at += if_true if test[code] else if_false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
class TestTheFilter:
    def index(self, machine: str) -> int:
        return ["x86_64", "aarch64"].index(machine)

    def test_refuses_every_row_of_its_tables(self, machine: str) -> None:
        for numbers in (*fence._NETWORK.values(), *fence._OTHERS.values()):
            number = numbers[self.index(machine)]
            if number >= 0:
                assert decide(machine, number) & 0xFFFF0000 == 0x00050000

    def test_lets_threads_begin_and_no_processes(self, machine: str) -> None:
        clone = fence._CLONE[self.index(machine)]
        assert decide(machine, clone, fence._CLONE_THREAD | 0x100) == ALLOWED
        assert decide(machine, clone, 17) != ALLOWED
        assert decide(machine, fence._CLONE3[0]) == 0x00050000 | 38

    def test_lets_what_has_no_address_be_sent(self, machine: str) -> None:
        send = fence._SENDTO[self.index(machine)]
        assert decide(machine, send, 3, 1, 1, 0, 0) == ALLOWED
        assert decide(machine, send, 3, 1, 1, 0, 0x7FFF_1234) != ALLOWED
        assert decide(machine, send, 3, 1, 1, 0, 0x7F_0000_0000) != ALLOWED

    def test_lets_a_process_signal_itself_alone(self, machine: str) -> None:
        for numbers in (fence._KILL, fence._TGKILL):
            number = numbers[self.index(machine)]
            assert decide(machine, number, 77, 15) == ALLOWED
            assert decide(machine, number, 78, 15) != ALLOWED

    def test_lets_everything_else_pass(self, machine: str) -> None:
        read, openat = ((0, 257), (63, 56))[self.index(machine)]
        assert decide(machine, read) == decide(machine, openat, 5, 6, 0o2) == ALLOWED

    def test_refuses_calls_of_another_architecture(self, machine: str) -> None:
        assert decide(machine, 0, arch=0x40000003) != ALLOWED
        assert decide(machine, 0x40000000) != ALLOWED
