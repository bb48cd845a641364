"""US504: retries without bound or pause."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstall.audit.entrances_index import Class, Def, own_nodes
from unstall.audit.rules.subject import Spot, Subject, found, shown
from unstall.model.finding import Confidence, Finding

BOUNDS = {
    "tenacity.retry": ("stop",),
    "tenacity.Retrying": ("stop",),
    "tenacity.AsyncRetrying": ("stop",),
    "retrying.retry": ("stop_max_attempt_number", "stop_max_delay", "stop_func"),
    "backoff.on_exception": ("max_tries", "max_time"),
    "backoff.on_predicate": ("max_tries", "max_time"),
    "retry.retry": ("tries",),
    "retry.api.retry": ("tries",),
}
"""Arguments of which one bounds the attempts."""


def check(subject: Subject) -> Iterator[Finding]:
    for decorator, made in subject.index.decorators:
        yield from _decorated(subject, decorator, made)
    for use, name in subject.calls(("tenacity.Retrying", "tenacity.AsyncRetrying")):
        ways = subject.requests_to(use)
        if ways and not _is_bounded(use.call, name):
            spot = subject.spot(use.where, use.call, name)
            yield found("US504", spot, "no stop is given: it tries for ever", ways=ways)
    for module, loop in subject.shapes.endless:
        around = subject.function_at(module, loop.lineno) if _is_hasty(loop) else None
        ways = subject.requests(around.id) if around else ()
        if around and ways:
            spot = Spot(module.file, loop.lineno, shown(around.id), "while True")
            because = "it tries again at once after an error, without a bound"
            yield found("US504", spot, because, ways=ways, confidence=Confidence.LIKELY)


def _decorated(subject: Subject, decorator: ast.expr, made: Def | Class) -> Iterator[Finding]:
    bare = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = next((n for n in subject.targets(made.where, bare) if n in BOUNDS), None)
    ways = subject.requests(made.id)
    if (
        name is None
        or not ways
        or (isinstance(decorator, ast.Call) and _is_bounded(decorator, name))
    ):
        return
    spot = Spot(subject.module(made.where).file, decorator.lineno, shown(made.id), name)
    yield found(
        "US504", spot, f"no {' or '.join(BOUNDS[name])} is given: it tries for ever", ways=ways
    )


def _is_bounded(call: ast.Call, name: str) -> bool:
    return any(keyword.arg is None or keyword.arg in BOUNDS[name] for keyword in call.keywords)


def _is_hasty(loop: ast.While) -> bool:
    attempts = [each for each in loop.body if isinstance(each, ast.Try)]
    return len(attempts) == len(loop.body) == 1 and _goes_on(attempts[0])


def _goes_on(attempt: ast.Try) -> bool:
    """It ends when it works, and begins anew at once when it does not."""
    ends = [*attempt.body, *attempt.orelse]
    if not any(isinstance(node, ast.Return | ast.Break) for node, _ in own_nodes(ends)):
        return False
    after = [statement for handler in attempt.handlers for statement in handler.body]
    return not any(_stops_or_waits(node) for node, _ in own_nodes([*after, *attempt.finalbody]))


def _stops_or_waits(node: ast.AST) -> bool:
    if isinstance(node, ast.Return | ast.Break | ast.Raise | ast.Await | ast.AugAssign):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return any(
        word in name.lower() for word in ("sleep", "wait", "backoff", "exit", "abort", "fail")
    )
