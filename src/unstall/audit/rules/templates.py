"""US205: templates that each request compiles anew, because it makes the environment that would keep them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from unstall.audit import types_names
from unstall.audit.entrances_index import Use, Where
from unstall.audit.entrances_syntax import last_name
from unstall.audit.ir import Place
from unstall.audit.many_origins import dependency_of, injected
from unstall.audit.rules.clients import repeated
from unstall.audit.rules.kept import Fate, fate, is_cached
from unstall.audit.rules.subject import Subject, found
from unstall.audit.scopes import Binding, Scope
from unstall.audit.values import EXTERNAL, FUNCTION, NOTHING, Values
from unstall.model.finding import Finding

ENVIRONMENTS = frozenset(
    "jinja2.Environment jinja2.sandbox.SandboxedEnvironment jinja2.sandbox.ImmutableSandboxedEnvironment "
    "jinja2.nativetypes.NativeEnvironment starlette.templating.Jinja2Templates".split()
)
"""Each keeps what it has compiled, as long as it lives."""
GETTING = frozenset(
    "jinja2.Environment.get_template jinja2.Environment.select_template "
    "jinja2.Environment.get_or_select_template starlette.templating.Jinja2Templates.get_template "
    "starlette.templating.Jinja2Templates.TemplateResponse".split()
)
_SHARING = frozenset({"bytecode_cache", "env", None})
"""Keywords that may bring what is compiled already; None: `**options`."""
_DEEPEST = 4
"""Names and functions between who gets a template and the call that makes the environment."""
_REMEDY = (
    "make the environment once, when the module is loaded or in the lifespan: "
    "it keeps the templates that it has compiled"
)

Made = tuple[Scope, ast.Call]
"""A call that makes an environment, and the function that it stands in."""


def check(subject: Subject) -> Iterator[Finding]:
    project = subject.worked.walk.types.project
    for use, name in subject.calls(GETTING):
        scope, func = project.scope(use.where.scope, use.where.module), use.call.func
        if scope is None or not isinstance(func, ast.Attribute) or _is_kept(subject, scope, use):
            continue
        made = _made(subject, scope, func.value)
        ways = () if made is None else subject.requests_to(use, Place.LOOP)
        ways = repeated(subject, scope.id, ways)
        if made is not None and ways:
            where, call = made
            because = (
                "its environment is made for each request and not kept "
                f"({project.file_of(where)}:{call.lineno}), so the template is compiled each time"
            )
            spot = subject.spot(use.where, use.call, name)
            yield found("US205", spot, because, ways=ways, remedy=_REMEDY)


def _is_kept(subject: Subject, scope: Scope, use: Use) -> bool:
    """What comes of the template is, so that one is enough."""
    once = subject.worked.walk.once
    is_filled = once.fills(scope, use.call) or once.fills_object(scope, use.call)
    return is_filled or is_cached(subject, scope.id)


def _made(subject: Subject, scope: Scope, node: ast.expr, depth: int = 0) -> Made | None:
    """The call that surely makes it, each time that somebody comes here."""
    types = subject.worked.walk.types
    match node:
        case ast.Await(value=inner) | ast.Attribute(attr="env", value=inner):
            return _made(subject, scope, inner, depth)
        case ast.Name(id=name) if depth < _DEEPEST:
            bound = types_names.find(types, scope, name, (node.lineno, node.col_offset))
            if bound is None or bound[0] is not scope:
                return None
            return _same(_of_binding(subject, scope, name, each, depth + 1) for each in bound[1])
        case ast.Call(func=func) if depth < _DEEPEST and _is_let_go(subject, scope, node):
            called = types.values(scope, func)
            if any(each.guess for each in called):
                return None
            if {(each.kind, subject.table.canonical(each.name)) for each in called} & _MAKING:
                return None if len(called) > 1 or _is_shared(scope, node) else (scope, node)
            return _of_functions(subject, called, depth + 1)
    return None


def _of_binding(
    subject: Subject, scope: Scope, name: str, binding: Binding, depth: int
) -> Made | None:
    """Of what is assigned, or of what FastAPI passes for a parameter."""
    if binding.kind == "assign" and binding.value is not None:
        return _made(subject, scope, binding.value, depth)
    if binding.kind != "parameter":
        return None
    types = subject.worked.walk.types
    asked = injected(types, scope, name, binding.annotation)
    return _same(
        _of_functions(subject, types.values(where, wanted) if wanted else NOTHING, depth)
        for where, call in asked
        for wanted in (dependency_of(call),)
    )


def _of_functions(subject: Subject, functions: Values, depth: int) -> Made | None:
    """Of all that they return."""
    project = subject.worked.walk.types.project
    if any(each.kind != FUNCTION or each.guess for each in functions):
        return None
    return _same(
        _made(subject, scope, node.value, depth) if node.value is not None else None
        for each in functions
        if (scope := project.scope(each.name)) is not None
        for node in (scope.returns if _is_plain(scope) else ())
    )


def _is_plain(function: Scope) -> bool:
    """No decorator keeps what it returns."""
    decorators = getattr(function.node, "decorator_list", ())
    return all(last_name(each) in ("staticmethod", "classmethod") for each in decorators)


def _same(each: Iterable[Made | None]) -> Made | None:
    """The first one, if there are no others than such."""
    ways = list(each)
    return ways[0] if all(ways) and ways else None


def _is_let_go(subject: Subject, scope: Scope, call: ast.Call) -> bool:
    use = Use(call, Where(scope.module, scope.id))
    return fate(subject, use) not in (Fate.KEPT, Fate.HANDED_ON)


def _is_shared(scope: Scope, call: ast.Call) -> bool:
    """What it compiles is kept elsewhere, or may be."""
    return any(keyword.arg in _SHARING for keyword in call.keywords) or any(
        isinstance(node, ast.Attribute) and node.attr == "bytecode_cache"
        for node in ast.walk(scope.node)
    )


_MAKING = frozenset((EXTERNAL, name) for name in ENVIRONMENTS)
