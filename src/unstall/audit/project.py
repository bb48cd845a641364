"""A project as read: its modules, scopes, classes and imports."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence

from unstall.audit.ir import Module
from unstall.audit.modules import modules_of
from unstall.audit.scan import Scan
from unstall.audit.scopes import Scope
from unstall.audit.scopes_index import Index
from unstall.audit.slips import Slips
from unstall.audit.source import Parsed
from unstall.audit.values import EXTERNAL, MODULE, NOTHING, Values, one
from unstall.catalog.table import Table

BUILTINS = frozenset(dir(builtins))


class Project:
    """Everything that can be looked up without knowing a type."""

    def __init__(self, parsed: Sequence[Parsed], table: Table) -> None:
        self.table = table
        known = frozenset(name.partition(".")[0] for name, _ in table.rows)
        self.tree, self.by_file = modules_of(parsed, known)
        self.modules: dict[str, Module] = {m.name: m for m in self.by_file.values()}
        self.indexes: dict[str, Index] = {}
        self.slips = Slips()
        for module in self.modules.values():
            self.indexes[module.name] = Index(module.name, ast.Module([], []))
            with self.slips.kept(module.file, "it"):
                self.indexes[module.name] = Index(module.name, module.tree)
        self.roots: dict[str, Scope] = {name: index.root for name, index in self.indexes.items()}
        self._scans: dict[int, Scan] = {}
        self._stores: dict[str, list[tuple[Scope, ast.expr, ast.expr]]] | None = None
        self._unpacked: frozenset[str] | None = None

    # Scopes

    def index(self, module: str) -> Index | None:
        return self.indexes.get(module)

    def scope(self, id_: str, module: str = "") -> Scope | None:
        """Of a function or class by its id; the module's own for an empty one."""
        if not id_:
            return self.roots.get(module)
        index = self.indexes.get(id_.partition(":")[0])
        found = index.scopes.get(id_) if index is not None else None
        if found is None and index is not None and ("<lambda>@" in id_ or "<genexpr>@" in id_):
            # Lambdas and generator expressions are found when the function around them is scanned.
            outer = id_.rpartition(".<locals>." if ".<locals>." in id_ else ":")[0]
            around = self.scope(outer) if ":" in outer else index.root
            if around is not None:
                self.scan(around)
            found = index.scopes.get(id_)
        return found

    def file_of(self, scope: Scope) -> str:
        return self.modules[scope.module].file

    def scan(self, scope: Scope) -> Scan:
        """The events of a function or module, found once."""
        found = self._scans.get(id(scope))
        if found is None:
            with self.slips.kept(self.file_of(scope), scope.id or scope.module):
                found = Scan(scope, self.indexes[scope.module])
            if found is None:
                empty = ast.Module([], [])
                found = Scan(
                    Scope(scope.id, scope.kind, scope.module, empty, None), Index("", empty)
                )
            self._scans[id(scope)] = found
        return found

    def own_scopes(self) -> Iterable[Scope]:
        """All functions and classes of modules that are no tests."""
        for name, index in self.indexes.items():
            if not self.modules[name].is_test:
                yield from list(index.scopes.values())

    def stores(self, name: str) -> list[tuple[Scope, ast.expr, ast.expr]]:
        """Assignments to an attribute of that name from outside its class: where, of what, and what."""
        if self._stores is None:
            self._stores = {}
            for module, index in self.indexes.items():
                if not self.modules[module].is_test:
                    for attribute, stores in index.stores.items():
                        self._stores.setdefault(attribute, []).extend(stores)
        return self._stores.get(name, [])

    def is_stored(self, name: str) -> bool:
        """Whether an attribute of that name is assigned from outside its class."""
        if self._unpacked is None:
            own = (
                each for module, each in self.indexes.items() if not self.modules[module].is_test
            )
            self._unpacked = frozenset().union(*(each.unpacked for each in own))
        return name in self._unpacked or bool(self.stores(name))

    # Imports

    def import_module(self, module: str, name: str) -> Values:
        """What `import name` in `module` gives, before the first dot is cut off."""
        importer = self.modules[module].file
        found = self.tree.find(importer, name)
        return self._module_at(found) if found is not None else one(EXTERNAL, self.public(name))

    def _module_at(self, path: str) -> Values:
        module = self.by_file.get(path)
        if module is not None:
            return one(MODULE, module.name)
        return one(MODULE, path) if path.endswith("/") else NOTHING

    def import_from(self, module: str, statement: ast.ImportFrom) -> Values:
        """The module that `from … import` takes names from."""
        importer = self.modules[module].file
        if statement.level:
            found = self.tree.relative(importer, statement.level, statement.module)
            return self._module_at(found) if found is not None else NOTHING
        name = statement.module or ""
        values = self.import_module(module, name)
        return values if self._gives(values, statement) else one(EXTERNAL, self.public(name))

    def _gives(self, values: Values, statement: ast.ImportFrom) -> bool:
        """A folder without `__init__.py` has nothing but what is in it: `alembic/` is not the library."""
        folders = [value.name for value in values if value.name.endswith("/")]
        return not folders or any(
            self.submodule(folder, alias.name) for folder in folders for alias in statement.names
        )

    def submodule(self, module: str, name: str) -> Values:
        """`name` as a module below a package or a folder."""
        if module.endswith("/"):
            folder = module.rstrip("/")
        else:
            file = self.modules[module].file
            if not file.endswith("__init__.py"):
                return NOTHING
            folder = file.rpartition("/")[0]
        found = self.tree.below(folder, [name])
        return self._module_at(found) if found is not None else NOTHING

    def public(self, name: str) -> str:
        return self.table.canonical(name)

    # Facts about classes of others

    def external_mro(self, name: str) -> tuple[str, ...]:
        """The class and what its facts rest on, nearest first."""
        order: list[str] = []
        waiting = [self.public(name)]
        while waiting:
            current = waiting.pop(0)
            if current not in order:
                order.append(current)
                waiting += self.table.bases(current)
        return tuple(order)
