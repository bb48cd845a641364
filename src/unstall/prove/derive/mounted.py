"""Where the paths of a document lie: an app may be mounted below a prefix that its document does not say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from unstall.model.plan import Example
from unstall.prove.derive.asking import Ask
from unstall.prove.derive.document import Document
from unstall.prove.derive.trial import Terms, skipping

_USUAL = ("/api", "/api/v1", "/v1")
_PROBES = 4


async def placed(document: Document, ask: Ask, terms: Terms) -> Document:
    """The document with the prefix below which its paths are answered; as it is if none is found."""
    probes = [
        each.path for each in document.operations
        if each.method == "GET" and "{" not in each.path and not skipping(each, terms)
    ][:_PROBES]  # fmt: skip
    for prefix in dict.fromkeys(("", *_told(document), *_USUAL)):
        for path in probes:
            answer = await ask("GET", Example(prefix + path, dict(terms.headers)))
            if answer.status != 404:
                return _below(document, prefix)
    return document


def _told(document: Document) -> Iterator[str]:
    """Paths of the servers that the document names."""
    servers = document.data.get("servers")
    for server in servers if isinstance(servers, list) else ():
        url = server.get("url") if isinstance(server, dict) else None
        if isinstance(url, str) and "{" not in url:
            yield urlsplit(url).path.rstrip("/")


def _below(document: Document, prefix: str) -> Document:
    return replace(
        document,
        operations=tuple(replace(each, path=prefix + each.path) for each in document.operations),
    )
