"""Which function an expression hands over, and of what kind it is."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from unstall.audit.entrances_index import Class, Def, Where
from unstall.audit.entrances_syntax import func_of, is_static, last_name, parameters_of, written
from unstall.audit.entrances_table import ASYNC_CALLABLES, STEPS, Runs, short
from unstall.audit.entrances_values import Value, Values
from unstall.audit.ir import Function, Place, Step

Parameter = tuple[ast.arg, ast.expr | None, Where]
"""With its default, and where the default stands."""


@dataclass(frozen=True, slots=True)
class Target:
    """A callable that is handed over."""

    id: str
    """Of a first-party function; of a foreign one its dotted name; else the source text."""
    kind: str = ""
    """async, sync, async generator, generator, class; empty: not known"""
    function: Def | None = None
    instance: str = ""
    """Class of the callable instance; its `__call__` is the function."""
    made: Class | None = None
    """The first-party class whose constructor it is."""
    is_method: bool = False
    """Its first parameter is the object it is called on, which somebody has to make."""
    given: frozenset[str] = field(default_factory=frozenset)
    """Parameters that functools.partial fills in."""
    bound: bool = False
    """Its first parameter is filled in."""
    made_async_by: str = ""
    """A decorator that wraps a plain function in an async one."""
    receiver: str = ""
    """The first-party class of the `self` it is called on, where that is known."""
    exact: bool = False
    """`self` is of that class, and of none below it."""


@dataclass(slots=True)
class Targets:
    values: Values
    functions: Mapping[str, Function]
    _open: set[tuple[int, Where]] = field(default_factory=set)

    def of(self, node: ast.expr, where: Where) -> tuple[Target, ...]:
        """The functions that the expression can be; none: it is not known."""
        key = id(node), where
        if key in self._open:
            return ()
        self._open.add(key)
        try:
            found = [
                target for value in self.values.of(node, where) for target in self._target(value)
            ]
        finally:
            self._open.discard(key)
        return tuple(dict.fromkeys(_undecided(found)))

    def _target(self, value: Value) -> Iterator[Target]:
        node, where = value.node, value.where
        if isinstance(node, ast.Lambda):
            yield self.function(self.values.index.lambdas[id(node)])
        elif isinstance(node, ast.Call):
            yield from self._from_call(node, where)
        elif isinstance(node, ast.Name | ast.Attribute):
            named = self.values.named(node, where)
            for name in named:
                yield from self._named(name, node, where)
            if not named:
                for class_ in self.values.classes(node, where):
                    yield from self._instance(class_)

    def _named(self, name: str, node: ast.expr, where: Where) -> Iterator[Target]:
        index = self.values.index
        if name in index.functions:
            yield from self._method(index.functions[name], node, where)
        elif name in index.classes:
            yield self.constructor(index.classes[name])
        elif ":" in name:  # a global: what it is an instance of is called
            for class_ in self.values.classes(node, where):
                yield from self._instance(class_)
        else:
            is_class = name.rpartition(".")[2][:1].isupper()
            yield Target(name, "class" if is_class else "")

    def _method(self, function: Def, node: ast.expr, where: Where) -> Iterator[Target]:
        """A function as the expression names it; of a method with the class of the object."""
        target = self.function(function, bound=_is_bound(function, node))
        of_object: list[Target] = []
        if target.bound and isinstance(node, ast.Attribute):
            of_object = [
                replace(target, receiver=class_, exact=exact)
                for class_, exact in self._receivers(node.value, where).items()
                if self.values.method(class_, node.attr) is function
            ]
        yield from of_object or [target]

    def _receivers(self, node: ast.expr, where: Where) -> dict[str, bool]:
        """First-party classes of the object, or the class itself; and whether none below is meant."""
        classes = self.values.index.classes
        if isinstance(node, ast.Name) and node.id in ("self", "cls"):
            return dict.fromkeys(self.values.classes(node, where), False)
        named = [name for name in self.values.named(node, where) if name in classes]
        if named:
            return dict.fromkeys(named, True)
        made = [self._made(value) for value in self.values.of(node, where)]
        told = {name for names in made for name in names}
        found = [name for name in self.values.classes(node, where) if name in classes]
        if told and all(made) and told.issuperset(found):
            return dict.fromkeys(sorted(told), True)
        return dict.fromkeys(found, False)

    def _made(self, value: Value) -> list[str]:
        """Of `Class(…)`: the class."""
        if not isinstance(value.node, ast.Call):
            return []
        named = self.values.named(value.node.func, value.where)
        return [name for name in named if name in self.values.index.classes]

    def methods(self, node: ast.expr, where: Where) -> Iterator[Target]:
        """First-party functions that the expression names."""
        found = self.values.functions(node, where)
        named = (self._method(self.values.index.functions[id_], node, where) for id_ in found)
        yield from dict.fromkeys(_undecided([target for targets in named for target in targets]))

    def _from_call(self, node: ast.Call, where: Where) -> Iterator[Target]:
        named = self.values.named(node.func, where)
        if (
            any(short(name) in ("functools.partial", "functools.partialmethod") for name in named)
            and node.args
        ):
            given = frozenset(k.arg for k in node.keywords if k.arg)
            for target in self.of(node.args[0], where):
                yield replace(
                    target,
                    given=target.given | given | self._positional(target, len(node.args) - 1),
                )
            return
        for name in named:
            if name in self.values.index.classes or (
                ":" not in name and name.rpartition(".")[2][:1].isupper()
            ):
                yield from self._instance(name, exact=True)
        if not named:
            for class_ in self.values.classes(node, where):
                yield from self._instance(class_)

    def _positional(self, target: Target, count: int) -> frozenset[str]:
        return frozenset(parameter.arg for parameter, _, _ in self.parameters(target)[:count])

    def _instance(self, class_: str, exact: bool = False) -> Iterator[Target]:
        method = self.values.method(class_, "__call__")
        if method is not None:
            target = self.function(method, bound=True)
            yield replace(target, instance=class_, receiver=class_, exact=exact)
            return
        for root in self.values.roots(class_):
            if ":" not in root:
                yield Target(f"{root}.__call__", instance=root)
                return

    def function(self, function: Def, *, bound: bool = False) -> Target:
        kind, by = self.kind(function), ""
        if kind in ("sync", "generator"):
            by = self._async_wrapper(function)
        is_method = function.in_class and not bound and not is_static(function.node)
        return Target(
            function.id,
            "async" if by else kind,
            function,
            is_method=is_method,
            bound=bound,
            made_async_by=by,
        )

    def on(self, class_: str, method: Def) -> Target:
        """A method that is called on an object of exactly this class."""
        return replace(self.function(method, bound=True), receiver=class_, exact=True)

    def constructor(self, class_: Class) -> Target:
        method = self.values.method(class_.id, "__init__")
        id_ = method.id if method else class_.id
        return Target(id_, "class", method, made=class_, bound=True, receiver=class_.id, exact=True)

    def kind(self, function: Def) -> str:
        known = self.functions.get(function.id)
        if known is None:
            return "async" if isinstance(function.node, ast.AsyncFunctionDef) else "sync"
        if known.is_generator:
            return "async generator" if known.is_async else "generator"
        return "async" if known.is_async else "sync"

    def _async_wrapper(self, function: Def) -> str:
        """The decorator that makes an async function of a plain one; empty: none does."""
        if isinstance(function.node, ast.Lambda):
            return ""
        for decorator in function.node.decorator_list:
            is_factory = isinstance(decorator, ast.Call)
            named = func_of(decorator)
            for id_ in self.values.functions(named, function.where):
                inner = self.returned(self.values.index.functions[id_])
                if is_factory and inner:
                    inner = [w for f in inner for w in self.returned(f)]
                if any(isinstance(w.node, ast.AsyncFunctionDef) for w in inner):
                    return written(named)
        return ""

    def returned(self, function: Def) -> list[Def]:
        """Functions defined in a function that it returns."""
        found = []
        for value in self.values.returned(function):
            if isinstance(value.node, ast.Name):
                id_ = self.values.defined(value.node.id, value.where)
                if id_ in self.values.index.functions:
                    found.append(self.values.index.functions[id_])
        return found

    def parameters(self, target: Target) -> list[Parameter]:
        """What a caller has to give: of a class what its constructor takes."""
        found: list[Parameter] = []
        if target.function is not None:
            where = target.function.where
            found = [(p, d, where) for p, d in parameters_of(target.function.node.args)]
            found = found[1:] if target.bound or target.is_method else found
        elif target.made is not None:
            found = self.fields(target.made)
        return [p for p in found if p[0].arg not in target.given]

    def fields(self, class_: Class) -> list[Parameter]:
        """Of a dataclass or model without a constructor: its annotated names, those of bases first."""
        found: dict[str, Parameter] = {}
        for one in reversed(self.values.lineage(class_.id)):
            for statement in one.node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                    name = ast.copy_location(
                        ast.arg(statement.target.id, statement.annotation), statement
                    )
                    found[name.arg] = name, statement.value, one.inside
        return list(found.values())

    def place_of(self, target: Target) -> tuple[str, int] | None:
        """File and line of a first-party function or class."""
        defined = target.function or target.made
        if defined is None:
            return None
        return self.values.index.modules[defined.where.module].file, defined.node.lineno

    def called(self, func: ast.expr, where: Where) -> set[str]:
        """What is called: dotted names, for methods with the foreign class of the object."""
        found = {name for name in self.values.named(func, where) if ":" not in name}
        if isinstance(func, ast.Attribute) and not found:
            for class_ in self.classes(func.value, where):
                found |= {f"{root}.{func.attr}" for root in self.values.roots(class_)}
        return found

    def classes(self, node: ast.expr, where: Where) -> set[str]:
        """What the expression is an instance of, by its type or by how it was made."""
        found = set(self.values.classes(node, where))
        if not found:
            for value in self.values.of(node, where):
                if isinstance(value.node, ast.Call):
                    found |= set(self.values.named(value.node.func, value.where))
        return found


def runs(kind: str, target: Target) -> Runs:
    """Where a step of this kind runs its function, and why."""
    fixed = STEPS.get((kind, ""))
    if fixed is not None:
        return fixed
    if target.made_async_by:
        return Runs(
            Place.LOOP,
            f"{target.made_async_by} wraps it in an async function, which runs on the loop",
        )
    known = STEPS.get((kind, target.kind))
    if known is not None:
        return known
    if short(target.instance) in ASYNC_CALLABLES:
        return Runs(
            Place.LOOP, f"{short(target.instance)} is an async callable, which runs on the loop"
        )
    return Runs(Place.UNKNOWN, f"it is not known whether {target.id} is async")


def stepped(
    kind: str, target: Target, file: str, line: int, depth: int = 0, ran: Runs | None = None
) -> Step:
    """What a request, or what comes after it, runs of a target."""
    ran = ran or runs(kind, target)
    return Step(
        kind, target.id, ran.place, ran.why, file, line, depth, target.receiver, target.exact
    )


def _undecided(found: list[Target]) -> list[Target]:
    """One method on objects of several classes: which one it is, the code does not say."""
    receivers = {(each.id, each.receiver) for each in found}
    many = Counter(id_ for id_, _ in receivers)
    return [
        replace(each, receiver="", exact=False) if many[each.id] > 1 else each for each in found
    ]


def _is_bound(function: Def, node: ast.expr) -> bool:
    """A method that is taken from an object, and not from its class."""
    if (
        not function.in_class
        or not isinstance(node, ast.Attribute)
        or isinstance(function.node, ast.Lambda)
    ):
        return False
    marks = {written(d) for d in function.node.decorator_list}
    if "staticmethod" in marks:
        return False
    if "classmethod" in marks:
        return True
    return not last_name(node.value)[:1].isupper()
