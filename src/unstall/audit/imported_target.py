"""Which interpreter a project runs under, and where its app is; read from files, nothing is run."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from unstall.audit import source
from unstall.errors import UsageError

_FOLDERS = (".venv", "venv", "env", ".env", ".pixi/envs/default")
_CLASSES = frozenset({"FastAPI", "Starlette"})
_FACTORIES = frozenset({"create_app", "get_app", "make_app"})
_APPS = ("app", "application", "api", "asgi_app", "main_app")
_FILES = ("main", "app", "asgi", "server", "api", "application", "run", "__init__")
_STARTS = (
    "Dockerfile*",
    "Procfile",
    "*.sh",
    "*compose*.y*ml",
    "Makefile",
    "pyproject.toml",
    "*.service",
)
_MOST_STARTS = 20
_LONGEST_START = 200_000
_HINT = re.compile(rb"FastAPI|Starlette|create_app|get_app|make_app")


@dataclass(frozen=True, slots=True)
class Target:
    module: str
    name: str
    base: Path
    """Folder that stands first on `sys.path`."""
    factory: bool = False

    @property
    def folder(self) -> Path:
        """Where the service would be started: settings read files beside it."""
        return self.base.parent if self.base.name == "src" else self.base

    def seen_from(self, root: Path) -> str:
        """The same app, with its module named from `root`."""
        below = self.base.relative_to(root).parts
        return ".".join([*below, self.text])

    @property
    def text(self) -> str:
        return f"{self.module}:{self.name}" + ("()" if self.factory else "")


# --- the interpreter ------------------------------------------------------------------------


def interpreter(root: Path, named: str | None, environ: Mapping[str, str], running: str) -> Path:
    """The first of: the named one, the active environment, those of the project, the running one."""
    if named is not None:
        path = Path(named).expanduser()
        found = python_in(path) if path.is_dir() else path if _runs(path) else None
        if found is None:
            raise UsageError(
                f"--python is {named!r}, where there is no Python: name an interpreter or an environment"
            )
        return _absolute(found)
    for folder in _environments(root, environ):
        found = python_in(folder)
        if found is not None:
            return _absolute(found)
    return Path(running)


def _absolute(path: Path) -> Path:
    """Links stay: an environment's python is one."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve would follow the link


