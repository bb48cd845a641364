"""What an earlier run kept, and when it is good for nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.report.sources import READ
from unstall.cli.cache import FOLDER, cached, digest
from unstall.model.report import Report


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("a = 1\n")
    (tmp_path / "Procfile").write_text("web: uvicorn app:app\n")
    return tmp_path


class Counting:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Report:
        self.times += 1
        return READ


@pytest.fixture
def make() -> Counting:
    return Counting()


def test_what_has_not_changed_is_read_once(root: Path, make: Counting) -> None:
    assert cached(root, ("app",), make) == READ
    assert cached(root, ("app",), make) == READ
    assert make.times == 1


@pytest.mark.parametrize("file", ["app.py", "new.py", "Procfile", "deploy/values.yaml"])
def test_any_change_is_read_anew(file: str, root: Path, make: Counting) -> None:
    cached(root, (), make)
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text("changed = 2\n")
    cached(root, (), make)
    assert make.times == 2


def test_what_else_it_rests_on_counts_too(root: Path, make: Counting) -> None:
    cached(root, ("app.main:app",), make)
    cached(root, ("app.main:other",), make)
    assert make.times == 2


def test_a_file_elsewhere_that_it_turned_out_to_rest_on_counts_too(
    root: Path, make: Counting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    module = tmp_path_factory.mktemp("site-packages") / "acme.py"
    module.write_text("a = 1\n")
    for _ in range(2):
        cached(root, (), make, lambda: [module])
    assert make.times == 1
    module.write_text("ab = 2\n")
    for _ in range(2):
        cached(root, (), make, lambda: [module])
    assert make.times == 2
    module.unlink()
    cached(root, (), make, lambda: [module])
    assert make.times == 3


def test_the_cache_is_no_change(root: Path, make: Counting) -> None:
    before = digest(root, ())
    cached(root, (), make)
    assert digest(root, ()) == before


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "\n", "\n[]", "\x00"])
def test_a_corrupt_or_foreign_cache_is_ignored_and_replaced(
    text: str, root: Path, make: Counting
) -> None:
    cached(root, (), make)
    (file,) = (root / FOLDER).glob("*.json")
    file.write_text(text)
    assert cached(root, (), make) == READ
    assert cached(root, (), make) == READ
    assert make.times == 2


def test_one_that_was_edited_is_ignored(root: Path, make: Counting) -> None:
    cached(root, (), make)
    (file,) = (root / FOLDER).glob("*.json")
    file.write_text(file.read_text().replace("shop/repo.py", "shop/none.py"))
    assert cached(root, (), make) == READ
    assert make.times == 2


def test_one_of_another_state_is_ignored(root: Path, make: Counting) -> None:
    cached(root, (), make)
    (file,) = (root / FOLDER).glob("*.json")
    text = file.read_text()
    (root / "app.py").write_text("b = 2\n")
    file.with_name(f"audit-{digest(root, ())}.json").write_text(text)
    cached(root, (), make)
    assert make.times == 2


def test_a_folder_that_takes_nothing_is_no_error(root: Path, make: Counting) -> None:
    (root / FOLDER).write_text("a file stands in the way")
    assert cached(root, (), make) == READ
    assert cached(root, (), make) == READ
    assert make.times == 2


def test_the_folder_is_marked_as_a_cache_and_stays_out_of_git(root: Path, make: Counting) -> None:
    cached(root, (), make)
    assert (root / FOLDER / ".gitignore").read_text() == "*\n"
    assert (
        (root / FOLDER / "CACHEDIR.TAG")
        .read_text()
        .startswith("Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_only_the_newest_few_are_kept(root: Path, make: Counting) -> None:
    for number in range(8):
        cached(root, (str(number),), make)
        for file in (root / FOLDER).glob("*.json"):
            if file.stat().st_mtime_ns > 10:
                os.utime(file, ns=(number, number))
    assert len(list((root / FOLDER).glob("*.json"))) == 4
    cached(root, ("7",), make)
    assert make.times == 8
