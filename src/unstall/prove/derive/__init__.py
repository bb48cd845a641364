"""Requests for an app that nobody wrote a plan for, derived from its own OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from time import monotonic
from typing import Any

from unstall.errors import TargetError, UsageError
from unstall.model.plan import Example, Scenario, Stage
from unstall.model.proof import Unexercised
from unstall.prove.derive.asking import Answer, asking
from unstall.prove.derive.document import Credential, Document, Parameter, read_document
from unstall.prove.derive.encoding import GIVEN
from unstall.prove.derive.known import shape
from unstall.prove.derive.mounted import placed
from unstall.prove.derive.trial import Terms, tried

__all__ = ["Derived", "Terms", "derive", "fetch_openapi", "unlisted"]

PLACES = (
    "/openapi.json", "/api/openapi.json", "/api/v1/openapi.json", "/v1/openapi.json", "/api",
    "/openapi", "/docs/openapi.json", "/swagger.json",
)  # fmt: skip
PAGES = ("/docs", "/redoc", "/api/docs", "/")
# In the pages of Swagger UI and of ReDoc.
_NAMED = re.compile(r"""(?:\burl:\s*|\bspec-url=)['"]([^'"]+)['"]""")
_HIDDEN = (
    "not in the app's OpenAPI document: include_in_schema=False, a plain Starlette route, or of another "
    "app that is mounted"
)
_PATIENCE_S = 5.0
_FIRST_PATIENCE_S = 30.0  # FastAPI makes its document when it is first asked for


@dataclass(frozen=True, slots=True)
class Derived:
    """What can be asked of an app, and what not."""

    scenarios: tuple[Scenario, ...] = ()
    unexercised: tuple[Unexercised, ...] = ()
    notes: tuple[str, ...] = ()
    """Of requests that are sent although their answers are no success, each as a sentence."""


async def derive(
    base_url: str,
    openapi: Any = None,
    *,
    terms: Terms | None = None,
    rate: float = 20.0,
    seconds: float = 10.0,
    routes: Iterable[str] = (),
) -> Derived:
    """Requests that the healthy app at `base_url` took, as scenarios that share `rate` equally.

    openapi   the document; None: asked for at the usual places
    routes    all that are known of the app (`GET /users/{id}`), to tell which the document leaves out

    Raises `UsageError` for a document that cannot be read and for values of nobody, `TargetError` for an
    app without one or one that goes away, `MissingExtra`.
    """
    terms = terms or Terms()
    if openapi is None:
        openapi = await fetch_openapi(base_url, terms.headers)
    ask = asking(base_url, _PATIENCE_S)
    document = await placed(read_document(openapi), ask, terms)
    check_values(document, terms)
    fates = await tried(document, ask, terms, monotonic)
    taken = {title: fate for title, fate in fates.items() if fate.examples}
    stage = Stage(rate / len(taken), seconds) if taken else None
    return Derived(
        scenarios=tuple(
            Scenario(
                name=title,
                method=title.split(" ", 1)[0],
                path=title.split(" ", 1)[1],
                stages=(stage,) if stage else (),
                examples=fate.examples,
            )
            for title, fate in taken.items()
        ),
        unexercised=(
            *(Unexercised(t, fate.why) for t, fate in fates.items() if not fate.examples),
            *(
                Unexercised(title, f"its part of the OpenAPI document cannot be read: {why}")
                for title, why in document.broken
            ),
            *unlisted(document, routes),
        ),
        notes=tuple(f"{title}: {fate.note}" for title, fate in taken.items() if fate.note),
    )


def check_values(document: Document, terms: Terms) -> None:
    """Raises UsageError for a name that no parameter has."""
    names = {
        each.name
        for operation in document.operations
        for each in chain[Parameter | Credential](operation.parameters, operation.credentials)
        if each.place in GIVEN
    }
    for name in terms.values:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            advice = f"did you mean {near[0]}?" if near else "correct the name, or leave it out"
            raise UsageError(
                f"--value gives {name}, and no operation has a parameter of its path or query that is "
                f"called so: {advice}"
            )


def unlisted(document: Document, routes: Iterable[str]) -> tuple[Unexercised, ...]:
    """Routes that the document says nothing of, and why that is."""
    listed = {f"{each.method} {shape(each.path)}" for each in document.operations}
    listed |= {
        f"{title.split(' ', 1)[0]} {shape(title.split(' ', 1)[1])}" for title, _ in document.broken
    }
    found = []
    for route in routes:
        method, _, path = route.partition(" ")
        if method.upper() in ("WEBSOCKET", "WS"):
            found.append(Unexercised(route, "a WebSocket, which no HTTP request reaches"))
        elif f"{method.upper()} {shape(_without_converters(path))}" not in listed:
            found.append(Unexercised(route, _HIDDEN))
    return tuple(found)


def _without_converters(path: str) -> str:
    """`/files/{name:path}` is `/files/{name}` in the document."""
    head, *rest = path.split("{")
    pieces = [piece.partition("}") for piece in rest]
    return head + "".join(f"{{{name.split(':')[0]}}}{after}" for name, _, after in pieces)


async def fetch_openapi(base_url: str, headers: Mapping[str, str] | None = None) -> Any:
    """The document that the app serves, at a usual place or where its pages say it is.

    Raises `TargetError` if it serves none.
    """
    ask = asking(base_url, _FIRST_PATIENCE_S)

    async def at(path: str) -> Answer:
        return await ask("GET", Example(path, dict(headers or {})))

    first = await at(PLACES[0])
    if _is_document(first.body):
        return first.body
    for path in PLACES[1:]:
        if _is_document(body := (await at(path)).body):
            return body
    for page in PAGES:
        shown = (await at(page)).body
        for path in _NAMED.findall(shown) if isinstance(shown, str) else ():
            if path.startswith("/") and _is_document(body := (await at(path)).body):
                return body
    said = first.why or f"answered {first.status}"
    if first.status == 200:
        said = "answered something that is no OpenAPI document"
    raise TargetError(
        f"{base_url}{PLACES[0]} {said}, and the document is at none of the other usual places, so no "
        "requests can be derived: write a plan"
    )


def _is_document(body: Any) -> bool:
    return isinstance(body, Mapping) and ("openapi" in body or "swagger" in body)
