"""A run for programs: itself, as `docs/reference/run-json.md` describes it, with the figures worked out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from unstall.model.codec import dump
from unstall.model.proof import Run
from unstall.report.run_figures import figures_of
from unstall.triage.gate import gate_of
from unstall.triage.regression import Change
from unstall.triage.secrets import masked, without_secrets_of


def render(run: Run, changes: Sequence[Change] = ()) -> str:
    """Without a final newline. What comes back from `Run.from_json` is the run again, without its secrets."""
    return json.dumps(document_of(run, changes))


def document_of(run: Run, changes: Sequence[Change] = ()) -> dict[str, Any]:
    """`masked`, `figures` and `gate` are derived from the rest, for whoever adds up no histograms."""
    kept = without_secrets_of(run)
    return kept.to_json() | {
        "masked": masked(kept.plan),
        "findings": [dump(each) | {"fingerprint": each.fingerprint} for each in run.findings],
        "gate": gate_of(run, changes).name.lower().replace("_", "-"),
        "figures": [dump(each) for each in figures_of(kept)],
        "changes": [dump(each) for each in changes],
    }
