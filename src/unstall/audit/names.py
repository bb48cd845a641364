"""What expressions refer to: the answers of source to the questions of everybody else."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from unstall.audit import types_names
from unstall.audit.ir import Function, Module
from unstall.audit.project import Project
from unstall.audit.scopes import Scope, imported
from unstall.audit.types import Types
from unstall.audit.values import (
    CLASS,
    CONTEXT,
    COROUTINE,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    MODULE,
    Value,
    Values,
)


class SourceNames:
    """`Names` over syntax trees; see `ir.Names`."""

    def __init__(self, project: Project, types: Types) -> None:
        self.project = project
        self.types = types
        self.modules: Mapping[str, Module] = project.modules

    def name_of(self, module: str, scope: str, expression: ast.expr) -> tuple[str, ...]:
        """Functions, classes, modules and dotted names; else the global that the expression stands for."""
        found = self._scope(module, scope)
        if found is None:
            return ()
        values = self.types.known(found, expression)
        names = sorted(
            {value.name for value in values if value.kind in (FUNCTION, CLASS, EXTERNAL, MODULE)}
        )
        written = sorted(
            {w for value in values if value.kind == FUNCTION for w in self._written(value)}
        )
        if names:
            return tuple(written or names)
        return self._globals(found, expression)

    def types_of(self, module: str, scope: str, expression: ast.expr) -> tuple[str, ...]:
        """Classes of the value, by id or dotted name; what is awaited for is not looked into."""
        found = self._scope(module, scope)
        return classes_in(self.types.known(found, expression)) if found is not None else ()

    def values_of(self, module: str, scope: str, expression: ast.expr) -> Values:
        """All that is known; the engine's own question."""
        found = self._scope(module, scope)
        return self.types.known(found, expression) if found is not None else frozenset()

    def _scope(self, module: str, scope: str) -> Scope | None:
        return self.project.scope(scope, module)

    def _written(self, value: Value) -> set[str]:
        """The function that the source names, where a decorator has put a wrapper around it."""
        inner = {
            name
            for _, values in value.closure
            for each in values
            if each.kind == FUNCTION
            for name in self._written(each)
        }
        shape_name = value.name.rpartition(".<locals>.")[0]
        wrapped = {name for name in inner if name != shape_name}
        return wrapped if ".<locals>." in value.name and wrapped else {value.name}

    def _globals(self, scope: Scope, expression: ast.expr) -> tuple[str, ...]:
        """`module:name` of the variable that a name or an attribute of a module stands for."""
        if isinstance(expression, ast.Name):
            at = (expression.lineno, expression.col_offset)
            return self._global(scope, expression.id, at, 0)
        if isinstance(expression, ast.Attribute):
            names: list[str] = []
            for value in self.types.known(scope, expression.value):
                root = self.project.roots.get(value.name) if value.kind == MODULE else None
                if root is not None:
                    names += self._global(root, expression.attr, (1 << 30, 0), 0)
                elif value.kind in (INSTANCE, CLASS) and ":" in value.name:
                    names.append(f"{value.name}.{expression.attr}")
            return tuple(dict.fromkeys(names))
        return ()

    def _global(self, scope: Scope, name: str, at: tuple[int, int], depth: int) -> tuple[str, ...]:
        found = types_names.find(self.types, scope, name, at)
        if found is None or depth > 12:
            return ()
        owner, bindings = found
        names: list[str] = []
        for binding in bindings:
            if binding.kind == "from":
                statement, alias = imported(binding)
                assert isinstance(statement, ast.ImportFrom)
                for value in self.project.import_from(owner.module, statement):
                    root = self.project.roots.get(value.name) if value.kind == MODULE else None
                    if root is not None:
                        names += self._global(root, alias.name, (1 << 30, 0), depth + 1)
            elif (
                binding.kind == "assign"
                and isinstance(binding.value, ast.Name)
                and binding.value.id != name
            ):
                position = (binding.value.lineno, binding.value.col_offset)
                names += self._global(owner, binding.value.id, position, depth + 1)
            elif owner.kind == "module":
                names.append(f"{owner.module}:{name}")
            elif owner.kind == "class":
                names.append(f"{owner.id}.{name}")
            else:
                names.append(f"{owner.id}.<locals>.{name}")
        return tuple(dict.fromkeys(names))


def classes_in(values: Values) -> tuple[str, ...]:
    """Names of the classes that values are instances of."""
    names = {value.name for value in values if value.kind == INSTANCE and value.name}
    names |= {
        f"types.{v.kind.capitalize()}Type" for v in values if v.kind in (COROUTINE, GENERATOR)
    }
    names |= {"contextlib.AbstractContextManager" for v in values if v.kind == CONTEXT}
    return tuple(sorted(names))


def declared(project: Project, types: Types) -> dict[str, Function]:
    """All functions by what their definitions say; their calls are read when they are asked for."""
    found: dict[str, Function] = {}
    for index in project.indexes.values():
        for scope in list(index.scopes.values()):
            if scope.kind in ("function", "lambda"):
                with project.slips.kept(project.file_of(scope), scope.id):
                    found[scope.id] = declaration(project, types, scope)
    return found


def declaration(project: Project, types: Types, scope: Scope) -> Function:
    node = scope.node
    shape = types.shape(scope)
    decorators = tuple(ast.unparse(d) for d in getattr(node, "decorator_list", ()))
    return Function(
        id=scope.id,
        file=project.file_of(scope),
        line=getattr(node, "lineno", 0),
        end_line=getattr(node, "end_lineno", 0) or 0,
        is_async=shape.is_async,
        is_generator=shape.is_generator,
        decorators=decorators,
        parameters=(*shape.parameters, *shape.keywords),
        awaits=project.scan(scope).awaits,
    )
