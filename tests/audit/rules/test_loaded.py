"""What a module makes when it is loaded is the service's own only if the service loads it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from unstall.audit.audit import audit
from unstall.audit.rules.deployment import commands_in, launched_in, scripts_in
from unstall.model.finding import Confidence

SERVICE = """
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
async def route(): ...
"""
CLIENT = "import httpx\nclient = httpx.Client(timeout=None)\n"
COMMAND = (
    CLIENT + "import typer\ncli = typer.Typer()\n@cli.command()\ndef ask():\n    client.get('a')\n"
)

LOADED = {
    "by the app": {"main.py": SERVICE + "from shop import client\n", "shop.py": CLIENT},
    "by what the app imports": {
        "main.py": SERVICE + "import a\n",
        "a.py": "from shop import client\n",
        "shop.py": CLIENT,
    },
    "late": {
        "main.py": SERVICE + "def late():\n    from shop import client\n",
        "shop.py": CLIENT,
    },
    "as a package around a module": {
        "main.py": SERVICE + "from shop.prices import price\n",
        "shop/__init__.py": "",
        "shop/prices/__init__.py": CLIENT + "price = 1\n",
    },
    "by its relative name": {
        "api/__init__.py": "",
        "api/main.py": SERVICE + "from . import shop\n",
        "api/shop.py": CLIENT,
    },
    "by another app": {
        "main.py": SERVICE,
        "other.py": SERVICE.replace('"/"', '"/other"') + "import shop\n",
        "shop.py": CLIENT,
    },
    "by a worker": {
        "main.py": SERVICE,
        "work.py": "import celery\napp = celery.Celery()\nimport shop\n",
        "shop.py": CLIENT,
    },
    "by name": {
        "main.py": SERVICE
        + "import importlib\ndef load(name):\n    importlib.import_module(name)\n",
        "shop.py": CLIENT,
    },
    "by the command that serves": {
        "main.py": SERVICE,
        "serve.py": COMMAND
        + "@cli.command()\ndef serve():\n    import uvicorn\n    uvicorn.run('main:app')\n",
    },
    "by a line of the Dockerfile": {
        "main.py": SERVICE,
        "tools/ask.py": COMMAND,
        "Dockerfile": 'CMD ["python", "-m", "tools.ask"]\n',
    },
    "by a list in a manifest": {
        "main.py": SERVICE,
        "tools/ask.py": COMMAND,
        "deploy/compose.yaml": "services:\n a:\n  command:\n   - python\n   - -m\n   - tools.ask\n",
    },
    "by a command of its own that a container runs": {
        "main.py": SERVICE,
        "tools/ask.py": COMMAND,
        "pyproject.toml": '[project.scripts]\nask-it = "tools.ask:cli"\n',
        "Dockerfile": 'COPY . /app\nCMD ["ask-it", "--now"]\n',
    },
    "by a name in a queue": {
        "main.py": SERVICE + "import rq\nrq.Queue('a').enqueue('jobs.resize.run', 3)\n",
        "jobs/resize.py": CLIENT + "def run(size): ...\n",
    },
    "by a name in a list": {
        "main.py": SERVICE
        + "import queue_of_others\nqueue_of_others.App(include=['jobs.resize'])\n",
        "jobs/resize.py": CLIENT,
    },
    "by a name with a colon": {
        "main.py": SERVICE + "WORKER = 'resize:run'\n",
        "resize.py": CLIENT + "def run(size): ...\n",
    },
    "where there is no service": {"ask.py": COMMAND},
}
BESIDE = {
    "a command line": {"main.py": SERVICE, "ask.py": COMMAND},
    "what a command line imports": {
        "main.py": SERVICE,
        "ask.py": "import typer\nfrom shop import client\n",
        "shop.py": CLIENT,
    },
    "a command line of a service that loads by name": {
        "main.py": SERVICE
        + "import importlib\ndef load(name):\n    importlib.import_module(name)\n",
        "ask.py": COMMAND,
    },
    "what nobody imports": {"main.py": SERVICE, "shop.py": CLIENT},
    "what a logger is called like": {
        "main.py": SERVICE + "import logging\nlogging.getLogger('jobs.shop')\n",
        "jobs/shop.py": CLIENT,
    },
    "what a text with a dot means otherwise": {
        "main.py": SERVICE + "COLUMN = 'shop.id'\n",
        "shop.py": CLIENT,
    },
    "what a test names": {
        "main.py": SERVICE,
        "jobs/shop.py": CLIENT,
        "tests/test_shop.py": "import main\nimport mock\nmock.patch('jobs.shop.client')\n",
    },
    "a command that a container only has": {
        "main.py": SERVICE,
        "tools/ask.py": COMMAND,
        "pyproject.toml": '[project.scripts]\nask = "tools.ask:cli"\n',
        "Dockerfile": "COPY ask /ask\nWORKDIR /ask\nCMD uvicorn main:app\n",
        "compose.yaml": "services:\n  ask:\n    image: ask\n",
    },
    **{
        f"a command of {name}": {
            "main.py": SERVICE,
            "ask.py": COMMAND,
            name: "run:\n\tpython -m ask\n",
        }
        for name in ("Makefile", "makefile", "justfile", "Justfile", "JUSTFILE")
    },
    "a command that pyproject.toml names": {
        "main.py": SERVICE,
        "tools/ask.py": COMMAND,
        "pyproject.toml": '[project]\nname = "x"\n[project.scripts]\nask = "tools.ask:cli"\n',
    },
}


@pytest.mark.parametrize("files", LOADED.values(), ids=LOADED)
def test_what_the_service_loads_is_its_own(files: dict[str, str], tmp_path: Path) -> None:
    assert _told(files, tmp_path) == [(Confidence.CERTAIN, "timeout=None takes the default away")]


@pytest.mark.parametrize("files", BESIDE.values(), ids=BESIDE)
def test_another_program_is_not_the_service(files: dict[str, str], tmp_path: Path) -> None:
    because = "timeout=None takes the default away; no module of the service imports this one"
    assert _told(files, tmp_path) == [(Confidence.POSSIBLE, because)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CMD python -m app.worker --queue a", ["app.worker"]),
        ('CMD ["python", "-m", "app.worker"]', ["app.worker"]),
        ('ENTRYPOINT ["python", "/code/app/worker.py"]', ["code.app.worker"]),
        ("web: python ./worker.py", ["worker"]),
        ("CMD uvicorn app.main:app --port 80", ["app.main"]),
        ("command:\n  - python\n  - -m\n  - app.worker\n", ["app.worker"]),
        ("args:\n  - '-m'\n  - 'app.worker'\n", ["app.worker"]),
        ("CMD arq app.worker.Settings", ["app.worker.Settings", "app.worker"]),
        ('CMD ["dramatiq", "--processes", "app.tasks"]', ["app.tasks", "app"]),
        ("FROM python:3.12\nRUN make", []),
    ],
)
def test_a_command_names_what_it_begins(text: str, expected: list[str]) -> None:
    assert list(launched_in(text)) == expected


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Dockerfile", 'CMD ["shop-worker"]'),
        ("Dockerfile", 'ENTRYPOINT ["/app/.venv/bin/shop-worker", "--queue", "a"]'),
        ("Dockerfile", 'CMD ["uv", "run", "--no-dev", "shop-worker"]'),
        ("Dockerfile", "CMD alembic upgrade head && shop-worker"),
        ("compose.yaml", "    command: shop-worker --queue a"),
        ("compose.yaml", "    command:\n      - shop-worker\n"),
        ("deployment.yaml", '    args: ["shop-worker"]'),
        ("render.yaml", "    startCommand: poetry run shop-worker"),
        ("shop.service", "ExecStart=/opt/shop/bin/shop-worker"),
        ("Procfile", "worker: shop-worker"),
        ("entrypoint.sh", "#!/bin/sh\nset -e\nshop-worker --queue a\n"),
        ("entrypoint.sh", 'exec shop-worker "$@"'),
    ],
)
def test_a_command_is_known_by_where_its_name_stands(file: str, text: str) -> None:
    assert "shop-worker" in commands_in(text, file)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("Dockerfile", "COPY shop-worker /app/shop-worker"),
        ("Dockerfile", "WORKDIR /shop-worker"),
        ("compose.yaml", "    image: shop-worker\n    container_name: shop-worker"),
        ("run.sh", "docker run shop-worker\ndocker compose run --rm shop-worker"),
        ("compose.yaml", "    command: shop-worker/start"),
        ("compose.yaml", "    command: shop-worker:latest"),
        ("deployment.yaml", "metadata:\n  name: shop-worker"),
        ("entrypoint.sh", "SHOP=shop-worker\nshop-worker=1\necho shop-worker"),
    ],
)
def test_another_name_is_no_command(file: str, text: str) -> None:
    assert "shop-worker" not in commands_in(text, file)


@pytest.mark.parametrize(
    "word",
    [
        "0f",
        "a.",
        "a/",
        "-",
        "run ",
        "run/",
        "- ",
        "-m ",
        "-a ",
        "a:",
        "; ",
        "&&",
        " ",
        "\n",
        "'",
        "arq ",
        "-a=/",
    ],
)
def test_a_word_without_end_is_read_in_time(word: str) -> None:
    """It takes minutes where each of its characters begins a search to its end."""
    text = f"exec {word * 60_000}\n"

    assert all(len(each) < 9 for each in launched_in(text))
    assert len(set(commands_in(text, "entrypoint.sh"))) < 5


def test_commands_of_a_project_are_read() -> None:
    text = """
    [project.scripts]
    a = "shop.a:main"
    [tool.poetry.scripts]
    b = "shop.b"
    c = { reference = "d", type = "file" }
    """
    assert list(scripts_in(text)) == [("a", "shop.a"), ("b", "shop.b")]


@pytest.mark.parametrize("text", ["[project", "project = 1", "[project]\nscripts = []", "tool = 1"])
def test_what_is_no_list_of_commands_names_none(text: str) -> None:
    assert list(scripts_in(text)) == []


def _told(files: dict[str, str], root: Path) -> list[tuple[Confidence, str | None]]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text))
    found = audit(root, only=frozenset({"US501"})).findings
    return [(each.confidence, each.evidence[0].because) for each in found]
