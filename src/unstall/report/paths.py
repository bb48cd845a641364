"""The anatomy of a request as a tree: each step, where it runs, and why it is clean or what blocks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from unstall.errors import UsageError
from unstall.model.finding import Finding
from unstall.model.path import Blocking, PathStep, RequestPath
from unstall.report.blocks import WIDTH, paint, wrapped
from unstall.report.chain import chain_below, short, shown
from unstall.report.units import counted
from unstall.triage.select import lies_on

LOOP = "loop"
_TRUNK, _SPACE = "│  ", "   "
_BRANCH, _LAST = "├─ ", "└─ "


@dataclass(frozen=True, slots=True)
class Look:
    """How much is drawn, and how."""

    colour: bool = False
    width: int = WIDTH
    unknown: int = 5
    """Unknown calls of a step; beyond them their number."""
    waived: Mapping[str, str] = field(default_factory=dict)
    """Reasons, by the finding's fingerprint."""
    findings: Sequence[Finding] = ()
    """Those that are no blocking call of a step stand below the step that they are about."""


PLAIN = Look()


def render(paths: Sequence[RequestPath], look: Look = PLAIN) -> str:
    """One tree after the other, without a final newline."""
    return "\n\n".join("\n".join(_tree(path, look)) for path in paths)


def chosen(paths: Sequence[RequestPath], name: str) -> tuple[RequestPath, ...]:
    """The paths that a user means by `POST /asr`, `/asr` or a function's name.

    Raises UsageError, with the nearest route, if there is none.
    """
    wanted = _normal(name)
    found = tuple(path for path in paths if wanted in _names(path))
    found = found or tuple(path for path in paths if _ends_with(path, wanted))
    if found:
        return found
    if not paths:
        raise UsageError(f"--path {name!r} cannot be shown: no route was found")
    spoken = {each: path.entry.name for path in paths for each in _names(path)}
    near = get_close_matches(wanted, spoken, n=1, cutoff=0.4)
    some = ", ".join(repr(path.entry.name) for path in paths[:3])
    advice = f"did you mean {spoken[near[0]]!r}?" if near else f"there are {some}, …"
    raise UsageError(f"--path {name!r} is no route here; {advice}")


def verdict_of(path: RequestPath, others: int = 0) -> str:
    """What a request comes to, in one clause; `others`: findings on it that are no blocking call."""
    blocking = [each for step in path.steps for each in step.blocking]
    frozen = [each for each in blocking if each.place == LOOP]
    said = [_blocked(frozen, "the loop")] if frozen else []
    if held := len(blocking) - len(frozen):
        said.append(f"{counted(held, 'call')} in threads")
    unknown = sum(len(step.unknown) for step in path.steps)
    if others:
        said.append(counted(others, "other finding" if blocking else "finding"))
    elif not blocking:
        said.append("nothing known blocks" if unknown else "clean")
    if hops := sum(step.hops for step in path.steps):
        said.append(counted(hops, "thread hop"))
    if unknown:
        said.append(counted(unknown, "unknown call"))
    return ", ".join(said)


def is_blocked(step: PathStep) -> bool:
    return any(each.place == LOOP for each in step.blocking)


def _blocked(calls: Sequence[Blocking], whom: str) -> str:
    endless = sum(each.cost == "unbounded" for each in calls)
    worst = " without a bound" if endless == len(calls) else f", {endless} without a bound"
    worst = worst if endless else ""
    verb = "holds" if len(calls) == 1 else "hold"
    return f"{counted(len(calls), 'call')} {verb} {whom}{worst}"


def _tree(path: RequestPath, look: Look) -> Iterator[str]:
    others = others_of(path, look.findings)
    style = "bad" if any(map(is_blocked, path.steps)) else "fair" if others else "good"
    yield f"{paint(path.entry.name, 'bold', look.colour)}  {path.file}:{path.line}"
    count = sum(map(len, others.values()))
    yield from _hung("", verdict_of(path, count), style, look)
    yield from _branches(nested(path.steps), "", look, others)


Others = Mapping[PathStep, Sequence[Finding]]


def others_of(path: RequestPath, findings: Iterable[Finding]) -> Others:
    """Findings on the path that are no blocking call of it, each by the one step that it is about."""
    marks = {each.fingerprint for step in path.steps for each in step.blocking}
    found: dict[PathStep, list[Finding]] = {}
    for finding in findings:
        if path.steps and finding.fingerprint not in marks and lies_on(finding, path):
            found.setdefault(_step_of(path, finding), []).append(finding)
    return found


def _step_of(path: RequestPath, finding: Finding) -> PathStep:
    """Where its site lies, else the step it is reached through, else what answers the request."""
    functions = [hop.function for hop in finding.reach]
    if finding.site is not None:
        functions.append(finding.site.function)
    for function in reversed(functions):
        for step in path.steps:
            if short(step.function) == function:
                return step
    entries = {entry.function for entry in finding.entries}
    named = (step for step in path.steps if step.function in entries)
    return next(named, path.steps[-1])


