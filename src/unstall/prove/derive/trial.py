"""Each derived request is asked once of the healthy app: what it takes is kept, and what not is told why.

Creators come first, so that what they answer can be asked for; what failed for want of an id is tried
again when more are known. One request at a time: a trial is no load.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from unstall.model.plan import Example
from unstall.prove.derive.asking import Answer, Ask
from unstall.prove.derive.document import Document, Impossible, Operation, Unreadable, names_in
from unstall.prove.derive.encoding import encoded
from unstall.prove.derive.known import Known
from unstall.prove.derive.values import Values

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_TRIED = 3
"""Turns that are tried of each shape; what they show is taken to hold for the next ones."""
_REFUSALS = 2
"""So often refused, a shape is left."""
_FRESH = 40
"""Further examples of a request that writes: what was tried is used up, as names that must be unique."""
_PASSES = 3
_SHOWN = 100
_AS_OFTEN_AS_ASKED = (0, 401, 403)
"""No answer, or nobody we know: other data would not change that, and each try takes its time."""
# Answers of whoever stands before the handler: the request never reached it.
_BEFORE_THE_HANDLER = frozenset({401, 403, 405, 406, 413, 415, 421, 422, 426, 429, 431})


@dataclass(frozen=True, slots=True)
class Terms:
    """How far a trial may go."""

    seed: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request."""
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Texts for parameters of paths and queries, by their names, sent in turn."""
    writes: bool = True
    """Whether requests that change something may be sent."""
    skip: tuple[str, ...] = ()
    """Patterns of operations that are left alone: `POST /admin/*`."""
    patience: float = 120.0
    """Seconds for all of it."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one operation."""

    examples: tuple[Example, ...] = ()
    why: str = ""
    """Not exercised, as a clause."""
    note: str = ""
    """Exercised, but."""

    @property
    def well(self) -> bool:
        return bool(self.examples) and not self.note


async def tried(
    document: Document, ask: Ask, terms: Terms, now: Callable[[], float]
) -> dict[str, Tried]:
    """What became of every operation, by title, in the order of the document."""
    known = Known(document.operations)
    late = Tried(why=f"not tried: the {terms.patience:g} s for trying were over")
    fates = dict.fromkeys((each.title for each in document.operations), late)
    end = now() + terms.patience
    rest = sorted(document.operations, key=_order)
    for _ in range(_PASSES):
        before = len(known)
        for operation in rest:
            if now() < end:
                fates[operation.title] = await _fate(document, operation, known, ask, terms)
        rest = [each for each in rest if not fates[each.title].well and each.method in _AGAIN]
        if not rest or len(known) == before or now() >= end:
            break
    return fates


_AGAIN = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH"})


def _order(operation: Operation) -> tuple[int, int]:
    """Creators by depth, then readers, then changes, and what removes at the very end."""
    rank = {"POST": 0, "GET": 1, "HEAD": 1, "OPTIONS": 1, "DELETE": 3}.get(operation.method, 2)
    creates = rank == 0 and not operation.path.rstrip("/").endswith("}")
    return (rank if rank or creates else 2), operation.path.count("/")


async def _fate(
    document: Document, operation: Operation, known: Known, ask: Ask, terms: Terms
) -> Tried:
    if why := _left_alone(operation, terms):
        return Tried(why=why)
    if operation.method == "DELETE":
        return await _removal(document, operation, known, ask, terms)
    kept: list[Example] = []
    late: list[Example] = []  # the handler was reached, and said no
    sent: list[Example] = []
    problem = ""
    for full in (False, True):
        shape: list[Example] = []
        refused = 0
        for turn in range(_TRIED):
            try:
                example = _example(document, operation, known, terms, turn, full)
            except (Impossible, Unreadable) as error:
                problem = problem or f"no request could be made up: {error}"
                break
            if example in sent:
                continue
            sent.append(example)
            answer = await ask(operation.method, example)
            if 0 < answer.status < 400:
                shape.append(example)
                known.learn(operation, answer.body)
                continue
            refused += 1
            problem = problem or _problem(operation, answer, terms)
            if _handled(operation, answer):
                late.append(example)
            if refused == _REFUSALS or answer.status in _AS_OFTEN_AS_ASKED:
                break
        whole = len(shape) == _TRIED
        kept += _more(document, operation, known, terms, full, shape) if whole else shape
    if kept:
        return Tried(tuple(kept))
    if late:
        return Tried(tuple(late), note=f"its handler was reached and {problem}")
    return Tried(why=problem)


def skipping(operation: Operation, terms: Terms) -> str:
    """The pattern that leaves the operation alone; empty: none does."""
    return next((each for each in terms.skip if fnmatch.fnmatchcase(operation.title, each)), "")


