"""What is to be read, from what a user typed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unstall.audit.source import MAX_BYTES
from unstall.cli.target import Target, project_root, target_of
from unstall.errors import TargetError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "service"
    (root / "src" / "shop" / "api").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    for package in ("shop", "shop/api"):
        (root / "src" / package / "__init__.py").touch()
    (root / "src" / "shop" / "main.py").write_text(
        "from fastapi import FastAPI as F\nif True:\n    app = F()\ndef create_app(): ...\nx, y = 1, 2\n"
    )
    (root / "src" / "shop" / "star.py").write_text("from shop.main import *\n")
    (root / "src" / "shop" / "broken.py").write_text("def (:\n")
    return root


def test_nothing_is_the_project_of_the_current_folder(project: Path) -> None:
    assert target_of(None, project / "src" / "shop") == Target("service", project)


def test_without_a_marker_the_current_folder_is_the_project(tmp_path: Path) -> None:
    assert project_root(tmp_path) == tmp_path


def test_a_folder_is_its_own_root(project: Path) -> None:
    assert target_of("src", project) == Target("src", project / "src")
    assert target_of("service", project.parent) == Target("service", project)


def test_a_package_is_a_part_of_its_project(project: Path) -> None:
    assert target_of("src/shop/api", project) == Target(
        "src/shop/api", project / "src", below=("shop/api",)
    )


def test_a_root_may_be_a_package(project: Path) -> None:
    (project / "__init__.py").touch()
    assert target_of(".", project) == Target(".", project)


def test_a_file_is_a_part_too(project: Path) -> None:
    assert target_of("src/shop/main.py", project) == Target(
        "src/shop/main.py", project / "src", below=("shop/main.py",)
    )
    with pytest.raises(TargetError, match=r"pyproject.toml is no Python file"):
        target_of("pyproject.toml", project)


@pytest.mark.parametrize(
    "app", ["shop.main:app", "shop.main:create_app", "shop.main:create_app()", "shop.main:y",
            "shop.main:app.state", "shop.star:anything"],
)  # fmt: skip
def test_an_app_is_read_in_its_project(app: str, project: Path) -> None:
    assert target_of(app, project) == Target(app, project, app=app)


def test_all_files_of_a_machine_are_no_project() -> None:
    for text, here in ((None, Path("/")), ("/", Path.cwd())):
        with pytest.raises(TargetError, match="/ is no project: name a folder"):
            target_of(text, here)


@pytest.mark.parametrize(
    ("file", "why"),
    [("broken.py", "this Python cannot parse it in line 1"), ("big.py", "probably generated")],
)
def test_a_file_that_cannot_be_read_is_not_judged(file: str, why: str, project: Path) -> None:
    folder = project / "src" / "shop"
    (folder / "big.py").write_bytes(b"x = 1\n" * (MAX_BYTES // 6 + 1))
    with pytest.raises(TargetError, match=f"{file} cannot be judged, for .*{why}"):
        target_of(file, folder)


def test_a_folder_that_cannot_be_read_is_not_judged(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(TargetError, match=r"src cannot be read .Permission denied.: allow it"):
        target_of("src", project)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("scr", "there is no folder 'scr' here; did you mean 'src'?"),
        ("nowhere", "there is no folder 'nowhere' here; name a folder, or the app as"),
        ("shop.main", "there is no folder 'shop.main' here; "),
        ("shop.mian:app", "there is no module shop.mian in .*; did you mean shop.main:app?"),
        ("qqqqqqq:app", "there is no module qqqqqqq in .*; name package.module:app"),
        ("shop.main:ap", "src/shop/main.py holds no ap; did you mean shop.main:app?"),
        ("shop.main:qqqqqqq", "src/shop/main.py holds no qqqqqqq; name the ASGI app"),
        (
            "shop.broken:app",
            "src/shop/broken.py cannot be read .this Python cannot parse it in line 1",
        ),
        ("a/b:c", "there is no folder 'a/b:c' here"),
    ],
)
def test_what_is_not_there_is_one_sentence(text: str, sentence: str, project: Path) -> None:
    with pytest.raises(TargetError, match=sentence):
        target_of(text, project)
