"""The live page: HTML without anything from elsewhere. Its parts are rendered anew every second or two."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from unstall.export.style import SCRIPT, STYLE
from unstall.export.tables import Cell, Table, entries, groups, seconds, switches
from unstall.export.workers import State, View, Worker

_RELOAD_S = 2


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


POLICY = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def page(view: View) -> str:
    """The whole document."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<noscript><meta http-equiv="refresh" content="{_RELOAD_S}"></noscript>'
        f"<title>{escape(_title(view))}</title><style>{STYLE}</style></head>"
        f'<body><main id="live">{fragment(view)}</main>'
        f'<p id="lost" class="bad" role="alert" hidden></p><script>{SCRIPT}</script></body></html>\n'
    )


def fragment(view: View) -> str:
    """What changes."""
    parts = [_header(view), _workers(view.workers), _stalls(view)]
    tables = (entries(view.families), *groups(view.families), switches(view.families))
    parts += [table_markup(table) for table in tables if table]
    parts.append(_omissions(view.workers))
    return "\n".join(part for part in parts if part)


def _title(view: View) -> str:
    bad = sum(1 for worker in view.workers if worker.state in (State.FROZEN, State.STOPPED))
    return f"{bad} frozen · unstall" if bad else "unstall"


def _header(view: View) -> str:
    bad = [w for w in view.workers if w.state in (State.FROZEN, State.STOPPED)]
    total = len(view.workers)
    if not total:
        said, style = "no event loop runs", "dim"
    elif bad:
        said, style = f"{len(bad)} of {_count(total, 'worker')} frozen", "bad"
    else:
        said, style = f"{_count(total, 'worker')} alive", "good"
    build = next((f for f in view.families if f.name == "app_build_info" and f.samples), None)
    facts = []
    if build is not None:
        facts += [f"{n} {v}" for n, v in zip(build.labels, build.samples[0].labels, strict=True)]
    command = next(
        (str(w.snapshot["command"]) for w in view.workers if w.snapshot.get("command")), ""
    )
    at = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(view.at_s))
    return (
        f'<header><h1 class="{style}" data-title="{escape(_title(view))}">{said}</h1>'
        f"<p><code>{escape(command)}</code></p>"
        f'<p class="dim">{escape(" · ".join([*facts, at]))}'
        ' · <a href="/metrics">metrics</a> · <a href="/health">health</a></p></header>'
    )


def _workers(workers: Sequence[Worker]) -> str:
    if not workers:
        return ""
    rows = [_worker(worker) for worker in workers]
    table = Table(
        "Workers",
        ("worker", "state", "lag", "busy", "tasks", "beat age", "now"),
        tuple(rows),
        "lag: the largest of the last second; busy: share of it in which the loop was not idle",
    )
    return table_markup(table)


def _worker(worker: Worker) -> tuple[Cell, ...]:
    bad = worker.state in (State.FROZEN, State.STOPPED)
    style = "bad" if bad else "" if worker.state is State.ALIVE else "warn"
    busy = 1.0 if worker.blocked_s > 1 else _gauge(worker, "asyncio_eventloop_utilization_ratio")
    tasks = _gauge(worker, "asyncio_tasks")
    return (
        Cell(str(worker.pid), href=str(worker.snapshot.get("address") or "")),
        Cell(str(worker.state), style=style),
        Cell(
            seconds(worker.lag_s),
            style="warn" if worker.lag_s > 0.05 and not bad else style,
            right=True,
        ),
        Cell("" if busy is None else f"{busy:.0%}", right=True, bar=busy),
        Cell("" if tasks is None else f"{tasks:.0f}", right=True),
        Cell(seconds(worker.tick_age_s), right=True),
        Cell(_now(worker), style=style, wide=True),
    )


def _now(worker: Worker) -> str:
    if not worker.blocked_s:
        return ""
    if worker.state is State.STOPPED:
        return "the system has stopped the process"
    if not worker.words:
        why = (
            "C code holds the interpreter lock, most likely"
            if worker.silent
            else "not looked at yet"
        )
        return f"no word from it: {why}"
    return _described(worker.words)


def _described(words: Mapping[str, Any]) -> str:
    entry, line, call = (str(words.get(key, "")) for key in ("entry", "line", "call"))
    place = " ".join(part for part in (line, call) if part)
    parts = [entry, place, str(words.get("because") or words.get("cause", ""))]
    return " · ".join(part for part in parts if part)


def _stalls(view: View) -> str:
    stalls = view.stalls()[:20]
    if not stalls:
        return (
            '<section><h2>Stalls</h2><p class="dim">none so far</p></section>'
            if view.workers
            else ""
        )
    rows = []
    for pid, words in stalls:
        ago = max(0.0, view.at_s - float(words.get("at", view.at_s)))
        cause = str(words.get("cause", "")) + (", start-up" if words.get("startup") else "")
        rows.append((
            Cell(f"{seconds(ago)} ago", right=True),
            Cell(seconds(float(words.get("held_ns", 0)) / 1e9), right=True),
            Cell(cause, title=str(words.get("because", ""))),
            Cell(str(words.get("entry", "")), wide=True),
            Cell(str(words.get("line", "")), wide=True, code=True, title=str(words.get("site", ""))),
            Cell(str(words.get("call", "")), wide=True, code=True),
            Cell(str(words.get("victims", "")), right=True),
            Cell(str(pid), right=True),
        ))  # fmt: skip
    heads = ("over", "held", "cause", "entry", "line", "call", "victims", "worker")
    return table_markup(Table("Stalls", heads, tuple(rows), "the last twenty that are over"))


def _omissions(workers: Iterable[Worker]) -> str:
    """What does not stand here, said once."""
    left = sorted({name for w in workers for name in w.snapshot.get("left_out", ())})
    if not left:
        return ""
    return f'<p class="dim">no room in shared memory for: {escape(", ".join(left))}</p>'


def _gauge(worker: Worker, name: str) -> float | None:
    for packed in worker.snapshot.get("families", ()):
        if packed[0] == name and packed[4]:
            return float(packed[4][0][1])
    return None


def table_markup(table: Table) -> str:
    """A section with its heading; on a phone each row becomes a card."""
    blank = (Cell(""),) * len(table.heads)
    heads = "".join(
        f'<th scope="col"{_class(_kind(cell))}>{escape(head)}</th>'
        for head, cell in zip(table.heads, (*table.rows, blank)[0], strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(_cell(cell, head) for cell, head in zip(row, table.heads, strict=True))
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="dim">{escape(table.note)}</p>' if table.note else ""
    return (
        f"<section><h2>{escape(table.title)}</h2><div><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}</section>"
    )


def _cell(cell: Cell, head: str) -> str:
    text = escape(cell.text)
    if cell.code and text:
        text = f"<code>{text}</code>"
    if cell.href.startswith("http"):
        text = f'<a href="{escape(cell.href)}">{text}</a>'
    if cell.bar is not None:
        text += f'<meter max="1" value="{cell.bar:.2f}"></meter>'
    classes = " ".join(filter(None, (cell.style, _kind(cell), "" if cell.text else "none")))
    title = f' title="{escape(cell.title)}"' if cell.title else ""
    return f'<td data-head="{escape(head)}"{_class(classes)}{title}>{text}</td>'


def _kind(cell: Cell) -> str:
    return "r" if cell.right else "w" if cell.wide else ""


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
