"""Where a function hands over control: calls, loops, `with`, reads and yields, in the order of running."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import NamedTuple

from unstall.audit.fields import FIELDS
from unstall.audit.leaving import passed
from unstall.audit.scopes import Binding, Scope
from unstall.audit.scopes_index import Index

_COLLECTORS = frozenset(
    "gather wait_for create_task ensure_future shield wait as_completed run run_until_complete "
    "run_coroutine_threadsafe start_soon create_background_task async_to_sync".split()
)
"""What takes coroutines: a call in its arguments makes one."""
_DRAINS = _COLLECTORS | frozenset(
    "list tuple set frozenset sorted sum any all max min dict next join deque extend extendleft update "
    "Counter fromkeys reduce executemany add_all bulk_save_objects concat fromiter writelines array fsum "
    "mean".split()
)
"""What asks a generator expression among its arguments for its elements at once."""


ASKS_KIND = frozenset({"iscoroutinefunction", "is_async_callable", "is_coroutine_callable"})


_STARTERS = frozenset(
    "create_task ensure_future create_background_task start_soon run_coroutine_threadsafe".split()
)
"""Of these, what nobody waits for where it is begun, unless the call itself is awaited."""


class Under(NamedTuple):
    """Conditions that something lies under; of each, whether under its `else`."""

    tests: tuple[ast.expr, ...] = ()
    negated: tuple[bool, ...] = ()

    def also(self, *conditions: tuple[ast.expr, bool]) -> Under:
        return Under(
            (*self.tests, *(test for test, _ in conditions)),
            (*self.negated, *(negated for _, negated in conditions)),
        )


class Event(NamedTuple):
    kind: str
    """call, iterate, enter, exit, read, yield"""
    node: ast.expr
    awaited: bool = False
    """Or async for, async with."""
    over: tuple[ast.AST, ...] = ()
    """The loops that it lies in, outermost first: what they go over; of `while` the statement."""
    tests: tuple[ast.expr, ...] = ()
    """Conditions it lies under."""
    negated: tuple[bool, ...] = ()
    """Of each condition: it lies under `else`."""
    begins: bool = False
    """A coroutine that becomes a task of its own."""

    @property
    def repeats(self) -> bool:
        return bool(self.over)


class Scan:
    """The events of one scope; those of functions, classes and lambdas in it are their own."""

    __slots__ = (
        "_awaited",
        "_begun",
        "_drained",
        "_index",
        "_over",
        "_scope",
        "_under",
        "asks_kind",
        "awaits",
        "events",
        "first_wait",
        "first_yield",
    )

    def __init__(self, scope: Scope, index: Index) -> None:
        self.events: list[Event] = []
        self.awaits = False
        self.asks_kind = False
        """It asks somewhere whether a function is async."""
        self.first_wait: int | None = None
        """Events before it run in the first step of a coroutine; None: it never waits."""
        self.first_yield: int | None = None
        """Events before it run when a generator is first asked; None: it is no generator."""
        self._scope = scope
        self._index = index
        self._awaited: set[int] = set()
        self._begun: set[int] = set()
        self._drained: set[int] = set()
        self._over: tuple[ast.AST, ...] = ()
        self._under = Under()
        if scope.spans is None:
            scope.spans = []
        node = scope.node
        if isinstance(node, ast.Lambda):
            self._visit(node.body)
        elif isinstance(node, ast.GeneratorExp):
            self._elements(node)
            self.first_yield = len(self.events)
        else:
            self._block(getattr(node, "body", ()))

    def _emit(self, kind: str, node: ast.expr, awaited: bool = False) -> None:
        known = id(node)
        awaited = awaited or known in self._awaited
        event = Event(kind, node, awaited, self._over, *self._under, known in self._begun)
        self.events.append(event)

    def _wait(self) -> None:
        self.awaits = True
        if self.first_wait is None:
            self.first_wait = len(self.events)

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        kind = type(node)
        if kind in _LEAVES:
            return
        handler = _VISITORS.get(kind)
        if handler is not None:
            handler(self, node)
            return
        for field in FIELDS[kind]:
            value = getattr(node, field, None)
            if value.__class__ is list:
                self._block(value)
            elif isinstance(value, ast.AST):
                self._visit(value)

    def _block(self, nodes: Iterable[object]) -> None:
        """Statements in order. After one that may leave, the others are under a condition."""
        outside = self._under
        for node in nodes:
            if isinstance(node, ast.AST):
                self._visit(node)
                if isinstance(node, ast.stmt) and (conditions := passed(node)):
                    self._under = self._under.also(*conditions)
        self._under = outside

    # Definitions: what runs now are decorators and defaults.

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_all(node.decorator_list)
        self._visit_all(node.args.defaults)
        self._visit_all(d for d in node.args.kw_defaults if d is not None)

    def _class(self, node: ast.ClassDef) -> None:
        self._visit_all(node.decorator_list)
        self._visit_all(node.bases)
        if self._scope.kind != "class":
            # A class body runs where it stands; its names belong to a scope of its own.
            inner = self._scope.children.get(id(node))
            if inner is not None:
                inner.spans = inner.spans or []

    def _lambda(self, node: ast.Lambda) -> None:
        if id(node) not in self._scope.children:
            self._index.define(node, self._scope, f"<lambda>@{node.lineno}")
        self._visit_all(node.args.defaults)

    # Expressions

    def _call(self, node: ast.Call) -> None:
        name = (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        self.asks_kind = self.asks_kind or name in ASKS_KIND
        if name in _COLLECTORS:
            for argument in node.args:
                self._collected(argument)
            if name in _STARTERS and id(node) not in self._awaited:
                self._begun.update(map(id, node.args))
        if name in _DRAINS:
            self._drained.update(map(id, node.args))
        if isinstance(node.func, ast.Attribute):
            self._visit(node.func.value)
        elif not isinstance(node.func, ast.Name):
            self._visit(node.func)
        self._visit_all(node.args)
        for keyword in node.keywords:
            self._visit(keyword.value)
        self._emit("call", node)

    def _collected(self, node: ast.expr) -> None:
        """Calls in it make coroutines that somebody awaits."""
        if isinstance(node, ast.Call):
            self._awaited.add(id(node))
        elif isinstance(node, ast.Starred):
            self._collected(node.value)
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            self._collected(node.elt)
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            for item in node.elts:
                self._collected(item)

    def _await(self, node: ast.Await) -> None:
        self._wait()
        self._awaited.add(id(node.value))
        self._visit(node.value)

    def _attribute(self, node: ast.Attribute) -> None:
        self._visit(node.value)
        if isinstance(node.ctx, ast.Load):
            self._emit("read", node)

    def _yield(self, node: ast.Yield | ast.YieldFrom) -> None:
        if node.value is not None:
            self._drained.add(id(node.value) if isinstance(node, ast.YieldFrom) else 0)
            self._visit(node.value)
        if isinstance(node, ast.YieldFrom) and node.value is not None:
            outside = self._over
            self._over = (*outside, node.value)
            self._emit("iterate", node.value)
            self._over = outside
        if self.first_yield is None:
            self.first_yield = len(self.events)
        self._emit("yield", node)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        self._bind(node)
        self._drained.add(id(node.generators[0].iter))
        self._visit(node.generators[0].iter)
        if isinstance(node, ast.GeneratorExp) and self._is_lazy(node):
            self._index.define_generator(node, self._scope)
        else:
            self._elements(node)

    def _is_lazy(self, node: ast.GeneratorExp) -> bool:
        """Nobody asks for its elements where it stands: it is a generator function without a name."""
        if id(node) in self._drained or any(part.is_async for part in node.generators):
            return False
        return not any(isinstance(part, ast.Await) for part in ast.walk(node))

    def _bind(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        scope = self._scope
        while isinstance(scope.node, ast.GeneratorExp) and scope.outer is not None:
            scope = scope.outer
        scope.spans = scope.spans or []
        start = (node.lineno, node.col_offset)
        end = (node.end_lineno or 0, node.end_col_offset or 0)
        for part in node.generators:
            for name, index in _names_in(part.target):
                binding = Binding(
                    "for", node, part.iter, None, index, start, (), bool(part.is_async)
                )
                scope.spans.append((start, end, name, binding))

    def _elements(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        """All but what gives the first iterable: that runs where the comprehension stands."""
        outside = self._over
        for number, part in enumerate(node.generators):
            if number:
                self._drained.add(id(part.iter))
                self._visit(part.iter)
            if part.is_async:
                self._wait()
            self._emit("iterate", part.iter, bool(part.is_async))
            self._over = (*self._over, part.iter)
            self._visit_all(part.ifs)
        if isinstance(node, ast.DictComp):
            self._visit(node.key)
            self._visit(node.value)
        else:
            self._visit(node.elt)
        self._over = outside

    def _starred(self, node: ast.Starred) -> None:
        self._drained.add(id(node.value))
        self._visit(node.value)
        if isinstance(node.ctx, ast.Load):
            self._emit("iterate", node.value)

    def _assign(self, node: ast.Assign) -> None:
        """Unpacking asks for all elements."""
        unpacks = any(isinstance(target, (ast.Tuple, ast.List)) for target in node.targets)
        if unpacks:
            self._drained.add(id(node.value))
        self._visit(node.value)
        if unpacks and isinstance(node.value, (ast.Call, ast.Name)):
            self._emit("iterate", node.value)
        self._visit_all(node.targets)

    def _named(self, node: ast.NamedExpr) -> None:
        self._visit(node.value)
        at = (node.end_lineno or 0, node.end_col_offset or 0)
        if isinstance(node.target, ast.Name):
            path = self._scope.path_at(node.lineno)
            binding = Binding("assign", node, node.value, None, (), at, path)
            known = self._scope.bindings.setdefault(node.target.id, [])
            if all(each.node is not node for each in known):
                known.append(binding)

    # Statements

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        is_async = isinstance(node, ast.AsyncFor)
        if is_async:
            self._wait()
        self._drained.add(id(node.iter))
        self._visit(node.iter)
        outside = self._over
        self._over = (*outside, node.iter)
        self._emit("iterate", node.iter, is_async)
        self._block(node.body)
        self._over = outside
        self._block(node.orelse)

    def _while(self, node: ast.While) -> None:
        outside = self._over
        self._over = (*outside, node)
        self._visit(node.test)
        self._branch(node.test, False, node.body)
        self._over = outside
        self._block(node.orelse)

    def _if(self, node: ast.If) -> None:
        outside = self._under
        while True:
            self._visit(node.test)
            self._branch(node.test, False, node.body)
            self._under = self._under.also((node.test, True))
            if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
                node = node.orelse[0]
                continue
            self._block(node.orelse)
            self._under = outside
            return

    def _match(self, node: ast.Match) -> None:
        """A case of literals is a comparison; the cases after one without a guard are for others."""
        self._visit(node.subject)
        outside = self._under
        for case in node.cases:
            test = _as_test(node.subject, case.pattern)
            self._visit(case.pattern)
            if test is None:
                self._block([*filter(None, [case.guard]), *case.body])
                continue
            self._branch(test, False, [*filter(None, [case.guard]), *case.body])
            if case.guard is None:
                self._under = self._under.also((test, True))
        self._under = outside

    def _choice(self, node: ast.IfExp) -> None:
        self._visit(node.test)
        self._branch(node.test, False, [node.body])
        self._branch(node.test, True, [node.orelse])

    def _branch(self, test: ast.expr, negated: bool, nodes: Iterable[ast.AST]) -> None:
        outside = self._under
        self._under = outside.also((test, negated))
        self._block(nodes)
        self._under = outside

    def _with(self, node: ast.With | ast.AsyncWith) -> None:
        is_async = isinstance(node, ast.AsyncWith)
        if is_async:
            self._wait()
        for item in node.items:
            self._visit(item.context_expr)
            self._emit("enter", item.context_expr, is_async)
        self._block(node.body)
        for item in reversed(node.items):
            self._emit("exit", item.context_expr, is_async)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._visit(node.value)


def _as_test(subject: ast.expr, pattern: ast.pattern) -> ast.expr | None:
    """`subject in (…)`; None: the pattern is no literal, nor several of them."""
    parts = pattern.patterns if isinstance(pattern, ast.MatchOr) else [pattern]
    literals = [
        each.value
        for each in parts
        if isinstance(each, ast.MatchValue) and isinstance(each.value, ast.Constant)
    ]
    if len(literals) < len(parts):
        return None
    among = ast.Tuple(list[ast.expr](literals), ast.Load())
    return ast.copy_location(ast.Compare(subject, [ast.In()], [among]), pattern)


def _names_in(target: ast.expr, index: tuple[int, ...] = ()) -> list[tuple[str, tuple[int, ...]]]:
    if isinstance(target, ast.Name):
        return [(target.id, index)]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [
            found for n, item in enumerate(target.elts) for found in _names_in(item, (*index, n))
        ]
    return []


_LEAVES = frozenset(
    (
        ast.Name,
        ast.Constant,
        ast.Load,
        ast.Store,
        ast.Pass,
        ast.Import,
        ast.ImportFrom,
        ast.Global,
        ast.Nonlocal,
    )
)
_VISITORS: dict[type[ast.AST], Callable[[Scan, ast.AST], None]] = {
    ast.FunctionDef: Scan._function,  # type: ignore[dict-item]
    ast.AsyncFunctionDef: Scan._function,  # type: ignore[dict-item]
    ast.ClassDef: Scan._class,  # type: ignore[dict-item]
    ast.Lambda: Scan._lambda,  # type: ignore[dict-item]
    ast.Call: Scan._call,  # type: ignore[dict-item]
    ast.Await: Scan._await,  # type: ignore[dict-item]
    ast.Attribute: Scan._attribute,  # type: ignore[dict-item]
    ast.Yield: Scan._yield,  # type: ignore[dict-item]
    ast.YieldFrom: Scan._yield,  # type: ignore[dict-item]
    ast.ListComp: Scan._comprehension,  # type: ignore[dict-item]
    ast.SetComp: Scan._comprehension,  # type: ignore[dict-item]
    ast.GeneratorExp: Scan._comprehension,  # type: ignore[dict-item]
    ast.DictComp: Scan._comprehension,  # type: ignore[dict-item]
    ast.Starred: Scan._starred,  # type: ignore[dict-item]
    ast.Assign: Scan._assign,  # type: ignore[dict-item]
    ast.NamedExpr: Scan._named,  # type: ignore[dict-item]
    ast.For: Scan._for,  # type: ignore[dict-item]
    ast.AsyncFor: Scan._for,  # type: ignore[dict-item]
    ast.While: Scan._while,  # type: ignore[dict-item]
    ast.If: Scan._if,  # type: ignore[dict-item]
    ast.IfExp: Scan._choice,  # type: ignore[dict-item]
    ast.Match: Scan._match,  # type: ignore[dict-item]
    ast.With: Scan._with,  # type: ignore[dict-item]
    ast.AsyncWith: Scan._with,  # type: ignore[dict-item]
    ast.AnnAssign: Scan._annotated,  # type: ignore[dict-item]
}
