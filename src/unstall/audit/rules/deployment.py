"""How the project is run, as its files say: workers, versions of libraries, limits of a proxy."""

from __future__ import annotations

import os
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

MAX_BYTES = 2_000_000
DEEPEST = 3
"""Folders below the root in which such files are looked for."""
_SKIPPED = frozenset(
    "node_modules venv env site-packages __pycache__ dist build tests test docs".split()
)
_LAUNCHERS = re.compile(
    r"(?:Dockerfile.*|.*\.Dockerfile|Containerfile|Procfile.*|(?:docker-)?compose.*\.ya?ml|gunicorn.*\.py|"
    r"Makefile|justfile|.*\.sh|.*\.service|supervisord.*\.conf|fly\.toml|render\.yaml|app\.ya?ml|"
    r"package\.json|pyproject\.toml|(?:.*deployment.*|values)\.ya?ml)",
    re.IGNORECASE,
)
_LOCKS = re.compile(
    r"(?:uv\.lock|poetry\.lock|pdm\.lock|Pipfile\.lock|requirements.*\.txt|pyproject\.toml|setup\.cfg)"
)
_PROXIES = re.compile(
    r"(?:.*nginx.*\.(?:conf|template|ya?ml)|Caddyfile|.*ingress.*\.ya?ml|traefik.*\.(?:toml|ya?ml))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Workers:
    """How many processes serve, and where that is said."""

    count: int
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Deployment:
    workers: tuple[Workers, ...] = ()
    locks: Mapping[str, str] = field(default_factory=dict)
    """Text of lock and requirement files, by name."""
    limits_bodies: bool = False
    """A proxy's configuration sets a limit for bodies."""
    launched: frozenset[str] = frozenset()
    """Modules that commands begin, dotted; a path `app/main.py` is `app.main`."""


NONE = Deployment()


def read(root: Path) -> Deployment:
    """What is found below `root`; what cannot be read is left out."""
    workers: list[Workers] = []
    locks: dict[str, str] = {}
    limits_bodies = False
    launched: set[str] = set()
    commands: set[str] = set()
    scripts: dict[str, set[str]] = defaultdict(set)
    for path, name in _files(root):
        lower = path.rpartition("/")[2]
        is_launcher, is_lock = _LAUNCHERS.fullmatch(lower), _LOCKS.fullmatch(lower)
        is_proxy = _PROXIES.fullmatch(lower)
        if not (is_launcher or is_lock or is_proxy):
            continue
        text = _text(name)
        if is_launcher:
            workers += workers_in(text, path)
            if lower.lower() not in _NO_COMMANDS:
                launched.update(launched_in(text))
                commands.update(commands_in(text, lower))
        if lower == "pyproject.toml":
            for command, module in scripts_in(text):
                scripts[command].add(module)
        if is_lock:
            locks[path] = text
        if is_proxy:
            limits_bodies |= bool(
                re.search(
                    r"client_max_body_size|proxy-body-size|request_body|maxRequestBodyBytes", text
                )
            )
    for command in commands & scripts.keys():
        launched |= scripts[command]
    return Deployment(tuple(workers), locks, limits_bodies, frozenset(launched))


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, folders, names in os.walk(root):
        below = Path(folder).relative_to(root)
        folders[:] = sorted(f for f in folders if f not in _SKIPPED and not f.startswith("."))
        if len(below.parts) >= DEEPEST:
            folders.clear()
        for name in sorted(names):
            yield (below / name).as_posix(), Path(folder) / name


def _text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


_SERVER = re.compile(r"\b(?:uvicorn|gunicorn|hypercorn|granian|fastapi\s+run)\b")
_FLAG = re.compile(
    r"--workers(?:[= ]|\"\s*,\s*\"|'\s*,\s*')\s*\"?'?(\d+)|\s-w[= ]?(\d+)\b|\"-w\"\s*,\s*\"(\d+)\""
)
_DEFAULTED = re.compile(r"--workers[= ]\s*\"?\$\{\w+:-(\d+)\}")
_VARIABLE = re.compile(r"\bWEB_CONCURRENCY\b\"?\s*[=: ]\s*\"?'?(\d+)")
_SETTING = re.compile(r"^workers\s*=\s*(\d+)\s*(?:#.*)?$")


def workers_in(text: str, file: str) -> Iterator[Workers]:
    """Worker counts that a command line, a variable or gunicorn's configuration names."""
    is_gunicorn = file.rpartition("/")[2].startswith("gunicorn") and file.endswith(".py")
    whole = text.replace("\\\n", "  ")
    for number, line in enumerate(whole.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        found = _VARIABLE.search(line) or (_SETTING.match(line) if is_gunicorn else None)
        if found is None and _SERVER.search(line):
            found = _FLAG.search(line) or _DEFAULTED.search(line)
        if found is not None:
            count = int(next(group for group in found.groups() if group))
            yield Workers(count, file, number)


_NO_COMMANDS = frozenset({"pyproject.toml", "package.json", "makefile", "justfile"})
"""They name what developers run, too. In lower case, for capitals are as one likes."""
_LAUNCHED = re.compile(
    r"-m(?:[\s\"',]|-\s)+(?P<module>[A-Za-z_][\w.]*)|(?<![\w./-])(?P<path>[\w./-]+)\.py\b|"
    r"(?<![\w.])(?P<app>[A-Za-z_][\w.]*):[A-Za-z_]"
)


_OPTIONS = r"(?:--?\w[\w=./-]*[\s\"',]+(?:-\s+)?){0,8}"
_WORKED = re.compile(
    r"(?<![\w.-])(?:arq|dramatiq|huey_consumer(?:\.py)?|saq)(?:[\s\"',]|-\s)+"
    rf"{_OPTIONS}(?P<named>[A-Za-z_][\w.]*)"
)
"""Workers that are told a module, or something in one, without more."""


def launched_in(text: str) -> Iterator[str]:
    """Modules that a command line may begin: `-m app.worker`, `app/worker.py`, `app.main:app`."""
    for match in _LAUNCHED.finditer(text):
        if path := match["path"]:
            yield path.removeprefix("/").removeprefix("./").replace("/", ".")
        else:
            yield match["module"] or match["app"]
    for match in _WORKED.finditer(text):
        named = match["named"]
        yield from filter(None, (named, named.rpartition(".")[0]))


_COMMAND = r"[\"']?(?:[\w.-]*/)*(?P<command>[\w.-]+)(?![\w./:@=-])"
_AFTER_A_WORD = re.compile(
    r"(?:(?<![\w./-])(?<!docker )(?<!compose )"
    r"(?:CMD|ENTRYPOINT|exec|run|args|entrypoint|ExecStart|\w{0,40}[cC]ommand)(?![\w-])|&&|;)"
    rf"(?:[\s:=\[\"',|>]|-\s)*{_OPTIONS}{_COMMAND}"
)
_FIRST_OF_A_LINE = {
    "procfile": re.compile(rf"^[\w-]+:[ \t]+{_COMMAND}", re.MULTILINE),
    ".sh": re.compile(rf"^[ \t]*{_COMMAND}", re.MULTILINE),
}
"""By how the name of a file begins or ends."""


def commands_in(text: str, file: str) -> Iterator[str]:
    """Names that stand where a command does: after `CMD`, `command:`, `exec`, `uv run`."""
    patterns = [_AFTER_A_WORD]
    for part, pattern in _FIRST_OF_A_LINE.items():
        if file.lower().startswith(part) or file.endswith(part):
            patterns.append(pattern)
    for pattern in patterns:
        for match in pattern.finditer(text):
            yield match["command"]


def scripts_in(text: str) -> Iterator[tuple[str, str]]:
    """Commands that pyproject.toml makes, each with its module."""
    try:
        told = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return
    project, tool = told.get("project"), told.get("tool")
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    for owner in (project, poetry):
        named = owner.get("scripts") if isinstance(owner, dict) else None
        for command, target in named.items() if isinstance(named, dict) else ():
            if isinstance(target, str):
                yield command, target.partition(":")[0].strip()


def version_of(deployment: Deployment, package: str) -> tuple[int, ...] | None:
    """The lowest version that a lock pins or a requirement allows; None: not said."""
    found = [version for text in deployment.locks.values() for version in _versions(text, package)]
    return min(found, default=None)


def version_in(text: str) -> tuple[int, ...]:
    """`8.0.1rc1` as (8, 0)"""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _versions(text: str, package: str) -> Iterator[tuple[int, ...]]:
    name = re.escape(package).replace("_", "[-_]")
    patterns = (
        rf"^{name}(?:\[[\w,\- ]+\])?\s*(?:==|>=|~=)\s*(\d[\d.]*)",
        rf"[\"']{name}(?:\[[\w,\- ]+\])?\s*(?:==|>=|~=)\s*(\d[\d.]*)",
        rf"^{name}\s*=\s*(?:\{{.*version\s*=\s*)?[\"'][\^~>=]*(\d[\d.]*)",
        rf"name = \"{name}\"\nversion = \"(\d[\d.]*)",
        rf"\"{name}\":\s*\{{[^}}]*\"version\":\s*\"==(\d[\d.]*)",
    )
    for pattern in patterns:
        for match in re.finditer(pattern, text, re.MULTILINE | re.IGNORECASE):
            yield version_in(match[1])
