"""Validators of the models that a route takes in: FastAPI runs them on the loop, whatever the endpoint is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from unstall.audit.entrances_index import Class, Def, Where
from unstall.audit.entrances_syntax import func_of, last_name
from unstall.audit.entrances_table import short
from unstall.audit.entrances_targets import Target, Targets
from unstall.audit.fastapi_dependencies import Dependency

_MODELS = frozenset(
    {
        "pydantic.BaseModel",
        "pydantic.RootModel",
        "sqlmodel.SQLModel",
        "pydantic_settings.BaseSettings",
    }
)
_VALIDATORS = frozenset("field_validator model_validator validator root_validator".split())


@dataclass(slots=True)
class Models:
    targets: Targets
    _known: dict[str, tuple[Def, ...]] = field(default_factory=dict)

    def validators(self, endpoint: Target, dependencies: tuple[Dependency, ...]) -> tuple[Def, ...]:
        """Of all models in the parameters of an endpoint and of what it depends on, each once."""
        found: dict[str, Def] = {}
        for target in (*_targets(dependencies), endpoint):
            for parameter, _, where in self.targets.parameters(target):
                for class_ in self._classes(parameter.annotation, where):
                    found.update((one.id, one) for one in self._of(class_))
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
        return any(short(root) in _MODELS for root in self.targets.values.roots(class_))

    def _of(self, class_: Class) -> tuple[Def, ...]:
        """Validators of a model, of its bases, and of the models in its fields."""
        known = self._known.get(class_.id)
        if known is None:
            self._known[class_.id] = ()  # a model may hold itself
            known = self._known[class_.id] = tuple(self._read(class_))
        return known

    def _read(self, class_: Class) -> Iterator[Def]:
        for one in self.targets.values.lineage(class_.id):
            for statement in one.node.body:
                if isinstance(statement, ast.AnnAssign):
                    for inner in self._classes(statement.annotation, one.inside):
                        yield from self._of(inner)
                elif isinstance(statement, ast.FunctionDef) and _validates(statement):
                    yield self.targets.values.index.functions[f"{one.id}.{statement.name}"]


def _validates(function: ast.FunctionDef) -> bool:
    return any(last_name(func_of(d)) in _VALIDATORS for d in function.decorator_list)


def _targets(dependencies: tuple[Dependency, ...]) -> Iterator[Target]:
    for dependency in dependencies:
        yield from _targets(dependency.children)
        yield dependency.target
