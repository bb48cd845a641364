"""From expressions to what they can be: on demand, each once, with cycles cut."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Mapping

from unstall.audit import (
    types_annotations,
    types_calls,
    types_containers,
    types_elements,
    types_forms,
    types_members,
    types_names,
    types_super,
)
from unstall.audit.functions import Shape, shape_of
from unstall.audit.imported_types import Seen
from unstall.audit.project import Project
from unstall.audit.scopes import Scope
from unstall.audit.types_callers import Callers
from unstall.audit.types_classes import Classes
from unstall.audit.types_generics import Generics
from unstall.audit.values import (
    CLASS,
    CONSTANT,
    COROUTINE,
    EXTERNAL,
    FUNCTION,
    GENERATOR,
    INSTANCE,
    NOTHING,
    PARAMETER,
    Value,
    Values,
    flat,
    guessed,
    instance,
    one,
    union,
)

_DEEPEST = 160
"""Questions inside questions: code that needs more is generated."""
_FRAMES = 12
"""Of the interpreter's stack, for each question inside another."""
_PATIENCE = 3
"""How often what lies on a cycle is worked out again before its answer stands."""


class Types:
    """Answers about one project. Nothing here changes what was read."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.table = project.table
        self.classes = Classes(self)
        self.callers = Callers(self)
        self.generics = Generics(self)
        self._answers: dict[object, Values] = {}
        self._held: list[object] = []
        """What keys of answers are the identity of: it must not go before them."""
        self._same: dict[Values, Values] = {}
        """A project has few distinct answers, each many times: they are kept once."""
        self._open: dict[object, int] = {}
        self._deepest = min(_DEEPEST, sys.getrecursionlimit() // _FRAMES - 8)
        self._cut = _DEEPEST
        self._tries: dict[object, int] = {}
        self._shapes: dict[int, Shape] = {}
        self.seen = Seen()
        self.settled: Mapping[int, Values] = {}
        """Of expressions by identity, where somebody else knew better."""

    def once(self, key: object, keep: object, work: Callable[[], Values]) -> Values:
        """The answer to a question, remembered; a question inside itself has none.

        `keep` holds on to what the key is the identity of. What was answered while an outer question was cut
        off is asked again later, a few times.
        """
        known = self._answers.get(key)
        if known is not None:
            return known
        level = self._open.get(key)
        if level is not None:
            self._cut = min(self._cut, level)
            return NOTHING
        depth = len(self._open)
        if depth >= self._deepest:
            self._cut = -1
            return NOTHING
        outside, self._cut = self._cut, _DEEPEST
        self._open[key] = depth
        try:
            values = flat(work())
        finally:
            del self._open[key]
            cut, self._cut = self._cut, min(outside, self._cut if self._cut < depth else _DEEPEST)
        if cut >= depth or self._tries.get(key, 0) >= _PATIENCE:
            values = self._same.setdefault(values, values)
            self._answers[key] = values
            if keep is not None:
                self._held.append(keep)
        else:
            self._tries[key] = self._tries.get(key, 0) + 1
        return values

    @property
    def is_cut(self) -> bool:
        """The question came back to one that is still open: more may be known than it heard."""
        return self._cut < _DEEPEST

    def shape(self, scope: Scope) -> Shape:
        found = self._shapes.get(id(scope))
        if found is None:
            found = shape_of(scope, self.project.scan(scope).first_yield is not None)
            self._shapes[id(scope)] = found
        return found

    def is_async(self, value: Value) -> bool | None:
        """Whether it is an `async def` of the project; None: it is no function of the project."""
        scope = self.project.scope(value.name) if value.kind == FUNCTION else None
        return self.shape(scope).is_async if scope is not None else None

    # Expressions

    def values(self, scope: Scope, node: ast.expr) -> Values:
        """All that the expression can be; what callers pass stays a parameter."""
        key = id(node)
        if key in self.settled:
            return self.settled[key]
        known = self._answers.get(key)
        if known is not None:
            return known
        kind = type(node)
        if kind is ast.Constant:
            return _constant(node)  # type: ignore[arg-type]
        handler = _HANDLERS.get(kind)
        if handler is None:
            return NOTHING
        return self.once(key, node, lambda: handler(self, scope, node))

    def known(self, scope: Scope, node: ast.expr) -> Values:
        """The same, with parameters replaced by what is passed for them anywhere."""
        return self.expanded(self.values(scope, node))

    def expanded(self, values: Values) -> Values:
        for value in values:
            if value.kind == PARAMETER:
                break
        else:
            return values
        return union(
            self._passed(value) if value.kind == PARAMETER else frozenset((value,))
            for value in values
        )

    def _passed(self, value: Value) -> Values:
        """By its bound, of a type variable that has one: classes below it are overrides of that."""
        bound = guessed(value.items[0], value.guess) if value.items else NOTHING
        if any(":" in each.name for each in bound):
            return bound
        return bound | self.callers.passed(value.name)

    def all_of(self, scope: Scope, nodes: Iterable[ast.expr]) -> Values:
        return union(self.values(scope, node) for node in nodes)

    # Each question has its module; these are the doors between them.

    def annotation(self, scope: Scope, node: ast.expr) -> Values:
        return types_annotations.annotation(self, scope, node)

    def member(self, values: Values, name: str) -> Values:
        return types_members.member(self, values, name)

    def above(self, written: str, name: str) -> Values:
        return types_super.above(self, written, name)

    def called(self, values: Values, scope: Scope | None, call: ast.Call | None) -> Values:
        return types_calls.called(self, values, scope, call)

    def awaited(self, values: Values) -> Values:
        return union(
            (value.items[0] if value.items else NOTHING)
            if value.kind == COROUTINE
            else frozenset((value,))
            for value in self.expanded(values)
        )

    def classes_of(self, values: Values) -> Values:
        """`type(values)`"""
        return frozenset(
            value._replace(kind=CLASS if ":" in value.name else EXTERNAL, items=())
            for value in values
            if value.kind == INSTANCE
        )

    def member_of_definition(self, scope: Scope) -> Values:
        """A function as its decorators leave it."""
        return types_names.defined(self, scope.outer or scope, scope)

    def returned(self, scope: Scope) -> Values:
        """What a function's body gives."""
        return self.expanded(types_calls.returns(self, scope))

    def element(self, values: Values, is_async: bool = False) -> Values:
        return types_elements.element(self, values, is_async)

    def entered(self, values: Values, is_async: bool = False) -> Values:
        return types_elements.entered(self, values, is_async)

    def item(self, values: Values, index: tuple[int, ...]) -> Values:
        return types_elements.item(self, values, index)


