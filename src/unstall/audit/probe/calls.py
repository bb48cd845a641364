"""What the framework calls: which function it is, where it stands, and whether the loop runs it."""

from __future__ import annotations

import asyncio
import functools
import inspect
import linecache
import re
import types
from typing import Any

_DEF = re.compile(r"\s*(async\s+def|def|class)\b|.*\blambda\b")

_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)


def impartial(call: Any) -> Any:
    while isinstance(call, functools.partial):
        call = call.func
    return call


def described(
    call: Any, on_loop: bool | None = None, receiver: type | None = None
) -> dict[str, Any]:
    """Module, qualified name, kind, file, line and class of `self` of anything that can be called.

    `on_loop` is the framework's own word on whether it is awaited. The name is that of the function which
    runs: of a class its `__init__`, of an object its class's `__call__`. `receiver`: the class of which
    `call` was taken, to be called on an object of it.
    """
    call = impartial(call)
    run: Any = call
    if isinstance(call, type):
        init = getattr(call, "__init__", None)
        run = init if _is_own(init, call) else call
    elif not isinstance(call, _FUNCTIONS):
        run = getattr(type(call), "__call__", call)
    owner = run if isinstance(run, (type, *_FUNCTIONS)) else type(call)
    module = str(getattr(owner, "__module__", None) or "")
    name = str(getattr(owner, "__qualname__", None) or "")
    file, line = place(run)
    if isinstance(run, type):
        file, line = _place_of_class(run)
    if name.endswith("<lambda>"):
        name = f"{name}@{line}"
    awaited = is_async(call) if on_loop is None else on_loop
    kind = "class" if isinstance(call, type) else _kind(run, awaited)
    told: dict[str, Any] = {
        "module": module,
        "name": name,
        "kind": kind,
        "file": file,
        "line": line,
    }
    receiver = _receiver(call) or receiver
    if receiver is not None:
        told["receiver"] = [str(receiver.__module__), receiver.__qualname__]
    return told


def _receiver(call: Any) -> type | None:
    """The class of the object that a method is bound to, or of the object that is called or made."""
    if isinstance(call, types.MethodType):
        call = call.__self__
    elif isinstance(call, (types.FunctionType, types.BuiltinFunctionType)):
        return None
    return call if isinstance(call, type) else type(call)


def _is_own(init: Any, cls: type) -> bool:
    """Written by whoever wrote the class: not by pydantic, nor by `dataclass`."""
    if not isinstance(init, types.FunctionType) or init.__code__.co_filename.startswith("<"):
        return False
    return init.__module__.split(".", 1)[0] == cls.__module__.split(".", 1)[0]


def _kind(run: Any, awaited: bool) -> str:
    inner = inspect.unwrap(run)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        return "async generator" if awaited else "generator"
    return "async" if awaited else "sync"


def is_async(call: Any) -> bool:
    """Whether calling it gives something to await, or an asynchronous generator."""
    call = impartial(call)
    if isinstance(call, type):
        return False
    if not isinstance(call, _FUNCTIONS):
        call = getattr(type(call), "__call__", None)
    for each in (call, inspect.unwrap(call) if callable(call) else call):
        if asyncio.iscoroutinefunction(each) or inspect.isasyncgenfunction(each):
            return True
    return False


def place(call: Any) -> tuple[str, int]:
    """File, and the line of `def` (a code object counts its decorators in)."""
    call = inspect.unwrap(call) if callable(call) else call
    code = getattr(getattr(call, "__func__", call), "__code__", None)
    if not isinstance(code, types.CodeType):
        return "", 0
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno
    for number in range(first, min(first + 60, len(lines) + 1)):
        if _DEF.match(lines[number - 1]):
            return code.co_filename, number
    return code.co_filename, first


def _place_of_class(cls: type) -> tuple[str, int]:
    try:
        return inspect.getsourcefile(cls) or "", inspect.getsourcelines(cls)[1]
    except (OSError, TypeError, SyntaxError):
        return "", 0