def _branches(nodes: Sequence[Node], margin: str, look: Look, others: Others) -> Iterator[str]:
    for node in nodes:
        is_last = node is nodes[-1]
        below = margin + (_SPACE if is_last else _TRUNK)
        head = paint(_head(node.step), "bold", look.colour)
        yield f"{margin}{_LAST if is_last else _BRANCH}{head}"
        inner = below + (_TRUNK if node.below else _SPACE)
        yield from _details(node.step, inner, look, others.get(node.step, ()))
        yield from _branches(node.below, below, look, others)


@dataclass(frozen=True, slots=True)
class Node:
    step: PathStep
    below: tuple[Node, ...] = ()
    """The dependencies that it needs, which run before it."""


def nested(steps: Iterable[PathStep]) -> tuple[Node, ...]:
    """From the order of running, in which a dependency comes after those below it."""
    waiting: list[Node] = []
    for step in steps:
        at = len(waiting)
        while step.kind == "dependency" and at and waiting[at - 1].step.depth > step.depth:
            at -= 1
        waiting[at:] = [Node(step, tuple(waiting[at:]))]
    return tuple(waiting)


def _head(step: PathStep) -> str:
    head = f"{step.kind} {short(step.function)}  [{step.place}]  {step.file}:{step.line}"
    return f"{head}  {counted(step.hops, 'thread hop')}" if step.hops else head


def _details(step: PathStep, margin: str, look: Look, others: Sequence[Finding]) -> Iterator[str]:
    for each in step.blocking:
        style = "bad" if each.place == LOOP else "fair"
        yield from _hung(margin, blocking_line(step, each, look.waived), style, look)
    for finding in others:
        yield from _hung(margin, finding_line(finding, look.waived), "fair", look)
    if step.blocking or others:
        if step.why:
            yield from _hung(margin, step.why, "dim", look)
    else:
        clean = "nothing known blocks" if step.unknown else "clean"
        said = f"{clean}: {step.why}" if step.why else clean
        yield from _hung(margin, said, "" if step.unknown else "good", look)
    for call in step.unknown[: look.unknown]:
        yield from _hung(margin, f"unknown: {call}", "dim", look)
    if (more := len(step.unknown) - look.unknown) > 0:
        yield from _hung(margin, f"unknown: {more} more (--unknown lists them)", "dim", look)


def finding_line(finding: Finding, waived: Mapping[str, str]) -> str:
    """`US401 shop/app.py:12  a client made for each request; likely, not certain`"""
    site = finding.site
    where = f"{finding.code} {site.file}:{site.line}" if site else finding.code
    own = next((each.because for each in finding.evidence if each.because), None)
    said = f"{finding.title}: {own}" if own else finding.title
    doubt = "" if finding.confidence == "certain" else f"{finding.confidence}, not certain"
    reason = waived.get(finding.fingerprint)
    rest = (doubt, f"waived: {reason}" if reason else "")
    return "; ".join(text for text in (f"{where}  {said}", *rest) if text)


def blocking_line(step: PathStep, blocking: Blocking, waived: Mapping[str, str]) -> str:
    """`US107 shop/audio.py:12  load [loop] → ffmpeg.run [loop]; unbounded, no time-out`"""
    doubt = "" if blocking.confidence == "certain" else f"{blocking.confidence}, not certain"
    reason = waived.get(blocking.fingerprint)
    said = (blocking.cost, blocking.time_out, doubt, f"waived: {reason}" if reason else "")
    site = blocking.site
    line = f"{blocking.code} {site.file}:{site.line}  {shown(chain_below(step, blocking))}"
    rest = ", ".join(text for text in said if text)
    return f"{line}; {rest}" if rest else line


def _hung(margin: str, text: str, style: str, look: Look) -> Iterator[str]:
    for number, line in enumerate(wrapped(text, max(20, look.width - len(margin) - 2))):
        yield margin + paint(line if number == 0 else f"  {line}", style, look.colour)


def _names(path: RequestPath) -> tuple[str, ...]:
    name, function = path.entry.name, path.entry.function
    method, _, template = name.partition(" ")
    paths = (_normal(template),) if method.isupper() and template else ()
    return (_normal(name), *paths, _normal(function), _normal(short(function)))


def _ends_with(path: RequestPath, wanted: str) -> bool:
    """Without the prefixes of its routers; the method must be the same if there is one."""
    method, _, end = wanted.rpartition(" ")
    its_method, _, template = _normal(path.entry.name).rpartition(" ")
    return (
        end.startswith("/")
        and len(end) > 1
        and template.endswith(end)
        and method in ("", its_method)
    )


def _normal(name: str) -> str:
    return " ".join(name.split()).rstrip("/").casefold() or "/"
