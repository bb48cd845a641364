"""Files are found and parsed whatever is in them."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstall.audit.ir import Unread
from unstall.audit.source import MAX_BYTES, Parsed, data_of, find, is_test_file, parse, parse_file


def write(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")


def test_environments_caches_and_built_copies_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, "app/main.py", "app/build/__init__.py", ".git/hook.py", "node_modules/a/b.py")
    write(tmp_path, "myenv/lib/x.py", "build/lib/app/main.py", "venv/x.py", "app/__pycache__/x.py")
    (tmp_path / "myenv/pyvenv.cfg").touch()

    assert list(find(tmp_path)) == ["app/build/__init__.py", "app/main.py"]


def test_a_folder_that_links_to_itself_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, "app/main.py")
    (tmp_path / "app/again").symlink_to(tmp_path / "app")
    (tmp_path / "app/root").symlink_to(tmp_path)

    assert list(find(tmp_path)) == ["app/main.py"]


def test_a_folder_that_cannot_be_looked_into_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "app/main.py", "closed/main.py")
    scan = os.scandir

    def refuse(folder: Path) -> object:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    missed: list[Unread] = []

    assert list(find(tmp_path, missed)) == ["app/main.py"]
    assert missed == [Unread("closed/", "it cannot be read: Permission denied")]


def test_a_file_that_links_to_itself_is_found_and_told(tmp_path: Path) -> None:
    (tmp_path / "ring.py").symlink_to("ring.py")

    assert list(find(tmp_path)) == ["ring.py"]
    assert isinstance(parse_file(tmp_path, "ring.py"), Unread)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")

    assert data_of(tmp_path / "pipe.py") == "it is no regular file, or a link to nowhere"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"def broken(:\n", "this Python cannot parse it in line 1"),
        (b"x = '\xff\xfe'\n", "this Python cannot parse it"),
        (b"# coding: no-such-thing\nx = 1\n", "this Python cannot parse it"),
        (b"x = 1\x00\n", "null bytes"),
        (b"(" * 5_000 + b")" * 5_000, "too many nested parentheses"),
        (b"x = " + b"-" * 200_000 + b"1", "it is nested too deeply to parse"),
    ],
    ids=["syntax", "not-utf-8", "unknown-coding", "null", "parentheses", "depth"],
)
def test_what_cannot_be_parsed_is_said_in_a_clause(
    tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "bad.py").write_bytes(content)

    read = parse_file(tmp_path, "bad.py")

    assert isinstance(read, Unread)
    assert why in read.why


def test_a_generated_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "big.py").write_bytes(b"x = 1\n" * (MAX_BYTES // 6 + 1))

    read = parse_file(tmp_path, "big.py")

    assert isinstance(read, Unread)
    assert "probably generated" in read.why


def test_a_link_to_nowhere_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nothing.py")

    assert isinstance(parse_file(tmp_path, "gone.py"), Unread)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    pass\nexcept KeyError, ValueError:\n    pass\n",
        "def first[T](items: list[T]) -> T:\n    return items[0]\n",
        "class Box[T]:\n    pass\n",
        "type Names = list[str]\n",
        "x = t'{1}'\n",
    ],
)
def test_newer_syntax_is_read_line_for_line(text: str) -> None:
    tree = parse(text.encode())

    assert isinstance(tree, ast.Module)
    assert tree.body[0].lineno == 1


def test_latin_1_with_a_coding_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_bytes(b"# coding: latin-1\nx = '\xe9'\n")

    assert isinstance(parse_file(tmp_path, "old.py"), Parsed)


@pytest.mark.parametrize(
    "file", ["tests/a.py", "app/test_x.py", "x_test.py", "conftest.py", "scripts/a.py"]
)
def test_tests_and_scripts_are_told(file: str) -> None:
    assert is_test_file(file)


@pytest.mark.parametrize("file", ["app/main.py", "app/contest.py", "latest.py", "app/testament.py"])
def test_services_are_no_tests(file: str) -> None:
    assert not is_test_file(file)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    assert isinstance(parse(data), ast.Module | str)
