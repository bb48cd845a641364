"""What models do for a route: FastAPI validates and serialises on the loop, whatever the endpoint is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Class, Def, Where
from unstall.audit.entrances_syntax import func_of, last_name
from unstall.audit.entrances_table import MODELS, short
from unstall.audit.entrances_targets import Target, Targets
from unstall.audit.fastapi_dependencies import Dependency

_VALIDATED = MODELS | {"pydantic_settings.BaseSettings"}
_VALIDATORS = frozenset("field_validator model_validator validator root_validator".split())
_SERIALISERS = frozenset("computed_field field_serializer model_serializer".split())


@dataclass(slots=True)
class Models:
    targets: Targets
    _known: dict[tuple[str, frozenset[str]], tuple[Def, ...]] = field(default_factory=dict)

    def validators(self, endpoint: Target, dependencies: tuple[Dependency, ...]) -> tuple[Def, ...]:
        """Of all models in the parameters of an endpoint and of what it depends on, each once."""
        found: dict[str, Def] = {}
        for target in (*_targets(dependencies), endpoint):
            for parameter, _, where in self.targets.parameters(target):
                for class_ in self._classes(parameter.annotation, where):
                    found.update((one.id, one) for one in self._of(class_, _VALIDATORS))
        return tuple(found.values())

    def serialisers(self, named: Iterable[ast.expr], where: Where) -> tuple[Def, ...]:
        """Of all models in what a route says that it gives, or makes to give it, each once."""
        found: dict[str, Def] = {}
        for each in named:
            for class_ in self._classes(each, where):
                found.update((one.id, one) for one in self._of(class_, _SERIALISERS))
        return tuple(found.values())

    def _classes(self, annotation: ast.expr | None, where: Where) -> Iterator[Class]:
        """The first-party models that an annotation names, anywhere in it."""
        for node in ast.walk(annotation) if annotation is not None else ():
            if isinstance(node, ast.Name | ast.Attribute):
                for name in self.targets.values.named(node, where):
                    class_ = self.targets.values.index.classes.get(name)
                    if class_ is not None and self._is_model(name):
                        yield class_

    def _is_model(self, class_: str) -> bool:
        return any(short(root) in _VALIDATED for root in self.targets.values.roots(class_))

    def _of(self, class_: Class, decorators: frozenset[str]) -> tuple[Def, ...]:
        """Functions of a model, of its bases, and of the models in its fields, that are so decorated."""
        key = class_.id, decorators
        known = self._known.get(key)
        if known is None:
            self._known[key] = ()  # a model may hold itself
            known = self._known[key] = tuple(self._read(class_, decorators))
        return known

    def _read(self, class_: Class, decorators: frozenset[str]) -> Iterator[Def]:
        for one in self.targets.values.lineage(class_.id):
            for statement in one.node.body:
                given: ast.expr | None = None
                if isinstance(statement, ast.AnnAssign):
                    given = statement.annotation
                elif isinstance(statement, ast.FunctionDef) and _is_one(statement, decorators):
                    yield self.targets.values.index.functions[f"{one.id}.{statement.name}"]
                    given = statement.returns if decorators is _SERIALISERS else None
                for inner in self._classes(given, one.inside):
                    yield from self._of(inner, decorators)


def _is_one(function: ast.FunctionDef, decorators: frozenset[str]) -> bool:
    return any(last_name(func_of(each)) in decorators for each in function.decorator_list)


def _targets(dependencies: tuple[Dependency, ...]) -> Iterator[Target]:
    for dependency in dependencies:
        yield from _targets(dependency.children)
        yield dependency.target
