"""What a file is called as a module, and which file an import means."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from unstall.audit.ir import Module
from unstall.audit.source import Parsed

_STANDARD = frozenset(sys.stdlib_module_names)


class Tree:
    """The files of a project as Python's import system could see them, whatever `sys.path` is."""

    def __init__(self, files: Iterable[str], known: frozenset[str] = frozenset()) -> None:
        self._files = frozenset(files)
        self._known = known
        """Top-level names of libraries: `import redis` means these even beside a file redis.py."""
        self._folders = {folder for file in self._files for folder in _parents(file)}
        self._packages = {
            f.rpartition("/")[0] for f in self._files if f.rpartition("/")[2] == "__init__.py"
        }
        self._tops: dict[str, list[str]] = defaultdict(list)
        for file in sorted(self._files):
            folder, _, name = file.rpartition("/")
            self._tops[name[:-3]].append(folder)
        for path in sorted(self._folders - {""}):
            folder, _, name = path.rpartition("/")
            self._tops[name].append(folder)
        self._found: dict[tuple[str, str], str | None] = {}

    def find(self, importer: str, name: str) -> str | None:
        """The file, or the folder with a trailing `/`, that absolute import `name` means in `importer`."""
        key = (importer.rpartition("/")[0], name)
        if key not in self._found:
            self._found[key] = self._find(importer, name.split("."))
        return self._found[key]

    def _find(self, importer: str, parts: Sequence[str]) -> str | None:
        top = parts[0]
        if top in _STANDARD:
            return None
        folders = [
            f for f in self._tops.get(top, ()) if top not in self._known or self._is_own(f, top)
        ]
        for folder in sorted(folders, key=lambda f: self._rank(f, importer)):
            found = self.below(folder, parts)
            if found is not None:
                return found
        return None

    def _is_own(self, folder: str, top: str) -> bool:
        """A folder that is called like a library is the project's own only as a package at a root."""
        path = f"{folder}/{top}" if folder else top
        return path in self._packages and folder not in self._packages and folder in ("", "src")

    def below(self, folder: str, parts: Sequence[str]) -> str | None:
        """What the dotted parts lead to from a folder."""
        path = "/".join((folder, *parts)) if folder else "/".join(parts)
        if f"{path}/__init__.py" in self._files:
            return f"{path}/__init__.py"
        if f"{path}.py" in self._files:
            return f"{path}.py"
        return f"{path}/" if path in self._folders else None

    def _rank(self, folder: str, importer: str) -> tuple[bool, bool, int, int]:
        """Roots before insides of packages, ancestors before strangers, near before far."""
        shared = _shared(folder, importer)
        is_ancestor = importer.startswith(f"{folder}/") or not folder
        return folder in self._packages, not is_ancestor, -shared, folder.count("/")

    def relative(self, importer: str, level: int, name: str | None) -> str | None:
        """What `from ..name import` means: a matter of folders alone."""
        folder = importer.rpartition("/")[0]
        for _ in range(level - 1):
            folder = folder.rpartition("/")[0]
        return self.below(folder, name.split(".")) if name else self.package(folder)

    def package(self, folder: str) -> str | None:
        init = f"{folder}/__init__.py" if folder else "__init__.py"
        if init in self._files:
            return init
        return f"{folder}/" if folder in self._folders else None

    def is_package(self, folder: str) -> bool:
        return folder in self._packages


def modules_of(
    parsed: Sequence[Parsed], known: frozenset[str] = frozenset()
) -> tuple[Tree, dict[str, Module]]:
    """Each file as a module under a name of its own, by file."""
    tree = Tree((p.file for p in parsed), known)
    roots = _roots(parsed, tree)
    taken: dict[str, str] = {}
    modules: dict[str, Module] = {}
    # Tests give way: where two files could have one name, the service's has it.
    for one in sorted(parsed, key=lambda p: (p.is_test, p.file.count("/"), p.file)):
        name = _name(one.file, _root_of(one.file, tree, roots))
        if name in taken:
            name = _name(one.file, "")
        while name in taken:
            name = f"{name}_"
        taken[name] = one.file
        modules[one.file] = Module(name, one.file, one.tree, one.is_test)
    return tree, modules


def _roots(parsed: Sequence[Parsed], tree: Tree) -> Mapping[str, int]:
    """Folders that imports start from, by how many imports do."""
    votes: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for one in parsed:
        for name in _imports(one.tree):
            key = (one.file.rpartition("/")[0], name)
            if key in seen:
                continue
            seen.add(key)
            found = tree.find(one.file, name)
            if found is None:
                continue
            path = found.removesuffix("/__init__.py").removesuffix(".py").rstrip("/")
            root = path.removesuffix(name.replace(".", "/")).rstrip("/")
            votes[root] += 1
    return votes


def _imports(tree: ast.Module) -> set[str]:
    """Absolute imports at the top of a module."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return names


def _root_of(file: str, tree: Tree, roots: Mapping[str, int]) -> str:
    """The folder that the file's module name begins below."""
    folder = file.rpartition("/")[0]
    top = folder
    while top and tree.is_package(top):
        top = top.rpartition("/")[0]
    voted = [f for f in (top, *_parents(top)) if roots.get(f)] if top else []
    if voted:
        return max(voted, key=lambda f: (roots[f], f.count("/")))
    if top != folder:
        return top
    parts = top.split("/")
    return "/".join(parts[: parts.index("src") + 1]) if "src" in parts else ""


def _name(file: str, root: str) -> str:
    path = file[len(root) :].lstrip("/") if root else file
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return name or "__init__"


def _parents(path: str) -> list[str]:
    """The folders above a path, nearest first; the root is empty."""
    parents = []
    while "/" in path:
        path = path.rpartition("/")[0]
        parents.append(path)
    return [*parents, ""]


def _shared(folder: str, importer: str) -> int:
    count = 0
    for one, other in zip(folder.split("/"), importer.split("/"), strict=False):
        if one != other:
            break
        count += 1
    return count
