"""A run in GitHub Actions: annotations at the lines to blame, and the summary of the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from unstall.model.finding import Severity, is_proved
from unstall.model.proof import Run
from unstall.model.report import WitnessVerdict
from unstall.report import run_markdown
from unstall.report.github import MOST_OF_A_KIND, annotation, data, plain
from unstall.report.run_figures import culprits, figures_of, gate_line, headline, judged_line
from unstall.report.run_text import change_line
from unstall.triage.gate import missed, unmeasured
from unstall.triage.regression import Change, regressions

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable with the name of the file that a step's summary is appended to."""


def render(run: Run, changes: Sequence[Change] = ()) -> str:
    """Without a final newline. What would not be shown as an annotation is a plain line of the log."""
    errors = [
        *(annotation("error", each) for each in culprits(run) if is_proved(each)),
        *(
            _error(f"{each.name}: {each.because}", str(each.verdict))
            for each in figures_of(run)
            if each.verdict is WitnessVerdict.FROZEN
        ),
        *(_error(judged_line(each), "threshold missed") for each in missed(run)),
        *(_error(change_line(each), "regression") for each in regressions(changes)),
    ]
    warnings = [
        *(
            annotation("notice" if each.severity is Severity.NOTE else "warning", each)
            for each in culprits(run)
            if not is_proved(each)
        ),
        *(f"::warning title=unstall::{data(judged_line(each))}" for each in unmeasured(run)),
    ]
    told: list[str] = []
    for kind in (errors, warnings):
        told += kind[:MOST_OF_A_KIND]
        told += [plain(line.rpartition("::")[2]) for line in kind[MOST_OF_A_KIND:]]
    told += [plain(gap) for gap in run.gaps]
    told += [plain(line) for line in (headline(run), gate_line(run, changes)) if line]
    return "\n".join(told)


def summarise(run: Run, changes: Sequence[Change], environ: Mapping[str, str]) -> None:
    """Appends to the step's summary, if there is one. Raises OSError when it cannot be written."""
    if name := environ.get(SUMMARY):
        with Path(name).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{run_markdown.render(run, changes)}\n")


def _error(text: str, title: str) -> str:
    return f"::error title=unstall {title}::{data(text)}"