def _constant(node: ast.Constant) -> Values:
    value = node.value
    if value is None or value is ...:
        return one(CONSTANT, repr(value))
    return instance(f"builtins.{type(value).__name__}", exact=True)


def _name(types: Types, scope: Scope, node: ast.Name) -> Values:
    return types_names.lookup(types, scope, node.id, (node.lineno, node.col_offset))


def _attribute(types: Types, scope: Scope, node: ast.Attribute) -> Values:
    base = types.known(scope, node.value)
    if not base and isinstance(node.value, ast.Attribute) and node.value.attr == "state":
        return types_names.stored(types, node.attr)
    if node.attr == "__class__":
        return types.classes_of(base)
    found = types.member(base, node.attr)
    if isinstance(node.value, ast.Attribute) and node.value.attr == "state":
        found |= types_names.stored(types, node.attr)
    return found


def _call(types: Types, scope: Scope, node: ast.Call) -> Values:
    special = types_forms.special(types, scope, node)
    if special is not None:
        return special
    return types.called(types.values(scope, node.func), scope, node)


def _await(types: Types, scope: Scope, node: ast.Await) -> Values:
    return types.awaited(types.values(scope, node.value))


def _binary(types: Types, scope: Scope, node: ast.BinOp) -> Values:
    left = types.known(scope, node.left)
    if isinstance(node.op, ast.Div):
        name = "__truediv__"
    elif isinstance(node.op, ast.BitOr):
        both = types_annotations.union_of_classes(types, scope, node)
        if both:
            return both
        name = "__or__"
    else:
        name = ""
    found: list[Values] = []
    for value in left:
        if value.kind == INSTANCE:
            given = (
                types.table.returns(f"{value.name}.{name}")
                if name and ":" not in value.name
                else ()
            )
            found.append(union(instance(g) for g in given) if given else frozenset((value,)))
    if isinstance(node.op, ast.Div):
        right = types.known(scope, node.right)
        found += [
            frozenset((v,)) for v in right if v.kind == INSTANCE and v.name.startswith("pathlib.")
        ]
    return union(found)


def _boolean(types: Types, scope: Scope, node: ast.BoolOp) -> Values:
    return types.all_of(scope, node.values)


def _choice(types: Types, scope: Scope, node: ast.IfExp) -> Values:
    return types.all_of(scope, (node.body, node.orelse))


def _named(types: Types, scope: Scope, node: ast.NamedExpr) -> Values:
    return types.values(scope, node.value)


def _starred(types: Types, scope: Scope, node: ast.Starred) -> Values:
    return types.element(types.known(scope, node.value))


def _text(types: Types, scope: Scope, node: ast.expr) -> Values:
    return instance("builtins.str", exact=True)


