"""Calls on request paths that source leaves open are put to a type checker, and its answers taken in."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from unstall.audit.program import Worked
from unstall.audit.typeserver import Answers, Question, question
from unstall.audit.values import CLASS, EXTERNAL, FUNCTION, Value, Values
from unstall.catalog.table import Table

Settle = Callable[[Sequence[Question], Mapping[str, str]], Answers]
"""Questions, and the modules of the project's files, to answers."""

_MOST = 2_000
_GUESS = 1
"""A checker takes annotations at their word: a finding that rests on one is likely."""


def settled(worked: Worked, table: Table, settle: Settle) -> Mapping[int, Values]:
    """What open calls call, by the identity of the expression that is called."""
    asked = open_calls(worked)
    files = {each.file: each.name for each in worked.program.modules.values()}
    answers = settle(list(asked), files)
    found = {}
    for each, names in answers.items():
        values = frozenset(v for name in names if (v := _value(worked, table, name)) is not None)
        if values:
            found.update(dict.fromkeys(map(id, asked[each]), values))
    return found


def open_calls(worked: Worked) -> dict[Question, list[ast.expr]]:
    """Where the functions that an entrance reaches call something unknown, and do not await it."""
    modules = worked.program.modules
    awaited: dict[str, set[int]] = {}
    asked: dict[Question, list[ast.expr]] = {}
    for node, many in worked.judged.unknown.items():
        module = modules.get(node.function.partition(":")[0])
        if module is None or node not in worked.found:
            continue
        if module.name not in awaited:
            walked = ast.walk(module.tree)
            awaited[module.name] = {
                id(each.value) for each in walked if isinstance(each, ast.Await)
            }
        for outside in many:
            call = outside.seen.node
            if not isinstance(call, ast.Call) or id(call) in awaited[module.name]:
                continue
            put = question(module.file, call)
            if put is not None and (put in asked or len(asked) < _MOST):
                asked.setdefault(put, []).append(call.func)
    return asked


def _value(worked: Worked, table: Table, name: str) -> Value | None:
    """Of the project's own, or of a library if the catalog knows it: the rest would change nothing."""
    if ":" in name:
        kind = FUNCTION if name in worked.functions.declared else CLASS
        known = kind == FUNCTION or name in worked.program.bases
        return Value(kind, name, guess=_GUESS) if known else None
    return Value(EXTERNAL, name, guess=_GUESS) if table.row_for(name) is not None else None
