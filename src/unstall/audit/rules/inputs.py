"""US703, US207, US208: collections that nobody bounds, in and out."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Class, Def, own_nodes
from unstall.audit.entrances_syntax import last_name
from unstall.audit.entrances_table import MODELS
from unstall.audit.ir import Entrance, Place
from unstall.audit.many_declared import bound, has_few_keys
from unstall.audit.rules.bodies import BODY_METHODS, collection, parameters
from unstall.audit.rules.subject import Spot, Subject, Way, found, shown
from unstall.model.finding import Confidence, Finding

_NO_INPUT = frozenset({"PrivateAttr", "Relationship"})
"""Fields with such a value are filled by no request."""


def check_models(subject: Subject) -> Iterator[Finding]:
    """US703"""
    for class_, ways in _body_models(subject).items():
        known = subject.index.classes[class_]
        fields = [
            name
            for name, annotation, value in _fields(known)
            if _is_unbounded(subject, class_, annotation, value)
        ]
        free = [name for name in fields if name not in _validated(known)]
        if free:
            spot = Spot(
                subject.module(known.where).file, known.node.lineno, shown(class_), shown(class_)
            )
            because = f"no bound on {', '.join(free)}"
            yield found("US703", spot, because, ways=ways, confidence=Confidence.POSSIBLE)


def _body_models(subject: Subject) -> dict[str, list[Way]]:
    models: dict[str, list[Way]] = {}
    for entrance in subject.program.entrances:
        if entrance.kind != "route" or not entrance.name.startswith(BODY_METHODS):
            continue
        for _, annotation, where in parameters(subject, entrance):
            for class_ in subject.names.name_of(where.where.module, where.where.scope, annotation):
                if class_ in subject.index.classes and not MODELS.isdisjoint(
                    subject.lineage(class_)
                ):
                    models.setdefault(class_, []).append(Way(entrance, entrance.place))
    return models


def _fields(class_: Class) -> Iterator[tuple[str, ast.expr, ast.expr | None]]:
    for statement in class_.node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, statement.annotation, statement.value


def _is_unbounded(
    subject: Subject, inside: str, annotation: ast.expr, value: ast.expr | None
) -> bool:
    """A field of a class or a parameter of a function, by the id of that."""
    types = subject.worked.walk.types
    scope = types.project.scope(inside)
    return (
        collection(annotation)
        and bound(annotation) is None
        and bound(value) is None
        and not (isinstance(value, ast.Call) and last_name(value.func) in _NO_INPUT)
        and not (scope is not None and has_few_keys(types, scope, annotation))
    )


def _validated(class_: Class) -> set[str]:
    return {
        argument.value
        for node in class_.node.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }


def check_loops(subject: Subject) -> Iterator[Finding]:
    """US207"""
    for entrance in subject.program.entrances:
        definition = subject.index.functions.get(entrance.function)
        if entrance.kind != "route" or entrance.place is not Place.LOOP or definition is None:
            continue
        free = set(_free_inputs(subject, entrance))
        body = definition.node.body
        for loop, depth in _loops(body if isinstance(body, list) else [], free, 0):
            spot = Spot(entrance.file, loop.lineno, shown(entrance.function), "for")
            because = "it goes over what the request sent, which has no bound"
            because += ", for each of the same" if depth > 1 else ""
            confidence = Confidence.LIKELY if depth > 1 else Confidence.POSSIBLE
            yield found(
                "US207", spot, because, ways=[Way(entrance, Place.LOOP)], confidence=confidence
            )


def _free_inputs(subject: Subject, entrance: Entrance) -> Iterator[str]:
    """Expressions of the body that hold a collection without bound: `batch.points`, `ids`."""
    for name, annotation, definition in parameters(subject, entrance):
        if entrance.name.startswith(BODY_METHODS) and _is_unbounded(
            subject, entrance.function, annotation, _default(definition, name)
        ):
            yield name
        for class_ in subject.names.name_of(
            definition.where.module, definition.where.scope, annotation
        ):
            known = subject.index.classes.get(class_)
            if known is not None and not MODELS.isdisjoint(subject.lineage(class_)):
                for field, said, value in _fields(known):
                    if _is_unbounded(subject, class_, said, value):
                        yield f"{name}.{field}"


def _default(definition: Def, name: str) -> ast.expr | None:
    arguments = definition.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(
        zip(reversed([a.arg for a in positional]), reversed(arguments.defaults), strict=False)
    )
    pairs += [
        (a.arg, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d
    ]
    said = [
        a.annotation for a in (*positional, *arguments.kwonlyargs) if a.arg == name and a.annotation
    ]
    return dict(pairs).get(name) or (said[0] if said else None)


def _loops(
    body: list[ast.stmt], free: set[str], depth: int
) -> Iterator[tuple[ast.expr | ast.stmt, int]]:
    """Outermost loops over free inputs, with how many of them are nested; those that await let others in."""
    for statement in body:
        for node, _ in own_nodes([statement]):
            if isinstance(node, ast.For) and _is_over(node.iter, free):
                inside = [n for n, _ in own_nodes(node.body)]
                if not any(isinstance(n, ast.Await | ast.AsyncFor | ast.AsyncWith) for n in inside):
                    nested = any(isinstance(n, ast.For) and _is_over(n.iter, free) for n in inside)
                    nested |= any(
                        isinstance(n, ast.comprehension) and _is_over(n.iter, free) for n in inside
                    )
                    yield node, depth + 1 + nested
                break
            if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                over = sum(_is_over(part.iter, free) for part in node.generators)
                if over:
                    yield node, depth + over
                    break


def _is_over(expression: ast.expr, free: set[str]) -> bool:
    match expression:
        case ast.Call(
            func=ast.Name(id="enumerate" | "sorted" | "reversed" | "set"), args=[first, *_]
        ):
            return _is_over(first, free)
        case ast.Call(func=ast.Attribute(value=value, attr="items" | "values" | "keys"), args=[]):
            return _is_over(value, free)
        case _:
            return ast.unparse(expression) in free


def check_responses(subject: Subject) -> Iterator[Finding]:
    """US208"""
    for entrance in subject.program.entrances:
        definition = subject.index.functions.get(entrance.function)
        if (
            entrance.kind != "route"
            or definition is None
            or isinstance(definition.node, ast.Lambda)
        ):
            continue
        node = definition.node
        typed = node.returns is not None or any(
            "response_model" in ast.unparse(d) for d in node.decorator_list
        )
        if typed or ".limit(" in ast.unparse(node):
            continue
        for inner, _ in own_nodes(node.body):
            if isinstance(inner, ast.Return) and inner.value is not None and _is_all(inner.value):
                spot = Spot(
                    entrance.file,
                    inner.lineno,
                    shown(entrance.function),
                    ast.unparse(inner.value)[:60],
                )
                because = "it returns all rows, without a limit and without a response model"
                way = Way(entrance, Place.LOOP)
                yield found("US208", spot, because, ways=[way], confidence=Confidence.POSSIBLE)


def _is_all(expression: ast.expr) -> bool:
    match expression:
        case ast.Call(func=ast.Attribute(attr="all" | "fetchall"), args=[]):
            return True
        case ast.Call(func=ast.Name(id="list"), args=[inner]) | ast.Await(value=inner):
            return _is_all(inner)
        case ast.ListComp(generators=[ast.comprehension(iter=inner)]):
            return _is_all(inner)
        case _:
            return False