def _truth(types: Types, scope: Scope, node: ast.expr) -> Values:
    return instance("builtins.bool", exact=True)


def _unary(types: Types, scope: Scope, node: ast.UnaryOp) -> Values:
    if isinstance(node.op, ast.Not):
        return instance("builtins.bool", exact=True)
    return types.values(scope, node.operand)


def _elements(types: Types, scope: Scope, nodes: list[ast.expr]) -> Values:
    return types.all_of(scope, nodes[:64])


def _list(types: Types, scope: Scope, node: ast.List | ast.Set) -> Values:
    name = "builtins.list" if isinstance(node, ast.List) else "builtins.set"
    return instance(name, _elements(types, scope, node.elts), exact=True)


def _tuple(types: Types, scope: Scope, node: ast.Tuple) -> Values:
    if len(node.elts) > 16 or any(isinstance(item, ast.Starred) for item in node.elts):
        return instance("builtins.list", _elements(types, scope, node.elts))
    return instance(
        "builtins.tuple", *(types.values(scope, item) for item in node.elts), exact=True
    )


def _dict(types: Types, scope: Scope, node: ast.Dict) -> Values:
    keys = _elements(types, scope, [key for key in node.keys if key is not None])
    values = [value for key, value in zip(node.keys, node.values, strict=True) if key is not None]
    return instance("builtins.dict", keys, _elements(types, scope, values), exact=True)


def _comprehension(
    types: Types, scope: Scope, node: ast.ListComp | ast.SetComp | ast.GeneratorExp
) -> Values:
    if isinstance(node, ast.GeneratorExp):
        types.project.scan(scope)
        lazy = scope.children.get(id(node))
        if lazy is not None:
            return one(GENERATOR, lazy.id, types.values(scope, node.elt))
    name = "builtins.set" if isinstance(node, ast.SetComp) else "builtins.list"
    return instance(name, types.values(scope, node.elt), exact=True)


def _dict_comprehension(types: Types, scope: Scope, node: ast.DictComp) -> Values:
    return instance(
        "builtins.dict", types.values(scope, node.key), types.values(scope, node.value), exact=True
    )


def _subscript(types: Types, scope: Scope, node: ast.Subscript) -> Values:
    injected = types_containers.injected(types, scope, node)
    if injected is not None:
        return injected
    base = types.known(scope, node.value)
    as_type = types_annotations.subscripted(types, scope, node, base)
    if as_type is not None:
        return as_type
    index = node.slice
    if isinstance(index, ast.Slice):
        return base
    if isinstance(index, ast.Constant) and isinstance(index.value, int):
        return types.item(base, (index.value,))
    return types_elements.looked_up(types, base)


def _lambda(types: Types, scope: Scope, node: ast.Lambda) -> Values:
    types.project.scan(scope)
    inner = scope.children.get(id(node))
    if inner is None:  # in a decorator or default: it belongs to the scope around
        inner = types.project.indexes[scope.module].define(node, scope, f"<lambda>@{node.lineno}")
    return one(FUNCTION, inner.id, exact=True)


_HANDLERS: dict[type[ast.AST], Callable[[Types, Scope, ast.expr], Values]] = {
    ast.Name: _name,  # type: ignore[dict-item]
    ast.Attribute: _attribute,  # type: ignore[dict-item]
    ast.Call: _call,  # type: ignore[dict-item]
    ast.Await: _await,  # type: ignore[dict-item]
    ast.BinOp: _binary,  # type: ignore[dict-item]
    ast.BoolOp: _boolean,  # type: ignore[dict-item]
    ast.IfExp: _choice,  # type: ignore[dict-item]
    ast.NamedExpr: _named,  # type: ignore[dict-item]
    ast.Starred: _starred,  # type: ignore[dict-item]
    ast.JoinedStr: _text,
    ast.Compare: _truth,
    ast.UnaryOp: _unary,  # type: ignore[dict-item]
    ast.List: _list,  # type: ignore[dict-item]
    ast.Set: _list,  # type: ignore[dict-item]
    ast.Tuple: _tuple,  # type: ignore[dict-item]
    ast.Dict: _dict,  # type: ignore[dict-item]
    ast.ListComp: _comprehension,  # type: ignore[dict-item]
    ast.SetComp: _comprehension,  # type: ignore[dict-item]
    ast.GeneratorExp: _comprehension,  # type: ignore[dict-item]
    ast.DictComp: _dict_comprehension,  # type: ignore[dict-item]
    ast.Subscript: _subscript,  # type: ignore[dict-item]
    ast.Lambda: _lambda,  # type: ignore[dict-item]
}
