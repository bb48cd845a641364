"""Dependency trees as FastAPI builds them, and the order in which they run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Where
from unstall.audit.entrances_syntax import argument, written
from unstall.audit.entrances_table import ASYNC_CALLABLES, DEPENDS, short
from unstall.audit.entrances_targets import Parameter, Target, Targets, stepped
from unstall.audit.entrances_texts import texts_of
from unstall.audit.entrances_values import Value
from unstall.audit.ir import Step

_ANNOTATED = frozenset({"typing.Annotated", "typing_extensions.Annotated"})


@dataclass(frozen=True, slots=True)
class Dependency:
    """One call that FastAPI makes for a route, with those it needs itself."""

    target: Target
    name: str = ""
    """Of the parameter; empty: of a list of dependencies."""
    file: str = ""
    line: int = 0
    """Where it is asked for."""
    use_cache: bool = True
    scopes: tuple[str, ...] = ()
    uses_scopes: bool = False
    """Then FastAPI's cache tells calls with other scopes apart."""
    children: tuple[Dependency, ...] = ()


@dataclass(slots=True)
class Trees:
    """`views` are class-based views, whose instances FastAPI makes like dependencies."""

    targets: Targets
    views: frozenset[str] = frozenset()
    _open: list[Target] = field(default_factory=list)

    def of_parameters(self, target: Target) -> tuple[Dependency, ...]:
        """What the parameters of a function ask for, in their order."""
        if target in self._open:  # FastAPI would recurse for ever: such an app does not start
            return ()
        self._open.append(target)
        try:
            found: list[Dependency] = []
            if target.is_method:
                found += self._of_view(target)
            for parameter in self._parameters(target):
                found += self._of_parameter(parameter)
            return tuple(found)
        finally:
            self._open.pop()

    def of_list(self, items: Iterable[Value]) -> tuple[Dependency, ...]:
        """Of `dependencies=[…]`."""
        values = self.targets.values
        return tuple(
            dependency
            for item in items
            for value in values.of(item.node, item.where)
            for dependency in self._of_depends(value, "", None)
        )

    def _parameters(self, target: Target) -> list[Parameter]:
        parameters = self.targets.parameters(target)
        if target.made is not None and target.made.id in self.views and target.function:
            parameters += self.targets.fields(target.made)
        return parameters

    def _of_view(self, target: Target) -> Iterator[Dependency]:
        """A method of a class-based view: its `self` is made first."""
        assert target.function is not None
        class_ = self.targets.values.index.class_of(target.function.where)
        if class_ is None or class_.id not in self.views:
            return
        made = self.targets.constructor(class_)
        children = self.of_parameters(made)
        yield Dependency(
            made, "self", self._file(class_.where), class_.node.lineno, children=children
        )

    def _of_parameter(self, parameter: Parameter) -> Iterator[Dependency]:
        argument_, default, where = parameter
        annotation, extras = self._annotation(argument_.annotation, where)
        chosen: Value | None = None
        for extra in extras:
            if self._is_depends(extra):
                chosen = extra
        if default is not None:
            for value in self.targets.values.of(default, where):
                if self._is_depends(value):
                    chosen = value
        if chosen is not None:
            yield from self._of_depends(chosen, argument_.arg, annotation)

    def _annotation(self, node: ast.expr | None, where: Where) -> tuple[Value | None, list[Value]]:
        """The type, and what `Annotated` adds to it; through aliases."""
        if node is None:
            return None, []
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.copy_location(ast.parse(node.value, mode="eval").body, node)
            except SyntaxError:
                return None, []
        values = self.targets.values
        if isinstance(node, ast.Subscript) and self._is_annotated(node.value, where):
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            base, extras = self._annotation(parts[0], where)
            return base, extras + [v for part in parts[1:] for v in values.of(part, where)]
        for value in values.of(node, where):
            if value.node is not node:
                return self._annotation(value.node, value.where)
        return Value(node, where), []

    def _is_annotated(self, node: ast.expr, where: Where) -> bool:
        named = self.targets.values.named(node, where)
        return any(n in _ANNOTATED for n in named) or (
            not named and written(node).endswith("Annotated")
        )

    def _is_depends(self, value: Value) -> bool:
        return isinstance(value.node, ast.Call) and any(
            short(name) in DEPENDS
            for name in self.targets.values.named(value.node.func, value.where)
        )

    def _of_depends(
        self, value: Value, name: str, annotation: Value | None
    ) -> Iterator[Dependency]:
        if not self._is_depends(value):
            return
        call, where = value.node, value.where
        assert isinstance(call, ast.Call)
        wanted = argument(call, 0, "dependency")
        asked = Value(wanted, where) if wanted is not None else annotation
        if asked is None:
            return
        cached = argument(call, None, "use_cache")
        scopes = argument(call, 1, "scopes")
        texts = self._scopes(scopes, where)
        found = self.targets.of(asked.node, asked.where) or (Target(written(asked.node)),)
        for target in found:
            file, line = self.targets.place_of(target) or (self._file(where), call.lineno)
            children = self.of_parameters(target)
            yield Dependency(
                target,
                name,
                file,
                line,
                not (isinstance(cached, ast.Constant) and cached.value is False),
                texts,
                bool(texts)
                or self._asks_for_scopes(target)
                or any(c.uses_scopes for c in children),
                children,
            )

    def _asks_for_scopes(self, target: Target) -> bool:
        roots = self.targets.values.roots(target.instance) if target.instance else ()
        return any(short(root) in ASYNC_CALLABLES for root in roots) or any(
            short(name) == "fastapi.SecurityScopes"
            for parameter, _, where in self.targets.parameters(target)
            if parameter.annotation is not None
            for name in self.targets.values.named(parameter.annotation, where)
        )

    def _scopes(self, node: ast.expr | None, where: Where) -> tuple[str, ...]:
        if node is None:
            return ()
        values = self.targets.values
        return tuple(
            t
            for item in values.elements(node, where)
            for t in texts_of(values, item.node, item.where)[:1]
        )

    def _file(self, where: Where) -> str:
        return self.targets.values.index.modules[where.module].file


def steps(dependencies: Iterable[Dependency]) -> tuple[Step, ...]:
    """In the order of running: below first, and what is cached once."""
    found: list[Step] = []
    _run(dependencies, (), 0, set(), found)
    return tuple(found)


def _run(
    dependencies: Iterable[Dependency],
    scopes: tuple[str, ...],
    depth: int,
    done: set[tuple[object, ...]],
    found: list[Step],
) -> None:
    for dependency in dependencies:
        all_scopes = (*scopes, *dependency.scopes)
        _run(dependency.children, all_scopes, depth + 1, done, found)
        key = (dependency.target, tuple(sorted(set(all_scopes))) if dependency.uses_scopes else ())
        if dependency.use_cache and key in done:
            continue
        done.add(key)
        found.append(_step(dependency, depth))


def _step(dependency: Dependency, depth: int) -> Step:
    return stepped("dependency", dependency.target, dependency.file, dependency.line, depth)
