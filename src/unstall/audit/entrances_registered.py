"""Functions that a call or decorator of the table hands to a loop, a thread pool or a command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unstall.audit.entrances_index import Class, Def, Index, Use, Where
from unstall.audit.entrances_syntax import argument, func_of, last_name
from unstall.audit.entrances_table import (
    DECORATED,
    ROWS,
    STEPS,
    SUBCLASSES,
    Methods,
    Row,
    Runs,
    short,
)
from unstall.audit.entrances_targets import Target, Targets, runs, stepped
from unstall.audit.entrances_texts import texts_of
from unstall.audit.entrances_values import Value
from unstall.audit.ir import Entrance, Place, Step

_ALIKE = frozenset("asyncio anyio faststream gradio taskiq".split())
"""Packages in which a method means the same whatever its class."""
_STREAMS = ("StreamingResponse", "EventSourceResponse", "ServerSentEventsResponse")


@dataclass(frozen=True, slots=True)
class Registered:
    """A function that is handed over, and by whom."""

    kind: str
    target: Target
    runs: Runs
    where: Where
    line: int
    name: str = ""
    """`GET /path` of a route; empty: the function's own."""
    is_decorated: bool = False
    """By its definition, not by a call that somebody has to make."""


def registered(targets: Targets) -> Iterator[Registered]:
    yield from _calls(targets)
    yield from _bare_decorators(targets)
    yield from _methods(targets)
    yield from _streams(targets)
    yield from _mains(targets)


def _calls(targets: Targets) -> Iterator[Registered]:
    index = targets.values.index
    for use in index.uses(*_names(index)):
        if not _hands_over(index, use):
            continue
        for row in _rows(targets, use.call.func, use.where):
            for target in _handed(targets, row, use):
                yield from _registered(targets, row, target, use.where, use.call)


def _names(index: Index) -> list[str]:
    """Of the rows whose package the project imports."""
    return [
        last
        for last, rows in ROWS.items()
        if any(row.package == "?" or row.package in index.imports for row in rows)
    ]


def _hands_over(index: Index, use: Use) -> bool:
    """Whether the call could give a function to a row of its name."""
    call = use.call
    decorates = id(call) in index.decorated or id(call) in index.applied
    return any(
        decorates
        if row.function == DECORATED
        else (len(call.args) > row.function or bool(call.keywords))
        and not (row.path and _is_no_path(call))
        for row in ROWS[last_name(call.func)]
        if row.package == "?" or row.package in index.imports
    )


def _is_no_path(call: ast.Call) -> bool:
    """`mapping.get("key", default)` is no route."""
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and not str(first.value).startswith("/")


def _bare_decorators(targets: Targets) -> Iterator[Registered]:
    """`@shared_task` without parentheses."""
    index = targets.values.index
    for node, made in index.decorators:
        if last_name(node) not in ROWS or not isinstance(made, Def) or index.is_test(made.where):
            continue
        for row in _rows(targets, node, made.where):
            if row.function == DECORATED:
                yield from _registered(targets, row, targets.function(made), made.where, node)


def _rows(targets: Targets, func: ast.expr, where: Where) -> list[Row]:
    """Rows for what is called; a method of something unknown has only those that begin with `?`."""
    last = last_name(func)
    called = {short(name) for name in targets.called(func, where)}
    found = [row for row in ROWS[last] if row.name in called]
    if found:
        return found
    packages = {name.partition(".")[0] for name in called if name.count(".") == 2} & _ALIKE
    if packages or not isinstance(func, ast.Attribute):
        return [row for row in ROWS[last] if row.package in packages][:1]
    if not _is_vague(targets, func, where, called):
        return []
    name = f"click.Group.{last}" if _is_command(targets, func.value, where) else f"?.{last}"
    return [row for row in ROWS[last] if row.name == name]


def _is_vague(targets: Targets, func: ast.Attribute, where: Where, called: set[str]) -> bool:
    """Whether the object's class is not known: only what it is an attribute of, or that it is awaited."""
    if any(class_ in targets.values.index.classes for class_ in targets.classes(func.value, where)):
        return False
    return all(name.startswith("types.") or name.count(".") > 2 for name in called)


def _is_command(targets: Targets, node: ast.expr, where: Where) -> bool:
    """A function that click made a group of."""
    for id_ in targets.values.functions(node, where):
        function = targets.values.index.functions[id_]
        for decorator in getattr(function.node, "decorator_list", ()):
            func = func_of(decorator)
            called = targets.called(func, function.where)
            if any(short(name).startswith(("click.", "asyncclick.")) for name in called):
                return True
            if isinstance(func, ast.Attribute) and func.attr == "group":
                return True
    return False


