"""US601 to US603: work that a request starts and leaves behind."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from unstall.audit.calls import confidence_of
from unstall.audit.entrances_index import Use, own_nodes
from unstall.audit.ir import Place
from unstall.audit.rules.arguments import argument
from unstall.audit.rules.subject import Subject, Way, found
from unstall.audit.rules.walking import is_long
from unstall.model.finding import Confidence, Finding

MAKERS = frozenset(
    "asyncio.create_task asyncio.ensure_future asyncio.AbstractEventLoop.create_task "
    "asyncio.BaseEventLoop.create_task".split()
)


def check_lost(subject: Subject) -> Iterator[Finding]:
    """US601"""
    for use, name in subject.calls(MAKERS, everywhere=True):
        ways = subject.calling(use)
        if use.in_main or (ways and all(way.place is Place.OFFLINE for way in ways)):
            continue
        because = _lost(subject, use)
        if because:
            yield found(
                "US601",
                subject.spot(use.where, use.call, name),
                because,
                ways=ways,
                confidence=Confidence.CERTAIN if ways else Confidence.POSSIBLE,
                runs_on=_place_of_task(ways),
            )


def _place_of_task(ways: Sequence[Way]) -> Place | None:
    """A task lives on the loop, whoever starts it; None: where that is."""
    if not ways:
        return Place.UNKNOWN
    return Place.LOOP if ways[0].place is Place.STARTUP else None


def _lost(subject: Subject, use: Use) -> str:
    """Why nobody has the task; empty: somebody does."""
    statement = subject.shapes.statements.get(id(use.call))
    if isinstance(statement, ast.Expr):
        return "its result is not kept, so nobody awaits it or sees its error"
    definition = subject.definition(use.where)
    if (
        not isinstance(statement, ast.Assign)
        or definition is None
        or isinstance(definition.node, ast.Lambda)
    ):
        return ""
    names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if len(names) != len(statement.targets) or _outlives(definition.node, names):
        return ""
    return f"{names[0]} is never used again, and is gone when the function returns"


def _outlives(function: ast.FunctionDef | ast.AsyncFunctionDef, names: list[str]) -> bool:
    """It is used somewhere, or the function stays: it yields, or goes round for ever."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
            return True
        if isinstance(node, ast.Global | ast.Nonlocal) and set(names) & set(node.names):
            return True
    stays = ast.Yield | ast.YieldFrom | ast.While
    return any(isinstance(node, stays) for node, _ in own_nodes(function.body))


ADDERS = {
    "starlette.background.BackgroundTasks.add_task": 0,
    "fastapi.BackgroundTasks.add_task": 0,
    "starlette.background.BackgroundTask": 0,
}


def check_background(subject: Subject) -> Iterator[Finding]:
    """US602. What blocks in an `async def` task is reported where it blocks."""
    for use, name in subject.calls(ADDERS):
        task = argument(use.call, "func", ADDERS[name])
        ways = subject.requests_to(use)
        if task is None or not ways:
            continue
        for target in subject.targets(use.where, task):
            function = subject.worked.functions.declared.get(target)
            if function is None or function.is_async:
                continue
            heavy = next(
                (
                    each
                    for start in subject.starts(target, Place.THREAD_POOL)
                    for each in subject.below(start)
                    if is_long(each[1])
                ),
                None,
            )
            if heavy is None:
                continue
            guess, hit = heavy
            because = (
                f"{hit.name} in it may take long, and holds one of the shared threads meanwhile"
            )
            spot = subject.spot(use.where, use.call, name)
            confidence = max(Confidence.LIKELY, confidence_of(guess), key=list(Confidence).index)
            yield found(
                "US602", spot, because, ways=ways, confidence=confidence, runs_on=Place.THREAD_POOL
            )
            break


PUBLISHERS = frozenset(
    """
    celery.app.task.Task.delay celery.app.task.Task.apply_async celery.Celery.send_task rq.Queue.enqueue
    rq.Queue.enqueue_call rq.Queue.enqueue_in rq.Queue.enqueue_at dramatiq.Actor.send
    dramatiq.Actor.send_with_options huey.Huey.enqueue kombu.Producer.publish
    kombu.messaging.Producer.publish
    """.split()
)
TASKS = frozenset(
    "celery.shared_task celery.Celery.task celery.task celery.app.base.Celery.task celery.app.shared_task "
    "dramatiq.actor".split()
)
"""Decorators that make a task of a function."""
SENDING = frozenset("delay apply_async send send_with_options".split())


def check_publish(subject: Subject) -> Iterator[Finding]:
    """US603: tasks by their decorators; what the catalog has a row for is found with all that blocks."""
    told = {id(hit.outside.seen.node) for _, hit in subject.hits(Place.LOOP)}
    published = dict[int, tuple[Use, str]]()
    for use, name in subject.calls(PUBLISHERS):
        published[id(use.call)] = use, name
    for use in subject.index.uses(*sorted(SENDING)):
        func = use.call.func
        if (
            id(use.call) not in published
            and isinstance(func, ast.Attribute)
            and _is_task(subject, use, func.value)
        ):
            published[id(use.call)] = use, ast.unparse(func)
    for use, name in published.values():
        ways = subject.requests_to(use, Place.LOOP)
        if ways and id(use.call) not in told and not _is_awaited(subject, use):
            because = "it connects to the broker and waits for it"
            yield found("US603", subject.spot(use.where, use.call, name), because, ways=ways)


def _is_task(subject: Subject, use: Use, expression: ast.expr) -> bool:
    for name in subject.names.name_of(use.where.module, use.where.scope, expression):
        definition = subject.index.functions.get(name)
        if definition is None or isinstance(definition.node, ast.Lambda):
            continue
        for decorator in definition.node.decorator_list:
            bare = decorator.func if isinstance(decorator, ast.Call) else decorator
            if not TASKS.isdisjoint(subject.targets(definition.where, bare)):
                return True
    return False


def _is_awaited(subject: Subject, use: Use) -> bool:
    return id(use.call) in subject.shapes.awaited
