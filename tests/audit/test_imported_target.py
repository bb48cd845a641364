"""The interpreter and the app of a project are found where projects keep them."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest

from tests.support.imports import write
from unstall.audit.imported_target import candidates, interpreter, named
from unstall.errors import UsageError


def environment(folder: Path) -> Path:
    """An environment as far as looking for it goes."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    return python


def found(root: Path, named: str | None = None, **environ: str) -> Path:
    return interpreter(root, named, {"HOME": str(root / "home"), **environ}, "/running/python")


def mark(root: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(str(root.resolve()).encode()).digest()).decode()[
        :8
    ]


def test_without_an_environment_the_running_interpreter_it_is(tmp_path: Path) -> None:
    assert found(tmp_path) == Path("/running/python")


@pytest.mark.parametrize("name", [".venv", "venv", "env", ".pixi/envs/default"])
def test_an_environment_in_the_project_is_found(tmp_path: Path, name: str) -> None:
    assert found(tmp_path) != environment(tmp_path / name) == found(tmp_path)


def test_the_active_environment_comes_before_the_projects_and_the_named_before_all(
    tmp_path: Path,
) -> None:
    environment(tmp_path / ".venv")
    active, other = environment(tmp_path / "active"), environment(tmp_path / "other")
    assert found(tmp_path, VIRTUAL_ENV=str(tmp_path / "active")) == active
    assert found(tmp_path, str(tmp_path / "other"), VIRTUAL_ENV=str(tmp_path / "active")) == other
    assert found(tmp_path, str(other)) == other


def test_an_environment_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    assert found(tmp_path, VIRTUAL_ENV=str(tmp_path / "gone")) == python


def test_a_link_to_an_interpreter_is_not_followed(tmp_path: Path) -> None:
    """An environment's python is a link, and is its own only by that name."""
    real = environment(tmp_path / "real")
    link = tmp_path / ".venv" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    assert found(tmp_path) == link


def test_what_pdm_poetry_and_hatch_keep_elsewhere_is_found(tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    home = root / "home"
    hatch = environment(home / ".local/share/hatch/env/virtual/service" / mark(root) / "service")
    assert found(root) == hatch
    poetry = environment(home / ".cache/pypoetry/virtualenvs" / f"service-{mark(root)}-py3.12")
    environment(home / ".cache/pypoetry/virtualenvs" / "service-othermrk-py3.12")
    assert found(root) == poetry
    pdm = environment(tmp_path / "pdm")
    (root / ".pdm-python").write_text(f"{pdm}\n")
    assert found(root) == pdm


def test_a_named_interpreter_must_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in (tmp_path / "file", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="--python is "):
            found(tmp_path, str(name))


# --- the app --------------------------------------------------------------------------------

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


def texts(root: Path) -> list[tuple[str, str]]:
    return [(each.text, each.base.relative_to(root).as_posix()) for each in candidates(root)]


def test_apps_come_before_factories_and_shallow_files_before_deep_ones(tmp_path: Path) -> None:
    write(
        tmp_path,
        deep__er__main=FASTAPI,
        main=FASTAPI,
        made="def create_app(debug=False):\n    ...\ndef make_app(name):\n    ...\n",
        tests__test_app=FASTAPI,
    )
    assert [text for text, _ in texts(tmp_path)] == ["main:app", "main:app", "made:create_app()"]


@pytest.mark.parametrize(
    "source",
    [
        "import fastapi\nservice = fastapi.FastAPI(title='x')\n",
        "from starlette.applications import Starlette\nservice: Starlette = Starlette()\n",
        "from other import create_app\nservice = create_app()\n",
        "from fastapi import FastAPI\ntry:\n    service = FastAPI()\nexcept Exception:\n    raise\n",
    ],
)
def test_an_app_is_known_by_what_makes_it(tmp_path: Path, source: str) -> None:
    assert texts(write(tmp_path, main=source)) == [("main:service", ".")]


@pytest.mark.parametrize(
    "source",
    [
        "app = 1 # FastAPI\n",
        "def f():\n    app = FastAPI()\n",
        "if __name__ == '__main__':\n    app = FastAPI()\n",
        "def create_app(settings): FastAPI()\n",
    ],
)
def test_what_is_not_made_at_module_level_is_no_candidate(tmp_path: Path, source: str) -> None:
    assert texts(write(tmp_path, main=source)) == []


def test_the_file_that_starts_the_service_decides_between_two(tmp_path: Path) -> None:
    write(tmp_path, app=FASTAPI, backend__server=FASTAPI)
    assert texts(tmp_path)[0] == ("app:app", ".")
    (tmp_path / "Dockerfile").write_text('CMD ["uvicorn", "backend.server:app"]\n')
    assert texts(tmp_path)[0] == ("server:app", "backend")


def test_the_folder_is_that_from_which_the_imports_of_the_file_work(tmp_path: Path) -> None:
    layouts = {
        "rooted": {"app/main.py": "from app.db import x\n", "app/db.py": ""},
        "beside": {"app/main.py": "from db import x\n", "app/db.py": ""},
        "package": {"app/main.py": "from .db import x\n", "app/db.py": "", "app/__init__.py": ""},
        "inside": {"app/main.py": "from db import x\n", "app/db.py": "", "app/__init__.py": ""},
        "source": {"src/shop/main.py": "import shop.db\n", "src/shop/__init__.py": ""},
        "below": {"backend/app/main.py": "import app.db\n", "backend/app/__init__.py": ""},
    }
    for name, files in layouts.items():
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + FASTAPI if file.endswith("main.py") else text)
    assert {name: texts(tmp_path / name)[0] for name in layouts} == {
        "rooted": ("app.main:app", "."),
        "beside": ("main:app", "app"),
        "package": ("app.main:app", "."),
        "inside": ("main:app", "app"),
        "source": ("shop.main:app", "src"),
        "below": ("app.main:app", "backend"),
    }


def test_a_named_app_is_found_in_src_and_in_folders_below(tmp_path: Path) -> None:
    write(tmp_path, src__shop__main="", backend__api="", one__two__deep="")
    assert named(tmp_path, "shop.main:app").base == tmp_path / "src"
    assert named(tmp_path, "shop.main:app").folder == tmp_path
    assert (
        named(tmp_path, "api:app").base == named(tmp_path, "api:app").folder == tmp_path / "backend"
    )
    assert named(tmp_path, "deep").text == "deep:app"
    assert named(tmp_path, "backend/api.py:create()").text == "api:create()"


@pytest.mark.parametrize("app", ["", ":app", "a-b:app", "a:b c", "a..b:app"])
def test_what_cannot_be_an_app_is_a_usage_error(tmp_path: Path, app: str) -> None:
    with pytest.raises(UsageError, match=r"which is not package\.module:app"):
        named(tmp_path, app)