def python_in(folder: Path) -> Path | None:
    """The interpreter of an environment."""
    for name in ("bin/python", "bin/python3", "Scripts/python.exe"):
        if _runs(folder / name):
            return folder / name
    return None


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _environments(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    for name in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"):
        if environ.get(name):
            yield root / environ[name]
    for folder in (root, *([root.parent] if (root.parent / ".git").exists() else [])):
        yield from (folder / name for name in _FOLDERS)
        pointer = folder / ".pdm-python"
        if pointer.is_file():
            yield Path(pointer.read_text().strip()).parent.parent
    if environ.get("CONDA_PREFIX") and environ.get("CONDA_DEFAULT_ENV") != "base":
        yield Path(environ["CONDA_PREFIX"])
    yield from _kept_elsewhere(root, environ)


def _kept_elsewhere(root: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Poetry and hatch name an environment by a hash of the project's folder."""
    home = Path(environ.get("HOME") or Path.home())
    caches = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    real = Path(os.path.realpath(root))
    mark = base64.urlsafe_b64encode(hashlib.sha256(str(real).encode()).digest()).decode()[:8]
    poetry = Path(environ.get("POETRY_CACHE_DIR") or caches / "pypoetry") / "virtualenvs"
    poetry = Path(environ.get("POETRY_VIRTUALENVS_PATH") or poetry)
    hatch = Path(environ.get("HATCH_DATA_DIR") or data / "hatch") / "env" / "virtual"
    yield from sorted(poetry.glob(f"*-{mark}-py3*"), reverse=True)
    for storage in sorted(hatch.glob(f"*/{mark}")):
        yield storage / storage.parent.name  # the default one has the project's name
        yield from sorted(storage.iterdir())


# --- the app --------------------------------------------------------------------------------


def named(root: Path, app: str) -> Target:
    """The target of `package.module:app`, `package.module` or `path/to/file.py`, `()` for a factory."""
    module, _, name = app.partition(":")
    factory, name = name.endswith("()"), name.removesuffix("()") or "app"
    if module.endswith(".py") and (root / module).is_file():
        base, module = _split(root, (root / module).relative_to(root))
        return Target(module, name, base, factory)
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise UsageError(f"the app is {app!r}, which is not package.module:app")
    return Target(module, name, _base_of(root, module), factory)


def is_there(target: Target) -> bool:
    path = target.base / Path(*target.module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _base_of(root: Path, module: str) -> Path:
    """The folder from which `module` is found: the root, `src`, or one at most two levels down."""
    for base in (root, root / "src", *_below(root)):
        if is_there(Target(module, "", base)):
            return base
    return root


def _below(root: Path) -> Iterator[Path]:
    first = [f for f in sorted(root.iterdir()) if not f.name.startswith(".") and f.is_dir()]
    yield from first
    for folder in first:
        try:
            yield from (f for f in sorted(folder.iterdir()) if f.is_dir())
        except OSError:
            continue


def candidates(root: Path) -> tuple[Target, ...]:
    """Module-level apps and factories without required arguments, the likeliest first."""
    found: list[tuple[tuple[int, int, int, int, str], Target]] = []
    for file in source.find(root):
        if source.is_test_file(file):
            continue
        tree = _parsed(root, file)
        if tree is None:
            continue
        base, module = _split(root, Path(file), tree)
        for name, factory in _apps(tree):
            rank = (
                factory,
                len(file.split("/")),
                _index(_FILES, Path(file).stem),
                _index(_APPS, name),
                file,
            )
            found.append((rank, Target(module, name, base, factory)))
    ordered = [target for _, target in sorted(found, key=lambda each: each[0])]
    if len(ordered) > 1:
        started = "\n".join(_start_texts(root))
        ordered.sort(key=lambda each: not _is_started(each, started))
    return tuple(ordered)


def _start_texts(root: Path) -> Iterator[str]:
    """What says how the service is started."""
    for folder in (root, *_below(root)):
        for pattern in _STARTS:
            for file in sorted(folder.glob(pattern))[:_MOST_STARTS]:
                data = source.data_of(file)
                if isinstance(data, bytes):
                    yield data[:_LONGEST_START].decode(errors="replace")


def _is_started(target: Target, text: str) -> bool:
    """Named as `module:app`, seen from whatever folder it is started in."""
    last = re.escape(target.module.rpartition(".")[2])
    for match in re.finditer(rf"([\w.]*\b{last}):{re.escape(target.name)}\b", text):
        if f".{target.module}".endswith(f".{match[1]}") or f".{match[1]}".endswith(
            f".{target.module}"
        ):
            return True
    return False


def _parsed(root: Path, file: str) -> ast.Module | None:
    data = source.data_of(root / file)
    hinted = isinstance(data, bytes) and _HINT.search(data)
    parsed = source.parse_file(root, file) if hinted else None
    return parsed.tree if isinstance(parsed, source.Parsed) else None


def _apps(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Names, and whether they are factories."""
    for node in _module_level(tree.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            made_by = _last(node.value.func)
            if made_by in _CLASSES or made_by in _FACTORIES:
                yield from ((t.id, False) for t in targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.FunctionDef) and node.name in _FACTORIES:
            needed = len(node.args.posonlyargs + node.args.args) - len(node.args.defaults)
            needed += sum(default is None for default in node.args.kw_defaults)
            if not needed:
                yield node.name, True


def _module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With) and not _is_main(node):
            yield from _module_level(node.body)


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__main__" in ast.dump(node.test)


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _index(order: tuple[str, ...], name: str) -> int:
    return order.index(name) if name in order else len(order)


def _split(root: Path, file: Path, tree: ast.Module | None = None) -> tuple[Path, str]:
    """The folder from which the imports of `file` are found, and its name as a module seen from there."""
    wanted = _tops(tree if tree is not None else _parsed(root, file.as_posix()))
    folders = [root / parent for parent in file.parents]  # nearest first, the root last

    def fits(folder: Path) -> tuple[int, bool]:
        inside_package = (folder / "__init__.py").is_file()
        return sum(_has(folder, top) for top in wanted), not inside_package

    base = max(folders, key=fits)  # the nearest of equals
    parts = (root / file).relative_to(base).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return base, ".".join(parts)


def _tops(tree: ast.Module | None) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return frozenset(names)


def _has(folder: Path, top: str) -> bool:
    return (folder / f"{top}.py").is_file() or (folder / top).is_dir()
