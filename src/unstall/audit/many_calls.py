"""What calls give: listings, rows, requests, and what functions of the project return."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unstall.audit.many_bound import functions_of, made_with
from unstall.audit.many_names import (
    ASKED_OF_REQUESTS,
    FORMS,
    GIVES,
    HOLDS,
    PAIRS,
    PASSES_ON,
    READ_AS,
    READ_AS_METHODS,
    REQUESTS,
    ROWS,
    ROWS_OF_A_QUERY,
    RUNS,
    SURE_ROWS,
    TEXTS_OF_REQUESTS,
    UNMISTAKABLE,
    VIEWS,
    of_database,
)
from unstall.audit.many_origins import are_closed, is_installed
from unstall.audit.many_trail import TEXT, Call, Trail, part_of
from unstall.audit.scopes import Scope
from unstall.audit.types_callers import last_name
from unstall.audit.values import CLASS, EXTERNAL, MANY, Values

if TYPE_CHECKING:
    from unstall.audit.many import Many


def call(many: Many, scope: Scope, node: ast.Call, trail: Trail) -> str:
    targets = many.types.values(scope, node.func)
    written = last_name(node.func)
    if said := _called(many, scope, targets, written, node, trail):
        return said
    receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
    if written == "range":
        return many.any(scope, measured(*node.args), trail)
    if written == "islice":
        has_end = any(not _is_none(each) for each in node.args[1:])
        return "" if has_end else many.any(scope, node.args[:1], trail.somewhere())
    if written == "most_common" and node.args:
        return ""
    through = trail.second() if written in PAIRS else trail
    if written in VIEWS and receiver is not None:
        return many.any(scope, (receiver, *node.args), through)
    if written in HOLDS and receiver is not None:
        if written in FORMS and are_closed(many.types, many.types.known(scope, receiver)):
            return many.ask(scope, receiver, trail)
        part = part_of(node.args[0]) if node.args else None
        return many.ask(scope, receiver, trail.into(part))
    if written in RUNS:
        return _handed_on(many, scope, node, trail)
    return many.any(scope, node.args, through) if written in PASSES_ON else ""


def _called(
    many: Many, scope: Scope, targets: Values, written: str, node: ast.Call, trail: Trail
) -> str:
    """What the function gives that is called there."""
    names = {value.name for value in targets if value.kind == EXTERNAL}
    asked = ASKED_OF_REQUESTS + (TEXTS_OF_REQUESTS if TEXT in trail.held else ())
    if any(name.endswith(asked) for name in names):
        return REQUESTS
    if names & READ_AS or written in READ_AS_METHODS:
        return many.any(scope, node.args[:1], trail.into(TEXT))
    if not trail.inside:
        known = [GIVES[name] for name in sorted(names) if name in GIVES]
        if not names and written in UNMISTAKABLE:
            known = [UNMISTAKABLE[written]]
        if known:
            return "" if is_installed(many.types, scope, node) else known[0]
        if written in SURE_ROWS or (written in ROWS and any(map(of_database, names))):
            return ROWS_OF_A_QUERY
    else:
        for value in targets:
            if value.kind == CLASS and (said := made_with(many, value, scope, node, trail)):
                return said
    followed = calls_of(many, scope, targets, node)
    return next(filter(None, (given_by(many, each, trail) for each in followed)), "")


def calls_of(many: Many, scope: Scope, targets: Values, node: ast.Call) -> list[Call]:
    """The project's own functions that a call may be a call of."""
    names = dict.fromkeys(each for value in targets for each in functions_of(value))
    found = []
    for target in map(many.types.project.scope, names if len(names) <= MANY else ()):
        if target is not None:
            is_method = target.outer is not None and target.outer.kind == "class"
            has_receiver = is_method and not many.types.shape(target).is_static
            receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
            found.append(Call(target, scope, node, receiver, has_receiver))
    return found


def given_by(many: Many, call: Call, trail: Trail) -> str:
    """What a function gives when it is called there."""
    if trail.call_of(call.function) is not None:
        return ""
    is_context = many.types.shape(call.function).is_context
    return given(many, call.function, trail.following(call), once=is_context)


def given(many: Many, target: Scope, trail: Trail, *, once: bool) -> str:
    """What a function returns or yields; `once`: who asks takes what it yields as it is."""
    yields = [each for each in many.types.project.scan(target).events if each.kind == "yield"]
    for event in yields:
        assert isinstance(event.node, ast.Yield | ast.YieldFrom)
        value = [event.node.value]
        if once or isinstance(event.node, ast.YieldFrom):
            said = many.any(target, value, trail)
        else:
            said = many.any(target, value, trail.out()) if trail.inside else ""
        if said := said or ("" if once else many.any(target, event.over, trail)):
            return said
    returned = [target.node.body] if isinstance(target.node, ast.Lambda) else []
    return many.any(target, [*returned, *(each.value for each in target.returns)], trail)


def _handed_on(many: Many, scope: Scope, node: ast.Call, trail: Trail) -> str:
    """`await to_thread(os.listdir, path)` gives what the function gives."""
    for place, argument in enumerate(node.args):
        said = ""
        if isinstance(argument, ast.Lambda):
            said = many.ask(scope, argument.body, trail)
        elif isinstance(argument, ast.Call) and last_name(argument.func) == "partial":
            said = _handed_on(many, scope, argument, trail)
        elif isinstance(argument, ast.Name | ast.Attribute):
            targets = many.types.values(scope, argument)
            made = many.made(argument, argument, node.args[place + 1 :], node.keywords)
            said = _called(many, scope, targets, last_name(argument), made, trail)
        if said := said or many.ask(scope, argument, trail):
            return said
    return ""


def measured(*nodes: ast.AST) -> list[ast.expr]:
    """`len(paths)` in it. A number that stands there counts attempts more often than files."""
    return [
        argument
        for each in nodes
        for part in ast.walk(each)
        if isinstance(part, ast.Call) and last_name(part.func) == "len"
        for argument in part.args
    ]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
