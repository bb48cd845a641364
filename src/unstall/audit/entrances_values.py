"""Where the value of an expression comes from: through names, attributes, parameters, loops and returns.

Flow is followed only as far as entrances need it: which router, which prefix, which function is meant.
What cannot be followed is left as it stands.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Binding, Def, Where, own_nodes
from unstall.audit.entrances_lookup import Lookup
from unstall.audit.entrances_syntax import argument, default_of, is_static, parameters_of, written

_DEEPEST = 24
_UNCUT = 1 << 30
_Key = tuple[int, Where, str]


@dataclass(frozen=True, slots=True)
class Value:
    """An expression that says what it is: a call, a constant, a display, or a name of no known value."""

    node: ast.expr
    where: Where


@dataclass(slots=True)
class Values(Lookup):
    _known: dict[_Key, tuple[Value, ...]] = field(default_factory=dict)
    _open: dict[_Key, int] = field(default_factory=dict)
    """What is being worked out, and how deep: a question below itself has no answer."""
    _cut: int = _UNCUT
    """The outermost question that one below came back to; what lies between is incomplete, and not kept."""
    _members: dict[tuple[int, str], ast.Attribute] = field(default_factory=dict)
    _returns: dict[str, tuple[ast.expr, ...]] = field(default_factory=dict)
    """By function: the expressions that it returns."""

    def of(self, node: ast.expr, where: Where) -> tuple[Value, ...]:
        """All that the expression can be."""
        key = id(node), where, "of"
        known = self._known.get(key)
        if known is not None:
            return known
        if self._is_open(key):
            return ()
        depth = self._open[key] = len(self._open)
        outside, self._cut = self._cut, _UNCUT
        try:
            found = _unique(self._of(node, where))
        finally:
            del self._open[key]
            cut = self._cut if self._cut < depth else _UNCUT
            self._cut = min(outside, cut)
        if cut == _UNCUT or not depth:
            self._known[key] = found
        return found

    def _is_open(self, key: _Key) -> bool:
        """Whether the question came back to itself, or lies too deep."""
        level = self._open.get(key, -1)
        if level < 0 and len(self._open) <= _DEEPEST:
            return False
        self._cut = min(self._cut, level)
        return True

    def _of(self, node: ast.expr, where: Where) -> Iterable[Value]:
        match node:
            case ast.Name():
                return self._name(node, where)
            case ast.Attribute():
                return self._attribute(node, where)
            case ast.Call():
                return self._call(node, where)
            case ast.Subscript():
                return self._subscript(node, where)
            case ast.Await() | ast.Starred() | ast.NamedExpr():
                return self.of(node.value, where)
            case ast.IfExp():
                return (*self.of(node.body, where), *self.of(node.orelse, where))
            case ast.BoolOp():
                return [found for value in node.values for found in self.of(value, where)]
        return (Value(node, where),)

    def _name(self, node: ast.Name, where: Where) -> Iterable[Value]:
        at = where
        while True:
            bindings = self.index.bindings(at).get(node.id)
            if bindings and (at == where or at.scope not in self.index.classes):
                live = _live(bindings, node) if at == where else bindings
                if live:
                    return [found for binding in live for found in self._bound(binding, at)]
            known = self.index.functions.get(at.scope)
            if known is not None and node.id in _parameters(known):
                return self._argument(known, node.id) or (Value(node, where),)
            if self.defined(node.id, at) or not at.scope:
                break
            at = self.index.outer(at)
        return self._elsewhere(node, where) or (Value(node, where),)

    def _bound(self, binding: Binding, at: Where) -> Iterable[Value]:
        if not binding.element:
            values: Iterable[Value] = self.of(binding.value, at)
            return values if binding.position is None else self._picked(values, binding.position)
        elements = self.elements(binding.value, at)
        if binding.position is None:
            return [found for value in elements for found in self.of(value.node, value.where)]
        return self._picked(
            [found for value in elements for found in self.of(value.node, value.where)],
            binding.position,
        )

    def _picked(self, values: Iterable[Value], position: int) -> list[Value]:
        return [
            found
            for value in values
            if isinstance(value.node, ast.Tuple | ast.List) and position < len(value.node.elts)
            for found in self.of(value.node.elts[position], value.where)
        ]

    def _argument(self, function: Def, name: str) -> list[Value]:
        """What the function's callers pass, and its default."""
        found = [
            value
            for use in self.index.uses(_last(function))
            if self._calls(use.call.func, use.where, function)
            for given in _given(use.call, function, name)
            for value in self.of(given, use.where)
        ]
        default = default_of(function.node.args, name)
        return [
            *found,
            *(self.of(default, function.where) if default is not None and not found else ()),
        ]

    def _calls(self, node: ast.expr, where: Where, function: Def) -> bool:
        named = self.named(node, where)
        return function.id in named or function.id.removesuffix(".__init__") in named

    def _attribute(self, node: ast.Attribute, where: Where) -> Iterable[Value]:
        found = self._elsewhere(node, where)
        if found:
            return found
        for class_ in self.classes(node.value, where):
            for binding, at in self.attributes(class_).get(node.attr, ()):
                found = [*found, *self._bound(binding, at)]
        for value in self.of(node.value, where) if not found else ():
            if value.node is not node.value and isinstance(value.node, ast.Name | ast.Attribute):
                found = [*found, *self.of(self._member(value.node, node.attr), value.where)]
        if not found and node.attr == "value":  # of a member of an enumeration
            found = [v for v in self.of(node.value, where) if isinstance(v.node, ast.Constant)]
        return found or (Value(node, where),)

    def _member(self, node: ast.expr, name: str) -> ast.Attribute:
        """`node.name`, one and the same each time: what is known of it is kept by identity."""
        key = id(node), name
        if key not in self._members:
            self._members[key] = ast.copy_location(ast.Attribute(node, name, ast.Load()), node)
        return self._members[key]

    def _elsewhere(self, node: ast.expr, where: Where) -> list[Value]:
        """Values of the global or class attribute that the expression names."""
        found: list[Value] = []
        for name in self.names.name_of(where.module, where.scope, node):
            module, colon, inner = name.partition(":")
            if not colon or module not in self.index.modules or name in self.index.functions:
                continue
            if name in self.index.classes:
                continue
            owner, dot, last = inner.rpartition(".")
            at = Where(module, f"{module}:{owner}") if dot else Where(module)
            if at == where and isinstance(node, ast.Name):
                continue
            for binding in self.index.bindings(at).get(last, ()):
                found += self._bound(binding, at)
        return found

    def _call(self, node: ast.Call, where: Where) -> Iterable[Value]:
        found: list[Value] = []
        open_ = False
        for id_ in self.functions(node.func, where):
            given = self.returned(self.index.functions[id_])
            found += given
            open_ = open_ or not given
        return [*found, Value(node, where)] if open_ or not found else found

    def returned(self, function: Def) -> list[Value]:
        """What calling the function gives, where its returns say it."""
        if isinstance(function.node, ast.Lambda):
            return list(self.of(function.node.body, function.inside))
        known = self._returns.get(function.id)
        if known is None:
            known = self._returns[function.id] = _returns(function.node.body)
        return [value for node in known for value in self.of(node, function.inside)]

    def _subscript(self, node: ast.Subscript, where: Where) -> Iterable[Value]:
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        found: list[Value] = []
        for value in self.of(node.value, where):
            match value.node:
                case ast.Dict(keys=keys, values=values):
                    exact = [
                        v
                        for k, v in zip(keys, values, strict=True)
                        if isinstance(k, ast.Constant) and k.value == key
                    ]
                    for item in exact or values:
                        found += self.of(item, value.where)
                case ast.List(elts=items) | ast.Tuple(elts=items):
                    chosen = items[key : key + 1] if isinstance(key, int) and key >= 0 else items
                    for item in chosen:
                        found += self.of(item, value.where)
        return found or (Value(node, where),)

    def elements(self, node: ast.expr, where: Where) -> list[Value]:
        """Expressions for the elements of a list, tuple, set or comprehension, in order."""
        key = id(node), where, "elements"
        if self._is_open(key):  # `rows = rows + [row]`
            return []
        self._open[key] = len(self._open)
        try:
            found: list[Value] = []
            for value in self.of(node, where):
                found += self._elements_of(value)
            if isinstance(node, ast.Name | ast.Attribute):
                found += self._appended(node, where)
            return found
        finally:
            del self._open[key]

    def _elements_of(self, value: Value) -> Iterator[Value]:
        match value.node:
            case ast.List(elts=items) | ast.Tuple(elts=items) | ast.Set(elts=items):
                for item in items:
                    if isinstance(item, ast.Starred):
                        yield from self.elements(item.value, value.where)
                    else:
                        yield Value(item, value.where)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                yield from self.elements(left, value.where)
                yield from self.elements(right, value.where)
            case ast.ListComp(elt=one) | ast.GeneratorExp(elt=one) | ast.SetComp(elt=one):
                yield Value(one, value.where)
            case ast.Dict(keys=keys):
                yield from (Value(key, value.where) for key in keys if key is not None)
            case ast.Call(func=ast.Attribute(attr="values" | "items" as what, value=inner)):
                for pairs in self.of(inner, value.where):
                    if isinstance(pairs.node, ast.Dict):
                        yield from _items(pairs, what)
            case ast.Call(
                func=ast.Name(id="list" | "tuple" | "sorted" | "set" | "reversed"), args=[inner, *_]
            ):
                yield from self.elements(inner, value.where)
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
                for element in self.elements(inner, value.where):
                    pair = ast.Tuple([ast.Constant(0), element.node], ast.Load())
                    yield Value(ast.copy_location(pair, element.node), element.where)

    def _appended(self, node: ast.Name | ast.Attribute, where: Where) -> Iterator[Value]:
        """What is appended to the list under the same name in the same scope."""
        text = written(node)
        for use in self.index.added(where):
            func, given = use.call.func, use.call.args
            if not isinstance(func, ast.Attribute) or written(func.value) != text:
                continue
            if func.attr == "extend":
                yield from self.elements(given[0], where)
            else:
                yield Value(given[-1], where)


