"""The child's run: fence, guard, import, account, answer."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.metadata
import inspect
import json
import os
import platform
import sys
import traceback
from typing import Any

from . import fence, pools, routes, standins, values
from .guard import Guard

_LIBRARIES = ("fastapi", "starlette", "anyio", "uvicorn", "sqlalchemy", "pydantic")
_NEARBY = 8

Told = dict[str, Any]


def main(text: str) -> None:
    request: Told = json.loads(text)
    out: int = request["out"]
    os.set_inheritable(out, False)
    leave = os._exit
    guard = Guard(request["root"], request["scratch"])
    faulthandler.enable(file=out, all_threads=False)
    faulthandler.dump_traceback_later(request["seconds"], exit=True, file=out)
    _note_exit(guard, out, leave)
    _limit(request)
    unfenced = fence.put_up(request["scratch"], request["parent"])
    if unfenced and not request["unfenced"]:
        answer: Told = {"failed": {"kind": "unfenced", "message": "; ".join(unfenced)}}
    else:
        guard.install()
        standins.install(guard)
        answer = _account(request, guard)
        answer["unfenced"] = unfenced
    answer["refusals"] = guard.refusals
    faulthandler.cancel_dump_traceback_later()
    _send(out, answer)
    leave(0)


def _note_exit(guard: Guard, out: int, leave: Any) -> None:
    """`os._exit` leaves no trace of its own."""

    def _exit(status: int = 0) -> None:
        file, line = guard.site()
        failed = {"kind": "exit", "message": "os._exit(%s)" % status, "file": file, "line": line}
        _send(out, {"failed": failed, "refusals": guard.refusals})
        leave(0)

    os._exit = _exit  # type: ignore[assignment]


def _limit(request: Told) -> None:
    import resource

    for which, most in (
        (resource.RLIMIT_AS, request["bytes"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, int(request["seconds"]) + 5),
    ):
        hard = resource.getrlimit(which)[1]
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (limit, limit))
        except (ValueError, OSError):  # this system knows no such limit
            continue


def _send(out: int, answer: Told) -> None:
    data = b"\n" + json.dumps(answer, default=str).encode() + b"\n"
    while data:
        data = data[os.write(out, data) :]


def _account(request: Told, guard: Guard) -> Told:
    answer: Told = {}
    root = os.path.realpath(request["root"]) + os.sep
    sys.path[:] = [request["base"], *[p for p in sys.path if p not in ("", request["base"])]]
    sys.argv[:] = [request["module"]]
    try:
        app = _app(request)
        answer["app"] = routes.account(app)
    except BaseException as error:  # SystemExit and what libraries derive from BaseException
        answer["failed"] = _failure(error, guard)
    answer["modules"] = values.modules(root)
    answer["versions"] = _versions()
    try:
        answer["globals"], owners = values.of_globals(root)
        answer["pools"] = pools.found(owners)
    except Exception as error:  # whatever hooks a class of theirs has
        answer["unseen"] = _message(error)
    return answer


class _NoApp(Exception):
    """The module is there and the app is not."""


def _app(request: Told) -> Any:
    module = importlib.import_module(request["module"])
    value: Any = module
    for part in request["name"].split("."):
        if not hasattr(value, part):
            raise _NoApp("%s has no %s%s" % (request["module"], part, _instead(module)))
        value = getattr(value, part)
    if request["factory"]:
        value = value()
        if inspect.isawaitable(value):
            raise _NoApp("%s is asynchronous, so there is no app to look at" % request["name"])
    if routes.unwrapped(value) is None:
        kind = type(value).__name__
        hint = "; name it as a factory" if callable(value) and not request["factory"] else ""
        raise _NoApp(
            "%s is a %s, which is no FastAPI or Starlette app%s" % (request["name"], kind, hint)
        )
    return value


def _instead(module: Any) -> str:
    names = [n for n, v in vars(module).items() if not isinstance(v, type) and _is_app(v)]
    return "; it has %s" % ", ".join(names[:_NEARBY]) if names else ""


def _is_app(value: Any) -> bool:
    return type(value).__module__.split(".")[0] not in ("builtins", "typing") and hasattr(
        type(value), "build_middleware_stack"
    )


# --- failures -------------------------------------------------------------------------------


def _failure(error: BaseException, guard: Guard) -> Told:
    file, line = _where(error, guard)
    failed: Told = {
        "kind": "no app" if isinstance(error, _NoApp) else "error",
        "error": type(error).__name__,
        "message": _message(error),
        "file": file,
        "line": line,
        "missing": _missing(error),
        "module": getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None,
    }
    return failed


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    return " ".join(text.split())[:300]


def _where(error: BaseException, guard: Guard) -> tuple[str, int]:
    """The innermost line of the user's, and for a syntax error the line that has it."""
    if isinstance(error, SyntaxError) and error.filename:
        return str(error.filename), error.lineno or 0
    found = ("", 0)
    for frame, line in traceback.walk_tb(error.__traceback__):
        if guard.is_users(frame.f_code.co_filename):
            found = (frame.f_code.co_filename, line)
    return found


def _missing(error: BaseException) -> list[str]:
    """Environment variables that were asked for and are not set."""
    if isinstance(error, KeyError):
        codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
        asked = codes[-1:] == [type(os.environ).__getitem__.__code__]
        return [str(error.args[0])] if asked else []
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return []
    try:
        settings = _settings_class(str(error.title))  # type: ignore[attr-defined]
        if settings is None:
            return []
        prefix = str(settings.model_config.get("env_prefix") or "")
        found = error.errors()
        return [
            (prefix + ".".join(str(part) for part in each["loc"])).upper()
            for each in found
            if each["type"] == "missing"
        ]
    except Exception:
        return []


def _settings_class(title: str) -> Any:
    library = sys.modules.get("pydantic_settings")
    todo = [library.BaseSettings] if library is not None else []
    while todo:
        cls = todo.pop()
        if cls.__name__ == title:
            return cls
        todo.extend(cls.__subclasses__())
    return None


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except Exception:
            continue
    return versions
