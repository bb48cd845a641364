"""Parts of one load that were sent by several machines: which is whose, and the whole again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from hashlib import sha256

from unstall.errors import UsageError
from unstall.load.engine import Share
from unstall.load.phase import felt_of
from unstall.model.codec import dump
from unstall.model.outcome import Outcome
from unstall.model.plan import Plan
from unstall.model.proof import SHARD, Phase, Run
from unstall.triage.thresholds import from_outside, judge

START = "start"
"""Where the machine of a part says when all began."""
OF_THE_WHOLE = "thresholds are for the whole: unstall load merge holds it to them"
MOST = 1_000


def share_of(text: str) -> Share:
    """From `1/4`. Raises UsageError."""
    which, slash, of = text.partition("/")
    if slash and which.isdecimal() and of.isdecimal() and 1 <= int(which) <= int(of) <= MOST:
        return Share(int(which) - 1, int(of))
    raise UsageError(f"--shard is {text!r}: give which of how many, as in 1/4")


def fingerprint(plan: Plan) -> str:
    """Of what is sent; not of where the plan lies."""
    text = json.dumps(dump(replace(plan, file="")), sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]


def merged(runs: Sequence[tuple[str, Run]]) -> Run:
    """The whole, from all parts, each with the name of its file.

    Raises UsageError for what is no part, twice the same one, one that is missing, and parts of different
    plans, targets or starts.
    """
    if not runs:
        raise UsageError("there is nothing to merge: name the files that --shard and --json wrote")
    (first_file, first), *rest = runs
    _check_part(first_file, first)
    for file, run in rest:
        _check_part(file, run)
        for what, one, other in _alike(first, run):
            if one != other:
                raise UsageError(
                    f"{file} has {what} {other} and {first_file} has {one}: "
                    "merge parts of one run only"
                )
    _check_whole(runs)
    phases = tuple(_phase(group) for group in zip(*(run.phases for _, run in runs), strict=True))
    thresholds, gaps = from_outside(first.plan.thresholds)
    told = [gap for _, run in runs for gap in run.gaps if gap != OF_THE_WHOLE]
    return replace(
        first,
        phases=phases,
        thresholds=judge(thresholds, phases),
        verdict=phases[0].verdict if phases else first.verdict,
        gaps=tuple(dict.fromkeys((*told, *gaps))),
        interrupted=any(run.interrupted for _, run in runs),
        machine={START: first.machine[START], "shards": str(len(runs))},
    )


def _check_part(file: str, run: Run) -> None:
    if not {SHARD, START} <= set(run.machine):
        raise UsageError(f"{file} is no part of a load: name what --shard and --json wrote")


def _alike(one: Run, other: Run) -> list[tuple[str, str, str]]:
    """What must be the same, in words."""
    return [
        ("the plan", fingerprint(one.plan), fingerprint(other.plan)),
        ("the target", one.target, other.target),
        ("the start", one.machine[START], other.machine[START]),
        ("the number of shards", _of(one), _of(other)),
        ("this many phases:", str(len(one.phases)), str(len(other.phases))),
    ]


def _check_whole(runs: Sequence[tuple[str, Run]]) -> None:
    files: dict[str, str] = {}
    for file, run in runs:
        shard = run.machine[SHARD]
        if shard in files:
            raise UsageError(f"{file} and {files[shard]} are both shard {shard}: name each once")
        files[shard] = file
    of = share_of(next(iter(files))).of
    missing = [text for which in range(of) if (text := f"{which + 1}/{of}") not in files]
    if missing:
        raise UsageError(
            f"shard {missing[0]} is missing: without it less was sent than was planned; name its file"
        )


def _of(run: Run) -> str:
    return run.machine[SHARD].partition("/")[2]


def _phase(parts: Sequence[Phase]) -> Phase:
    outcome = reduce(Outcome.__add__, (part.outcome for part in parts))
    ended = next((part.ended for part in parts if part.ended), "")
    verdict, because = felt_of(outcome, ended)
    seconds = max(part.seconds for part in parts)
    return replace(
        parts[0], outcome=outcome, verdict=verdict, because=because, ended=ended, seconds=seconds
    )