def _given(call: ast.Call, function: Def, name: str) -> Iterator[ast.expr]:
    names = [parameter.arg for parameter, _ in parameters_of(function.node.args)]
    if function.in_class and names and not is_static(function.node):
        names = names[1:]
    found = argument(call, names.index(name) if name in names else None, name)
    if found is not None:
        yield found


def _live(bindings: list[Binding], node: ast.Name) -> list[Binding]:
    """Those that can hold at a use: of the loop around it, else back to the last that surely ran."""
    line = node.lineno
    around = [b for b in bindings if b.inside is not None and b.inside[0] <= line <= b.inside[1]]
    if around:
        return [max(around, key=lambda b: b.inside or (0, 0))]
    live: list[Binding] = []
    for binding in reversed(
        [b for b in bindings if b.line <= line and not _is_within(node, b.value)]
    ):
        live.append(binding)
        if binding.certain:
            break
    return live[::-1] or [b for b in bindings if not _is_within(node, b.value)]


def _is_within(node: ast.expr, outer: ast.expr) -> bool:
    """`f = partial(f)` is made of the f before."""
    start = outer.lineno, outer.col_offset
    end = outer.end_lineno or outer.lineno, outer.end_col_offset or 0
    return start <= (node.lineno, node.col_offset) < end


def _parameters(function: Def) -> set[str]:
    return {parameter.arg for parameter, _ in parameters_of(function.node.args)}


def _last(function: Def) -> str:
    """What calls of it are written with: a class for `__init__`."""
    parts = function.id.partition(":")[2].partition("@")[0].split(".")
    return parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]


def _items(pairs: Value, what: str) -> Iterator[Value]:
    assert isinstance(pairs.node, ast.Dict)
    for key, item in zip(pairs.node.keys, pairs.node.values, strict=True):
        if what == "values" or key is None:
            yield Value(item, pairs.where)
        else:
            pair = ast.copy_location(ast.Tuple([key, item], ast.Load()), item)
            yield Value(pair, pairs.where)


def _unique(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple({(id(value.node), value.where): value for value in values}.values())


def _returns(body: Iterable[ast.AST]) -> tuple[ast.expr, ...]:
    """Nothing for a generator: what it returns, nobody gets."""
    nodes = [node for node, _ in own_nodes(body)]
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes):
        return ()
    return tuple(n.value for n in nodes if isinstance(n, ast.Return) and n.value is not None)
