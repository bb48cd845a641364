"""The scopes of one module, found statement by statement."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from unstall.audit.constants import always
from unstall.audit.scopes import (
    AFTER_ALL,
    NOWHERE,
    Binding,
    FunctionNode,
    ImportedName,
    Position,
    Scope,
    statements_of,
)


class Index:
    """All scopes of one module."""

    __slots__ = ("_block", "module", "root", "scopes", "stars", "stores", "unpacked")

    def __init__(self, module: str, tree: ast.Module) -> None:
        self.module = module
        self.root = Scope("", "module", module, tree, None)
        self.scopes: dict[str, Scope] = {}
        self.stars: list[ast.ImportFrom] = []
        self.stores: dict[str, list[tuple[Scope, ast.expr, ast.expr]]] = {}
        """What is assigned to attributes from outside: of what, and what."""
        self.unpacked: set[str] = set()
        """Attributes that are assigned so by unpacking."""
        self._block = 0
        self._body(tree.body, self.root, ())
        self._move_items()

    def _body(self, statements: Iterable[ast.stmt], scope: Scope, path: tuple[int, ...]) -> None:
        for statement in statements:
            handler = _HANDLERS.get(type(statement))
            if handler is not None:
                handler(self, statement, scope, path)

    def _branch(
        self,
        statements: list[ast.stmt],
        scope: Scope,
        path: tuple[int, ...],
        *,
        tests: ast.expr | None = None,
    ) -> None:
        if not statements:
            return
        self._block += 1
        inner = (*path, self._block)
        scope.blocks.append((statements[0].lineno, statements[-1].end_lineno or 0, inner))
        if tests is not None:
            self._narrow(tests, statements[0], scope, inner)
        self._body(statements, scope, inner)

    def _narrow(self, test: ast.expr, first: ast.stmt, scope: Scope, path: tuple[int, ...]) -> None:
        """`if isinstance(x, T)`: in this branch x is a T."""
        for part in (
            test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        ):
            if (
                isinstance(part, ast.Call)
                and isinstance(part.func, ast.Name)
                and part.func.id == "isinstance"
                and len(part.args) == 2
                and isinstance(part.args[0], ast.Name)
            ):
                at = (first.lineno, first.col_offset - 1)
                self._add(scope, part.args[0].id, "narrow", part, None, part.args[1], at, path)

    def _add(
        self,
        scope: Scope,
        name: str,
        kind: str,
        node: ast.AST,
        value: ast.expr | None,
        annotation: ast.expr | None,
        at: Position,
        path: tuple[int, ...],
        index: tuple[int, ...] = (),
        is_async: bool = False,
    ) -> None:
        binding = Binding(kind, node, value, annotation, index, at, path, is_async)
        if name in scope.globals:
            self.root.bindings.setdefault(name, []).append(
                binding._replace(path=(-1,), at=AFTER_ALL)
            )
            inner = scope.children.get(id(node))
            if inner is not None:
                self.root.children[id(node)] = inner
            elif value is not None:
                self.root.children[id(value)] = scope
            return
        scope.bindings.setdefault(name, []).append(binding)

    def _target(
        self,
        target: ast.expr,
        kind: str,
        node: ast.AST,
        value: ast.expr | None,
        scope: Scope,
        path: tuple[int, ...],
        at: Position,
        annotation: ast.expr | None = None,
        index: tuple[int, ...] = (),
        is_async: bool = False,
    ) -> None:
        if isinstance(target, ast.Name):
            self._add(scope, target.id, kind, node, value, annotation, at, path, index, is_async)
        elif isinstance(target, ast.Attribute):
            binding = Binding(kind, node, value, annotation, index, at, path, is_async)
            self._store(target, binding, scope)
        elif isinstance(target, ast.Subscript) and value is not None and not index:
            self._put(target.value, value, scope)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for place, item in enumerate(target.elts):
                inner = item.value if isinstance(item, ast.Starred) else item
                where = (*index, -1) if isinstance(item, ast.Starred) else (*index, place)
                self._target(inner, kind, node, value, scope, path, at, None, where, is_async)

    def _store(self, target: ast.Attribute, binding: Binding, scope: Scope) -> None:
        base = target.value
        if isinstance(base, ast.Name):
            owner = scope.class_of_method()
            if owner is not None and base.id in (_first_parameter(scope, owner), "self", "cls"):
                owner.attributes.setdefault(target.attr, []).append((scope, binding))
                return
        if binding.value is not None and not binding.item:
            self.stores.setdefault(target.attr, []).append((scope, base, binding.value))
        elif binding.item:
            self.unpacked.add(target.attr)

    def _put(self, container: ast.expr, value: ast.expr, scope: Scope) -> None:
        """`container[…] = value`, or `container.append(value)`."""
        if isinstance(container, ast.Name):
            scope.items.setdefault(container.id, []).append((scope, value))
        elif isinstance(container, ast.Attribute) and isinstance(container.value, ast.Name):
            owner = scope.class_of_method()
            if owner is not None and container.value.id in ("self", "cls"):
                owner.items.setdefault(container.attr, []).append((scope, value))

    def _expression(self, node: ast.Expr, scope: Scope, path: tuple[int, ...]) -> None:
        call = node.value
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            return
        if len(call.args) == _PUTS.get(call.func.attr):
            self._put(call.func.value, call.args[-1], scope)

    def _move_items(self) -> None:
        """What a function puts into a container of a scope around it belongs there."""
        for scope in list(self.scopes.values()):
            for name in list(scope.items) if scope.kind != "class" else ():
                owner = scope
                while owner.outer is not None and (
                    owner.kind == "class" or name in owner.globals or name not in owner.bindings
                ):
                    owner = owner.outer
                if owner is not scope:
                    owner.items.setdefault(name, []).extend(scope.items.pop(name))

    # One handler for each kind of statement that binds, branches or defines.

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, path: tuple[int, ...]
    ) -> None:
        inner = self.define(node, scope, node.name)
        self._add(scope, node.name, "def", node, None, None, (node.lineno, 0), path)
        for statement in ast.walk(node) if _says_global(node) else ():
            if isinstance(statement, ast.Global):
                inner.globals.update(statement.names)
        self._body(node.body, inner, ())

    def define(self, node: FunctionNode, scope: Scope, name: str) -> Scope:
        """Register a function or lambda under its scope, with its parameters."""
        inner = Scope(self._free(_inner_id(scope, name)), "function", self.module, node, scope)
        if isinstance(node, ast.Lambda):
            inner.kind = "lambda"
        scope.children[id(node)] = inner
        self.scopes[inner.id] = inner
        arguments = node.args
        for parameter in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            self._add(
                inner,
                parameter.arg,
                "parameter",
                parameter,
                None,
                parameter.annotation,
                NOWHERE,
                (),
            )
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                self._add(inner, rest.arg, "rest", rest, None, rest.annotation, NOWHERE, ())
        return inner

    def define_generator(self, node: ast.GeneratorExp, scope: Scope) -> Scope:
        """A generator expression that is passed on: a generator function that sees the names around it."""
        name = f"<genexpr>@{node.lineno}"
        inner = Scope(self._free(_inner_id(scope, name)), "generator", self.module, node, scope)
        scope.children[id(node)] = inner
        self.scopes[inner.id] = inner
        return inner

    def _class(self, node: ast.ClassDef, scope: Scope, path: tuple[int, ...]) -> None:
        inner = Scope(self._free(_inner_id(scope, node.name)), "class", self.module, node, scope)
        scope.children[id(node)] = inner
        self.scopes[inner.id] = inner
        self._add(scope, node.name, "class", node, None, None, (node.lineno, 0), path)
        self._body(node.body, inner, ())

    def _free(self, id_: str) -> str:
        """Overloads, property setters and functions of several branches share a name, never an id."""
        if id_ not in self.scopes:
            return id_
        number = 2
        while f"{id_}@{number}" in self.scopes:
            number += 1
        return f"{id_}@{number}"

    def _assign(self, node: ast.Assign, scope: Scope, path: tuple[int, ...]) -> None:
        at = (node.end_lineno or 0, node.end_col_offset or 0)
        for target in node.targets:
            self._target(target, "assign", node, node.value, scope, path, at)

    def _annotated(self, node: ast.AnnAssign, scope: Scope, path: tuple[int, ...]) -> None:
        at = (node.end_lineno or 0, node.end_col_offset or 0)
        self._target(node.target, "assign", node, node.value, scope, path, at, node.annotation)

    def _augmented(self, node: ast.AugAssign, scope: Scope, path: tuple[int, ...]) -> None:
        """It has the type it had before: `x += y` binds nothing new, but changes it."""
        if isinstance(node.target, ast.Name):
            owner = self.root if node.target.id in scope.globals else scope
            owner.changed |= {node.target.id}

    def _nonlocal(self, node: ast.Nonlocal, scope: Scope, path: tuple[int, ...]) -> None:
        for name in node.names:
            owner = scope.outer
            while owner is not None and (owner.kind == "class" or name not in owner.bindings):
                owner = owner.outer
            if owner is not None:
                owner.changed |= {name}

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope, path: tuple[int, ...]) -> None:
        at = (node.iter.end_lineno or 0, node.iter.end_col_offset or 0)
        is_async = isinstance(node, ast.AsyncFor)
        self._target(node.target, "for", node, node.iter, scope, path, at, is_async=is_async)
        self._branch(node.body, scope, path)
        self._branch(node.orelse, scope, path)

    def _while(self, node: ast.While, scope: Scope, path: tuple[int, ...]) -> None:
        self._branch(node.body, scope, path)
        self._branch(node.orelse, scope, path)

    def _if(self, node: ast.If, scope: Scope, path: tuple[int, ...]) -> None:
        while True:  # a long elif chain is a loop, not a depth
            never = bool(node.orelse) and always(node.test) is False
            before = {n: len(known) for n, known in scope.bindings.items()} if never else {}
            self._branch(node.body, scope, path, tests=node.test)
            if never:
                _keep(scope, before, _bound_in(node.orelse))
            if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                node = node.orelse[0]
                continue
            self._branch(node.orelse, scope, path)
            return

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope, path: tuple[int, ...]) -> None:
        is_async = isinstance(node, ast.AsyncWith)
        for item in node.items:
            if item.optional_vars is not None:
                end = item.context_expr
                at = (end.end_lineno or 0, end.end_col_offset or 0)
                self._target(
                    item.optional_vars,
                    "with",
                    node,
                    item.context_expr,
                    scope,
                    path,
                    at,
                    is_async=is_async,
                )
        self._body(node.body, scope, path)

    def _try(self, node: ast.Try, scope: Scope, path: tuple[int, ...]) -> None:
        # What the body bound is bound after it, unless a handler goes on: then both are possible.
        if all(_leaves(handler.body) for handler in node.handlers):
            self._body(node.body, scope, path)
        else:
            self._branch(node.body, scope, path)
        for handler in node.handlers:
            if handler.name:
                at = (handler.lineno, handler.col_offset)
                self._add(scope, handler.name, "except", handler, None, handler.type, at, path)
            self._branch(handler.body, scope, path)
        self._branch(node.orelse, scope, path)
        self._body(node.finalbody, scope, path)

    def _match(self, node: ast.Match, scope: Scope, path: tuple[int, ...]) -> None:
        for case in node.cases:
            for pattern in ast.walk(case.pattern):
                if isinstance(pattern, ast.MatchAs) and pattern.name:
                    kind, type_ = "other", None
                    if isinstance(pattern.pattern, ast.MatchClass):
                        kind, type_ = "narrow", pattern.pattern.cls
                    at = (pattern.lineno, pattern.col_offset)
                    self._add(scope, pattern.name, kind, pattern, None, type_, at, path)
            self._branch(case.body, scope, path)

    def _import(
        self, node: ast.Import | ast.ImportFrom, scope: Scope, path: tuple[int, ...]
    ) -> None:
        at = (node.lineno, node.col_offset)
        for alias in node.names:
            if alias.name == "*" and isinstance(node, ast.ImportFrom):
                self.stars.append(node)
                continue
            kind = "from" if isinstance(node, ast.ImportFrom) else "import"
            name = alias.asname or (alias.name if kind == "from" else alias.name.partition(".")[0])
            self._add(scope, name, kind, ImportedName(node, alias), None, None, at, path)

    def _return(self, node: ast.Return, scope: Scope, path: tuple[int, ...]) -> None:
        scope.returns.append(node)

    def _alias(self, node: ast.stmt, scope: Scope, path: tuple[int, ...]) -> None:
        """`type X = …`, where this Python knows it."""
        name, value = getattr(node, "name", None), getattr(node, "value", None)
        if isinstance(name, ast.Name) and isinstance(value, ast.expr):
            self._add(scope, name.id, "assign", node, value, None, (node.lineno, 0), path)


def _bound_in(statements: Iterable[ast.stmt]) -> set[str]:
    """Names that statements bind themselves, by definition or import."""
    found: set[str] = set()
    for each in statements:
        if isinstance(each, ast.Import | ast.ImportFrom):
            found |= {a.asname or a.name.partition(".")[0] for a in each.names}
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(each.name)
        elif isinstance(each, ast.Assign):
            found |= {t.id for t in each.targets if isinstance(t, ast.Name)}
    return found


def _keep(scope: Scope, before: dict[str, int], names: set[str]) -> None:
    """What a branch that never runs bound is forgotten, of names that the other branch binds, too."""
    for name in names & scope.bindings.keys():
        del scope.bindings[name][before.get(name, 0) :]


_PUTS = {"append": 1, "add": 1, "appendleft": 1, "insert": 2, "setdefault": 2}
"""Methods that put their last argument into a container, and how many they have."""


def _inner_id(scope: Scope, name: str) -> str:
    if scope.kind == "module":
        return f"{scope.module}:{name}"
    return f"{scope.id}.{name}" if scope.kind == "class" else f"{scope.id}.<locals>.{name}"


def _first_parameter(scope: Scope, owner: Scope) -> str | None:
    """What the method of `owner` that `scope` is, or lies in, calls its `self`."""
    current: Scope | None = scope
    while current is not None and current.outer is not owner:
        current = current.outer
    if current is None or not isinstance(current.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return None
    arguments = (*current.node.args.posonlyargs, *current.node.args.args)
    return arguments[0].arg if arguments else None


def _says_global(node: ast.AST) -> bool:
    return any(isinstance(statement, ast.Global) for statement in statements_of(node))


def _leaves(body: list[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break))


_HANDLERS: dict[type[ast.AST], Callable[..., None]] = {
    ast.FunctionDef: Index._function,
    ast.AsyncFunctionDef: Index._function,
    ast.ClassDef: Index._class,
    ast.Assign: Index._assign,
    ast.AnnAssign: Index._annotated,
    ast.AugAssign: Index._augmented,
    ast.Expr: Index._expression,
    ast.For: Index._for,
    ast.AsyncFor: Index._for,
    ast.While: Index._while,
    ast.If: Index._if,
    ast.With: Index._with,
    ast.AsyncWith: Index._with,
    ast.Try: Index._try,
    ast.TryStar: Index._try,
    ast.Match: Index._match,
    ast.Nonlocal: Index._nonlocal,
    ast.Import: Index._import,
    ast.ImportFrom: Index._import,
    ast.Return: Index._return,
}
if hasattr(ast, "TypeAlias"):
    _HANDLERS[ast.TypeAlias] = Index._alias