def _left_alone(operation: Operation, terms: Terms) -> str:
    if pattern := skipping(operation, terms):
        return f"left alone, as --skip {pattern!r} asks"
    if operation.method == "TRACE":
        return "TRACE reaches no handler"
    if operation.method not in SAFE and not terms.writes:
        return "it may change something, and this run only reads"
    return ""


def _example(
    document: Document, operation: Operation, known: Known, terms: Terms, turn: int, full: bool
) -> Example:
    values = Values(document, terms.seed, turn, full, known.named, terms.values)
    example = encoded(operation, values, known.in_path(operation, turn), full)
    return Example(example.path, {**example.headers, **terms.headers}, example.body, example.base64)


def _more(
    document: Document,
    operation: Operation,
    known: Known,
    terms: Terms,
    full: bool,
    shape: Sequence[Example],
) -> list[Example]:
    """Of a request that writes, unused ones of a shape that was always taken; else the same ones."""
    if operation.method in SAFE:
        return list(shape)
    fresh: list[Example] = []
    for turn in range(_TRIED, _TRIED + _FRESH):
        with suppress(Impossible, Unreadable):
            example = _example(document, operation, known, terms, turn, full)
            if example not in fresh:
                fresh.append(example)
    return fresh


async def _removal(
    document: Document, operation: Operation, known: Known, ask: Ask, terms: Terms
) -> Tried:
    """Asked for what does not exist, so that nothing is missing which others ask for.

    What a user gave a value for exists, so it is not taken here.
    """
    if not names_in(operation.path):
        return Tried(why="it may remove what the other requests ask for: put it into a plan")
    try:
        plain = encoded(operation, Values(document, terms.seed, 10_000), {}, full=False)
    except (Impossible, Unreadable) as error:
        return Tried(why=f"no request could be made up: {error}")
    example = Example(plain.path, {**plain.headers, **terms.headers}, plain.body, plain.base64)
    answer = await ask(operation.method, example)
    if 0 < answer.status < 400:
        return Tried((example,))
    problem = _problem(operation, answer, terms)
    if _handled(operation, answer):
        return Tried((example,), note=f"it was asked for what does not exist and {problem}")
    return Tried(why=problem)


def _handled(operation: Operation, answer: Answer) -> bool:
    """Whether the refusal came from the handler, and not from who stands before it."""
    if not 400 <= answer.status < 500 or answer.status in _BEFORE_THE_HANDLER:
        return False
    if answer.status == 404:  # a router's own 404 has these words
        unknown = {"detail": "Not Found"}
        told = bool({"404", "4XX"} & operation.statuses)
        return bool(names_in(operation.path)) and (
            told or answer.body not in (unknown, "Not Found")
        )
    return True


def _problem(operation: Operation, answer: Answer, terms: Terms) -> str:
    """Why the app did not take the request, as a clause."""
    if answer.status == 0:
        return answer.why
    if answer.status in (401, 403) and (need := _needed(operation, terms)):
        return need
    said = _said(answer.body)
    return f"answered {answer.status}" + (f": {said}" if said else "")


def _needed(operation: Operation, terms: Terms) -> str:
    sent = {name.lower() for name in terms.headers}
    for credential in operation.credentials:
        if credential.place == "header" and credential.name.lower() not in sent:
            return f"needs a header {credential.name}: give --header '{credential.name}: …'"
        if credential.place == "cookie" and "cookie" not in sent:
            return f"needs a cookie {credential.name}: give --header 'Cookie: {credential.name}=…'"
        if credential.place == "query" and credential.name not in terms.values:
            return f"needs {credential.name} in its query: give --value '{credential.name}=…'"
    for parameter in operation.parameters:
        if parameter.place == "header" and parameter.name.lower() not in sent:
            return f"needs a header {parameter.name}: give --header '{parameter.name}: …'"
    if not sent:
        return "needs a header Authorization: give --header 'Authorization: …'"
    return ""


def _said(body: Any) -> str:
    """The gist of an answer: FastAPI's list of what is wrong, a detail, or its first words."""
    detail = body.get("detail", body) if isinstance(body, Mapping) else body
    if isinstance(detail, list) and detail and isinstance(detail[0], Mapping):
        first = detail[0]
        place = ".".join(map(str, first.get("loc", ())))
        words = str(first.get("msg", ""))
        more = f", and {len(detail) - 1} more" if len(detail) > 1 else ""
        return _short(f"{place}: {words}" if place else words) + more
    if detail in (None, "", {}, []):
        return ""
    return _short(detail if isinstance(detail, str) else json.dumps(detail, default=str))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
