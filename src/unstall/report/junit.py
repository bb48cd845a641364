"""A run as JUnit XML, which every CI system shows: a test for each phase, threshold and change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict
from unstall.report.run_figures import (
    PhaseFigures,
    because_text,
    culprits,
    figures_of,
    headline,
    judged_line,
    stalls_text,
    time_of,
    victims_text,
)
from unstall.report.run_text import change_line, unknown_line
from unstall.report.text import culprit
from unstall.triage.regression import Change, Direction, regressions

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class _Case:
    suite: str
    name: str
    seconds: float = 0.0
    failure: str = ""
    """Empty: it passed, or was skipped."""
    skipped: str = ""
    detail: str = ""


def render(run: Run, changes: Sequence[Change] = ()) -> str:
    """Without a final newline."""
    cases = [*_phases(run), *_thresholds(run), *_changes(changes)]
    root = ElementTree.Element("testsuites", _counts("unstall", cases))
    for name in dict.fromkeys(case.suite for case in cases):
        mine = [case for case in cases if case.suite == name]
        suite = ElementTree.SubElement(root, "testsuite", _counts(name, mine))
        if run.started:
            suite.set("timestamp", _xml(run.started.removesuffix("Z")))
        for case in mine:
            _append(suite, case)
    if len(root):
        ElementTree.SubElement(root[0], "system-out").text = _xml(headline(run))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode")


# --- cases ------------------------------------------------------------------------------------


def _phases(run: Run) -> Iterator[_Case]:
    """A frozen bystander fails; a slowed one is a threshold's matter."""
    found = "\n\n".join(culprit(each) for each in culprits(run))
    for phase in figures_of(run):
        said = f"{phase.verdict}: {because_text(phase)}"
        frozen = phase.verdict is WitnessVerdict.FROZEN
        yield _Case(
            suite="unstall.phases",
            name=phase.name,
            seconds=phase.seconds,
            failure=said if frozen else "",
            skipped=said if phase.verdict is WitnessVerdict.NOT_ENOUGH_DATA else "",
            detail="\n".join(_numbers(phase)) + (f"\n\n{found}" if frozen and found else ""),
        )


def _numbers(phase: PhaseFigures) -> Iterator[str]:
    if phase.fault:
        yield f"fault: {phase.fault}"
    for stream in (*phase.streams, *([phase.witness] if phase.witness else [])):
        times = ", ".join(
            f"{name} {time_of(value)}"
            for name, value in (
                ("p50", stream.p50_ms),
                ("p95", stream.p95_ms),
                ("p99", stream.p99_ms),
            )
        )
        yield f"{stream.name}: {stream.due} due, {stream.answered} answered, {stream.errors} errors; {times}"
    told = (time_of(phase.lag_p99_ms), stalls_text(phase), victims_text(phase))
    yield "loop: lag p99 {}, {} stalls, {} victims".format(*told)


def _thresholds(run: Run) -> Iterator[_Case]:
    for judged in run.thresholds:
        unknown = judged.value is None
        yield _Case(
            suite="unstall.thresholds",
            name=f"{judged.text}{f' in {judged.phase}' if judged.phase else ''}",
            failure="" if judged.held or unknown else judged_line(judged),
            skipped=judged_line(judged) if unknown else "",
        )


def _changes(changes: Sequence[Change]) -> Iterator[_Case]:
    """One for each regression; all that did not regress is one test that passed."""
    if not changes:
        return
    unknown = [each for each in changes if each.direction is Direction.UNKNOWN]
    yield _Case(
        "unstall.baseline",
        "figures against the baseline",
        skipped=unknown_line(unknown) if len(unknown) == len(changes) else "",
    )
    for change in regressions(changes):
        yield _Case(
            "unstall.baseline", f"{change.phase}: {change.metric}", failure=change_line(change)
        )


# --- XML ----------------------------------------------------------------------------------------


def _counts(name: str, cases: Sequence[_Case]) -> dict[str, str]:
    return {
        "name": name,
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": "0",
        "skipped": str(sum(bool(case.skipped) for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _append(suite: ElementTree.Element, case: _Case) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=case.suite, name=_xml(case.name), time=f"{case.seconds:.3f}"
    )
    if case.failure:
        failure = ElementTree.SubElement(
            element, "failure", message=_xml(case.failure), type="unstall"
        )
        failure.text = _xml(case.detail or case.failure)
    elif case.skipped:
        ElementTree.SubElement(element, "skipped", message=_xml(case.skipped))
    elif case.detail:
        ElementTree.SubElement(element, "system-out").text = _xml(case.detail)


def _xml(text: str) -> str:
    """XML 1.0 has no place for control characters, not even escaped."""
    return _NOT_XML.sub("?", text)
