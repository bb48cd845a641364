"""Names are followed through imports, aliases and re-exports, whatever the layout."""

from __future__ import annotations

import pytest

from tests.audit.reading import expression, name_at_end, names_in


@pytest.mark.parametrize(
    ("source", "text", "name"),
    [
        ("import requests", "requests.get", "requests.get"),
        ("import requests as r", "r.get", "requests.get"),
        ("from requests import get as fetch", "fetch", "requests.get"),
        ("import os.path", "os.path.join", "os.path.join"),
        ("import time\nwait = time.sleep", "wait", "time.sleep"),
        (
            "from functools import partial\nimport time\nnap = partial(time.sleep, 1)",
            "nap",
            "time.sleep",
        ),
        (
            "try:\n    import ujson as json\nexcept ImportError:\n    json = None",
            "json.loads",
            "ujson.loads",
        ),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import redis",
            "redis.Redis",
            "redis.Redis",
        ),
        ("x = 1", "open", "builtins.open"),
        ("class A:\n    def m(self): ...", "A.m", "app:A.m"),
        ("class A:\n    class B:\n        def m(self): ...", "A.B", "app:A.B"),
        ("def f():\n    def inner(): ...\n    return inner", "f", "app:f"),
        ("from fastapi import FastAPI\napp = FastAPI()", "app", "app:app"),
    ],
)
def test_a_name_is_what_it_stands_for(source: str, text: str, name: str) -> None:
    assert name_at_end(source, text) == (name,)


def test_a_name_nobody_binds_is_not_known() -> None:
    assert name_at_end("x = 1", "nothing.at.all") == ()


def test_a_name_that_is_bound_again_is_the_later_one() -> None:
    assert name_at_end("from a import f\ndef f(): ...", "f") == ("app:f",)


LAYOUTS = {
    "src": ("src/shop/main.py", "src/shop/db.py", "from shop.db import load", "shop.db:load"),
    "package": ("shop/main.py", "shop/db.py", "from shop.db import load", "shop.db:load"),
    "relative": ("shop/main.py", "shop/db.py", "from .db import load", "shop.db:load"),
    "up": ("shop/api/main.py", "shop/db.py", "from ..db import load", "shop.db:load"),
    "beside": ("service/main.py", "service/db.py", "from db import load", "db:load"),
    "nested": (
        "libs/api/shop/main.py",
        "libs/api/shop/db.py",
        "from shop.db import load",
        "shop.db:load",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_import_finds_its_file_in_any_layout(layout: str) -> None:
    main, other, statement, name = LAYOUTS[layout]
    names = names_in({main: statement, other: "def load(): ..."})
    module = next(m.name for m in names.modules.values() if m.file == main)

    assert names.name_of(module, "", expression("load")) == (name,)


def test_packages_with_init_files_are_named_from_their_top() -> None:
    files = ("backend/shop/__init__.py", "backend/shop/main.py", "backend/shop/db/__init__.py")
    names = names_in(dict.fromkeys(files, "x = 1"))

    assert set(names.modules) == {"shop", "shop.main", "shop.db"}


def test_two_services_with_the_same_module_names_stay_apart() -> None:
    names = names_in({
        "one/app/main.py": "from app.db import load", "one/app/db.py": "def load(): ...",
        "two/app/main.py": "from app.db import load", "two/app/db.py": "def load(): ...",
    })  # fmt: skip

    for module in names.modules.values():
        if module.file.endswith("main.py"):
            (found,) = names.name_of(module.name, "", expression("load"))
            assert names.modules[found.partition(":")[0]].file == module.file.replace("main", "db")


def test_a_file_called_like_a_library_does_not_hide_it() -> None:
    names = names_in({"app/main.py": "import redis", "app/redis.py": "def get(): ..."})

    assert names.name_of("app.main", "", expression("redis.Redis")) == ("redis.Redis",)


@pytest.mark.parametrize(
    ("file", "name"),
    [("acme/env.py", "acme.command.upgrade"), ("acme/command.py", "acme.command:upgrade")],
)
def test_a_folder_hides_a_library_only_with_what_is_in_it(file: str, name: str) -> None:
    names = names_in({"main.py": "from acme import command", file: "def upgrade(): ..."})

    assert names.name_of("main", "", expression("command.upgrade")) == (name,)


def test_reexports_and_stars_lead_to_the_definition() -> None:
    names = names_in({
        "shop/__init__.py": "from .api import *",
        "shop/api.py": "from shop.db import load as fetch",
        "shop/db.py": "def load(): ...",
        "main.py": "import shop\nfrom shop import fetch",
    })  # fmt: skip

    assert names.name_of("main", "", expression("fetch")) == ("shop.db:load",)
    assert names.name_of("main", "", expression("shop.fetch")) == ("shop.db:load",)


def test_an_import_inside_a_function_is_seen_there_only() -> None:
    names = names_in({"app.py": "def f():\n    import requests\n    pass\n"})

    assert names.name_of("app", "app:f", expression("requests.get")) == ("requests.get",)
    assert names.name_of("app", "", expression("requests.get")) == ()


def test_a_global_is_named_by_the_module_that_binds_it() -> None:
    names = names_in({"main.py": "from routes import router", "routes.py": "router = make()"})

    assert names.name_of("main", "", expression("router")) == ("routes:router",)


def test_modules_that_import_each_other_end() -> None:
    names = names_in(
        {"a.py": "from b import *\nfrom b import x", "b.py": "from a import *\nfrom a import x"}
    )

    assert names.name_of("a", "", expression("x")) == ()


def test_a_decorated_function_is_still_called_by_its_name() -> None:
    source = """
    from functools import wraps
    def logged(f):
        @wraps(f)
        def inner(*args):
            return f(*args)
        return inner
    @logged
    def work(): ...
    """
    assert name_at_end(__import__("textwrap").dedent(source), "work") == ("app:work",)
