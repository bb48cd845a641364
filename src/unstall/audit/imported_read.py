"""Imports an app in a child process and says what came of it: facts, or one sentence."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unstall.audit import imported_child as child
from unstall.audit import imported_target as target
from unstall.audit.imported import Imported, Refused, decode
from unstall.audit.imported_child import LIMITS, Limits, Outcome
from unstall.audit.imported_target import Target
from unstall.errors import UsageError

_MOST_TRIES = 3
_WORTH_TRYING = 1.0
"""Seconds left for another app when the likeliest one cannot be imported."""
_DENIED = re.compile(r"[Pp]ermission denied|not permitted")
_FRAME = re.compile(r'^  File "(.+)", line (\d+) in (\S+)$', re.MULTILINE)


def read(
    root: Path,
    app: str | None = None,
    *,
    environ: Mapping[str, str],
    python: str | None = None,
    required: bool = False,
    limits: Limits = LIMITS,
) -> Imported | Refused:
    """What the app of a project says about itself.

    `required` also calls factories, and imports where the kernel cannot hold back code in C. `python` names
    an interpreter or an environment. A `python` or an `app` that cannot be meant raises UsageError.
    """
    root = root.resolve()
    interpreter = target.interpreter(root, python, environ, sys.executable)
    if sys.platform == "win32":
        return Refused("apps are not imported on Windows: there is no way to hold them back")
    if python is not None and not child.is_python(interpreter):
        raise UsageError(
            f"--python is {python!r}, which runs no Python: name an interpreter or an environment"
        )
    if app is not None:
        where = target.named(root, app)
        if not target.is_there(where):
            return Refused(_not_there(root, where))
        return _try(root, where, interpreter, environ, required, limits)
    found = target.candidates(root)
    usable = [each for each in found if required or not each.factory]
    if not usable:
        return Refused(_nothing_to_import(root, found))
    started = time.monotonic()
    first = _try(root, usable[0], interpreter, environ, required, limits)
    for each in usable[1:_MOST_TRIES]:
        left = limits.seconds - (time.monotonic() - started)
        if isinstance(first, Imported) or left < _WORTH_TRYING:
            break
        result = _try(root, each, interpreter, environ, required, replace(limits, seconds=left))
        if isinstance(result, Imported):
            return result
    return first


def _not_there(root: Path, where: Target) -> str:
    found = target.candidates(root)
    names = [each.text for each in found] + [each.seen_from(root) for each in found]
    near = get_close_matches(where.text, names, cutoff=0.5) or names[:1]
    hint = f": is it {near[0]}?" if near else ": name the app as package.module:app"
    return f"there is no module {where.module} in {root.name}{hint}"


def _nothing_to_import(root: Path, found: tuple[Target, ...]) -> str:
    if found:
        return (
            f"{found[0].text} is a factory, and factories are called only with --import: "
            f"name it with --import {found[0].text}"
        )
    return f"no FastAPI or Starlette app was found in {root.name}: name it as package.module:app"


def _try(
    root: Path,
    where: Target,
    interpreter: Path,
    environ: Mapping[str, str],
    required: bool,
    limits: Limits,
) -> Imported | Refused:
    request = child.Request(
        root, where.base, where.folder, where.module, where.name, where.factory, required
    )
    try:
        outcome = child.run(interpreter, request, environ, limits)
    except OSError as error:
        return Refused(
            f"the interpreter {interpreter} cannot be started: {error.strerror or error}; "
            "name another with --python"
        )
    answer = None if outcome.answer is None else {**outcome.answer, "root": str(root)}
    if answer is None or "failed" in answer:
        partial = decode(answer, where.text, str(interpreter)) if answer else None
        return Refused(explain(root, where, interpreter, outcome, limits), partial)
    return decode(answer, where.text, str(interpreter))


# --- sentences ------------------------------------------------------------------------------


def explain(root: Path, where: Target, interpreter: Path, outcome: Outcome, limits: Limits) -> str:
    """Why there is nothing to go by, in one sentence with the line and what to do."""
    if outcome.answer is None:
        return _silent(root, where, outcome, limits)
    failed = outcome.answer["failed"]
    at = _at(root, failed.get("file", ""), failed.get("line", 0))
    message = failed.get("message", "")
    match failed["kind"]:
        case "old":
            return (
                f"{interpreter} is Python {message}, and an app is imported by 3.9 or newer: "
                "name another with --python"
            )
        case "unfenced":
            return (
                f"{where.text} was not imported, because {message}; --import does it all the same"
            )
        case "no app":
            return f"{message}: name the app as package.module:app"
        case "exit":
            return f"importing {where.module} ended the process with {message}{at}"
    return _raised(root, where, interpreter, outcome.answer, at)


def _raised(
    root: Path, where: Target, interpreter: Path, answer: Mapping[str, Any], at: str
) -> str:
    failed = answer["failed"]
    error, message = failed["error"], failed["message"]
    start = f"importing {where.module} "
    if failed["missing"]:
        names = ", ".join(failed["missing"])
        many = "variables" if len(failed["missing"]) > 1 else "variable"
        return (
            f"{start}needs the environment {many} {names}{at}: set what it needs, any value will do"
        )
    if failed["module"]:
        return (
            f"{start}needs {failed['module']}{at}, which {interpreter} does not have: "
            "name the project's interpreter with --python"
        )
    if error == "NotWhileImported":
        return f"{start}stops at what is refused{at}: {_last_refusal(answer)}"
    if error == "SystemExit":
        return f"{start}ends with sys.exit({message}){at}"
    if error == "MemoryError":
        return f"{start}takes more memory than it may{at}: audit with --no-import"
    if error == "SyntaxError":
        version = answer.get("versions", {}).get("python", "the interpreter")
        return f"{start}fails{at}: Python {version} cannot read it ({message})"
    tried = _last_refusal(answer)
    because = f", after {tried} was refused" if tried else ""
    hint = (
        ""
        if tried or not _DENIED.search(message)
        else " (an import may not connect, write or start anything)"
    )
    return f"{start}raises {error}{at}{because}: {message or 'without a message'}{hint}"


def _last_refusal(answer: Mapping[str, Any]) -> str:
    refused = [each for each in answer.get("refusals", ()) if not each["pretended"]]
    return f"{refused[-1]['event']} {refused[-1]['argument']}".strip() if refused else ""


def _silent(root: Path, where: Target, outcome: Outcome, limits: Limits) -> str:
    at = next(_frames(root, outcome.trace), "")
    if outcome.timed_out:
        return (
            f"importing {where.module} took longer than {limits.seconds:g} s{at}: "
            "move what takes long into the lifespan, or audit with --no-import"
        )
    if outcome.status < 0:
        name = signal.Signals(-outcome.status).name
        return f"importing {where.module} ended with {name}{at}: audit with --no-import"
    last = outcome.output.strip().splitlines()[-1:]
    said = f"; the last it printed is {last[0][:200]!r}" if last else ""
    return f"importing {where.module} ended the process with exit code {outcome.status}{at}{said}"


def _frames(root: Path, trace: str) -> Iterator[str]:
    """The project's own frames of a dump, innermost first."""
    for file, line, function in _FRAME.findall(trace):
        shown = _at(root, file, int(line))
        if shown:
            yield shown if function == "<module>" else f"{shown}, {function}"


def _at(root: Path, file: str, line: int) -> str:
    inside = file.startswith(f"{root}/") and "site-packages" not in file
    return f" in {file.removeprefix(f'{root}/')}:{line}" if inside else ""
