"""US701, US702: bodies and uploads that nobody bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Use
from unstall.audit.entrances_table import MODELS
from unstall.audit.ir import Entrance, Place
from unstall.audit.rules.arguments import argument, number
from unstall.audit.rules.bodies import BODY_METHODS, collection, parameters
from unstall.audit.rules.subject import Subject, found
from unstall.model.finding import Confidence, Finding

APPS = frozenset(("fastapi.FastAPI", "starlette.applications.Starlette"))
UPLOADS = frozenset(("fastapi.UploadFile", "starlette.datastructures.UploadFile"))
READS = frozenset(("body", "json", "form"))


def has_body_limit(subject: Subject) -> bool:
    """Anywhere: on an app, a router, a route, in a middleware that reads Content-Length, or in a proxy."""
    return subject.deployment.limits_bodies or subject.shapes.limits_bodies


def check_body_limit(subject: Subject) -> Iterator[Finding]:
    """US701"""
    if has_body_limit(subject) or not any(
        _takes_body(subject, e) for e in subject.program.entrances
    ):
        return
    for use, name in subject.calls(APPS):
        if not use.in_main and not _is_mounted(subject, use):
            because = "no max_body_size is given, and no middleware or proxy here limits bodies"
            spot = subject.spot(use.where, use.call, name)
            yield found("US701", spot, because, confidence=Confidence.LIKELY, runs_on=Place.LOOP)


def _is_mounted(subject: Subject, use: Use) -> bool:
    """Below another application, whose limit holds for it."""
    statement = subject.shapes.statements.get(id(use.call))
    names = statement.targets if isinstance(statement, ast.Assign) else []
    own = {node.id for node in names if isinstance(node, ast.Name)}
    mounts = (
        each.call for each in subject.index.uses("mount") if each.where.module == use.where.module
    )
    return any(
        isinstance(argument, ast.Name) and argument.id in own
        for call in mounts
        for argument in call.args
    )


def _takes_body(subject: Subject, entrance: Entrance) -> bool:
    """A model, a collection or an upload is among its parameters, or it reads the request."""
    definition = subject.index.functions.get(entrance.function)
    if entrance.kind != "route" or not entrance.name.startswith(BODY_METHODS) or definition is None:
        return False
    for _, annotation, where in parameters(subject, entrance):
        if isinstance(annotation, ast.Subscript | ast.Name) and collection(annotation):
            return True
        for name in subject.names.name_of(where.where.module, where.where.scope, annotation):
            if not (MODELS | UPLOADS).isdisjoint(subject.lineage(name)):
                return True
    nodes = subject.index.nodes_of(entrance.function)
    reads = (node.value for node in nodes if isinstance(node, ast.Await))
    return any(
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in READS
        for call in reads
    )


def check_uploads(subject: Subject) -> Iterator[Finding]:
    """US702"""
    if has_body_limit(subject):
        return
    for use in subject.index.uses("read"):
        call, func = use.call, use.call.func
        if not isinstance(func, ast.Attribute) or not _reads_all(call):
            continue
        receiver = func.value
        if isinstance(receiver, ast.Attribute) and receiver.attr == "file":
            receiver = receiver.value
        ways = subject.requests_to(use)
        if (
            ways
            and not UPLOADS.isdisjoint(subject.types(use.where, receiver))
            and not _asks_size(subject, use)
        ):
            because = "the whole upload is read into memory, and nothing here bounds its size"
            spot = subject.spot(use.where, call, ast.unparse(func))
            yield found("US702", spot, because, ways=ways, confidence=Confidence.LIKELY)


def _reads_all(call: ast.Call) -> bool:
    size = argument(call, "size", 0)
    return size is None or number(size) == -1


def _asks_size(subject: Subject, use: Use) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr in ("size", "content_length")
        for node in subject.index.nodes_of(use.where.scope)
    )
