"""Paths of requests as a Mermaid flowchart: what runs where, by colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstall.model.path import PathStep, RequestPath
from unstall.report.chain import chain_below, short
from unstall.report.paths import LOOP, is_blocked

_CLASSES = {
    "loop": "fill:#e8f0fe,stroke:#4472c4,color:#111",
    "pool": "fill:#fff4de,stroke:#b7791f,color:#111",
    "other": "fill:#eeeeee,stroke:#777777,color:#111",
    "blocks": "fill:#fde2e1,stroke:#c0392b,color:#111,stroke-width:2px",
    "holds": "fill:#fff4de,stroke:#c0392b,color:#111,stroke-dasharray:4 3",
}


def render(paths: Sequence[RequestPath]) -> str:
    """One flowchart, without a final newline."""
    lines = ["flowchart TD"]
    for number, path in enumerate(paths):
        lines += [f"  {line}" for line in _path(path, f"p{number}")]
    lines += [f"  classDef {name} {style}" for name, style in _CLASSES.items()]
    return "\n".join(lines)


def _path(path: RequestPath, mark: str) -> Iterator[str]:
    yield f'subgraph {mark}["{_text(path.entry.name)}"]'
    yield "  direction TB"
    before = ""
    for number, step in enumerate(path.steps):
        name = f"{mark}s{number}"
        yield f'  {name}["{_label(step)}"]:::{_class(step)}'
        if before:
            yield f"  {before} --> {name}"
        before = name
        yield from _calls(step, name)
    yield "end"


def _calls(step: PathStep, start: str) -> Iterator[str]:
    """Calls that share the beginning of their chain share its boxes."""
    drawn: dict[tuple[str, ...], str] = {}
    for blocking in step.blocking:
        before = start
        way: tuple[str, ...] = ()
        chain = chain_below(step, blocking)[1:]
        for at, link in enumerate(chain):
            last = at == len(chain) - 1
            way = (*way, link.name, str(link.line) if last else "")
            if way not in drawn:
                drawn[way] = f"{start}c{len(drawn)}"
                label = f"{link.name}\n{blocking.code}, line {link.line}" if last else link.name
                style = "blocks" if blocking.place == LOOP else "holds"
                look = style if last else _place(link.place)
                yield f'  {drawn[way]}["{_text(label)}"]:::{look}'
                yield f"  {before} -.-> {drawn[way]}"
            before = drawn[way]


def _label(step: PathStep) -> str:
    return _text(f"{step.kind} {short(step.function)}\n{step.place}")


def _class(step: PathStep) -> str:
    return "blocks" if is_blocked(step) and not step.blocking[0].reach else _place(step.place)


def _place(place: str) -> str:
    return {"loop": "loop", "thread pool": "pool"}.get(place, "other")


_CODES = str.maketrans(
    {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": "<br/>"}
)


def _text(text: str) -> str:
    """As it may stand between quotes; a line break stays one."""
    return text.translate(_CODES)
