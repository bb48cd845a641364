"""Whether containers are filled in loops: by their own function, or by one that they are passed to."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from unstall.audit.functions import argument_for
from unstall.audit.many_puts import Put
from unstall.audit.many_trail import ANY, Call, Trail
from unstall.audit.scan import Event
from unstall.audit.scopes import Scope

if TYPE_CHECKING:
    from unstall.audit.many import Many


def filled(many: Many, owner: Scope, name_: str, trail: Trail) -> str:
    """By its own code, or by a function that it is passed to."""
    said = (_put(many, each, trail) for each in many.puts(owner).of(owner, name_))
    return next(filter(None, said), "") or _filled_elsewhere(many, owner, name_, trail)


def _filled_elsewhere(many: Many, owner: Scope, name_: str, trail: Trail) -> str:
    for event in many.passing(owner).get(name_, ()):
        assert isinstance(event.node, ast.Call)
        for followed in many.filling(owner, event.node, name_, trail):
            for parameter_ in _parameters_for(many, followed, name_):
                said = ""
                if many.puts(followed.function).of(followed.function, parameter_):
                    said = many.any(owner, event.over, trail.out(len(trail.held)))
                if not said and trail.call_of(followed.function) is None:
                    inner = trail.following(followed)
                    said = filled(many, followed.function, parameter_, inner)
                if said:
                    return said
    return ""


def passing(events: Iterable[Event]) -> dict[str, list[Event]]:
    """Calls by the names that they pass."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind == "call" and isinstance(event.node, ast.Call):
            passed = (*event.node.args, *(each.value for each in event.node.keywords))
            for name in dict.fromkeys(each.id for each in passed if isinstance(each, ast.Name)):
                found[name].append(event)
    return found


def _parameters_for(many: Many, call: Call, name_: str) -> Iterator[str]:
    """Under which names a function has what a call passes it under this one."""
    shape = many.types.shape(call.function)
    for parameter_ in (*shape.parameters, *shape.keywords):
        node = argument_for(call.node, shape, parameter_, int(call.has_receiver))
        if isinstance(node, ast.Name) and node.id == name_:
            yield parameter_


def _put(many: Many, put: Put, trail: Trail) -> str:
    """Loops around it say how many it holds; what is put in says how many its parts hold."""
    deeper = len(trail.held) - put.depth
    if deeper > 0 and put.part is not ANY and trail.held[put.depth] not in (ANY, put.part):
        return ""
    around = trail if deeper > 0 else trail.out(len(trail.held))
    if said := many.any(put.scope, put.over, around):
        return said
    if deeper < 0 or (deeper == 0 and not put.whole):
        return ""
    levels = put.depth if put.whole else put.depth + 1
    return many.any(put.scope, put.values, trail.out(levels))