def _handed(targets: Targets, row: Row, use: Use) -> Iterator[Target]:
    index, call = targets.values.index, use.call
    if row.function == DECORATED:
        decorated, applied = index.decorated.get(id(call)), index.applied.get(id(call))
        if isinstance(decorated, Def):
            yield targets.function(decorated)
        elif applied is not None and applied.args:
            yield from targets.of(applied.args[0], use.where)
        return
    given = argument(call, row.function, "func", "fn", "coro", "target", "handler", "callback")
    if given is None:
        return
    yield from targets.of(given, use.where)
    yield from _coroutine(targets, given, use.where)


def _coroutine(targets: Targets, node: ast.expr, where: Where) -> Iterator[Target]:
    """The function whose coroutine, `f(…)`, is handed over."""
    for value in (Value(node, where), *targets.values.of(node, where)):
        if isinstance(value.node, ast.Call):
            for target in targets.methods(value.node.func, value.where):
                if target.function is not None and targets.kind(target.function) == "async":
                    yield target


def _registered(
    targets: Targets, row: Row, target: Target, where: Where, node: ast.expr
) -> Iterator[Registered]:
    call = node if isinstance(node, ast.Call) else None
    if target.function is None or target.kind == "class":
        return
    ran = row.on_async if target.kind.startswith("async") else row.on_sync
    offloads = argument(call, None, row.offloads_if) if call is not None else None
    if isinstance(offloads, ast.Constant) and offloads.value is True and target.kind == "sync":
        ran = Runs(Place.THREAD_POOL, f"{row.offloads_if}=True runs a plain def in a thread")
    if ran is not None:
        name = _route_name(targets, row, call, where)
        is_decorated = row.function == DECORATED
        yield Registered(row.kind, target, ran, where, node.lineno, name, is_decorated)


def _route_name(targets: Targets, row: Row, call: ast.Call | None, where: Where) -> str:
    if not row.path or call is None:
        return ""
    path = argument(call, 0, "path", "rule", "uri")
    texts = texts_of(targets.values, path, where) if path is not None else ("/",)
    verb = row.name.rpartition(".")[2].removeprefix("add_").upper() if row.path == "*" else row.path
    return f"{verb} {texts[0]}"


def _methods(targets: Targets) -> Iterator[Registered]:
    """Methods of first-party subclasses that a foreign owner calls."""
    index = targets.values.index
    for class_ in index.classes.values():
        if not class_.node.bases or index.is_test(class_.where):
            continue
        roots = {short(root) for root in targets.values.roots(class_.id)}
        for base in roots.intersection(SUBCLASSES):
            yield from _of_class(targets, class_, SUBCLASSES[base])


def _of_class(targets: Targets, class_: Class, methods: Methods) -> Iterator[Registered]:
    for statement in class_.node.body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if statement.name not in methods:
            continue
        target = targets.function(
            targets.values.index.functions[f"{class_.id}.{statement.name}"], bound=True
        )
        ran = methods.on_async if target.kind.startswith("async") else methods.on_sync
        yield Registered(methods.kind, target, ran, class_.where, statement.lineno)


def _streams(targets: Targets) -> Iterator[Registered]:
    """Generators that a response streams."""
    for use in targets.values.index.uses(*_STREAMS):
        given = argument(use.call, 0, "content")
        if given is None:
            continue
        for value in targets.values.of(given, use.where):
            if not isinstance(value.node, ast.Call):
                continue
            for target in targets.methods(value.node.func, value.where):
                if "generator" in target.kind:
                    yield Registered(
                        "stream", target, runs("stream", target), use.where, use.call.lineno
                    )


def _mains(targets: Targets) -> Iterator[Registered]:
    """What a program begins with, as long as it is no test."""
    ran = STEPS["offline", ""]
    for use, id_ in targets.values.mains():
        if not targets.values.index.is_test(use.where):
            target = targets.function(targets.values.index.functions[id_])
            yield Registered("offline", target, ran, use.where, use.call.lineno)


def entrance(targets: Targets, found: Registered) -> Entrance:
    place = targets.place_of(found.target) or (
        targets.values.index.modules[found.where.module].file,
        found.line,
    )
    kind = "task" if found.kind == "stream" else found.kind
    name = found.name or found.target.id.partition(":")[2]
    starter = found.where.scope if found.where.scope in targets.values.index.functions else ""
    by = (starter,) if starter and not found.is_decorated else ()
    target = found.target
    return Entrance(
        kind, name, target.id, found.runs.place, *place, by=by,
        receiver=target.receiver, exact=target.exact,
    )  # fmt: skip


def later_steps(targets: Targets, all_found: list[Registered]) -> dict[str, list[Step]]:
    """Background tasks and streams, by the function that hands them over."""
    found: dict[str, list[Step]] = {}
    for one in all_found:
        if one.kind not in ("background task", "stream") or not one.where.scope:
            continue
        place = targets.place_of(one.target) or (
            targets.values.index.modules[one.where.module].file,
            one.line,
        )
        step = stepped(one.kind, one.target, *place, ran=one.runs)
        giver = one.where.scope
        for id_ in dict.fromkeys((giver, giver.partition(".<locals>.")[0])):
            if step not in found.setdefault(id_, []):
                found[id_].append(step)
    return found
