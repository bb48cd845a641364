"""What a run, or a comparison of two, is worth to a pipeline: an exit code and the reasons for it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from unstall.model.proof import Judged, Run
from unstall.model.report import WitnessVerdict
from unstall.triage.regression import Change, regressions


class Gate(enum.IntEnum):
    """The exit codes that a run can end with."""

    OPEN = 0
    SHUT = 1
    NOT_ENOUGH_DATA = 3


def gate_of(run: Run, changes: Iterable[Change] = ()) -> Gate:
    """Shut by a missed threshold, a frozen bystander or a regression; open only if enough was seen."""
    if missed(run) or regressions(changes) or run.verdict is WitnessVerdict.FROZEN:
        return Gate.SHUT
    unknown = any(each.value is None for each in run.thresholds)
    if unknown or run.interrupted or run.verdict is WitnessVerdict.NOT_ENOUGH_DATA:
        return Gate.NOT_ENOUGH_DATA
    return Gate.OPEN


def missed(run: Run) -> Sequence[Judged]:
    """Thresholds that were measured and did not hold."""
    return [each for each in run.thresholds if each.value is not None and not each.held]


def unmeasured(run: Run) -> Sequence[Judged]:
    return [each for each in run.thresholds if each.value is None]
