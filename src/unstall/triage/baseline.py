"""The findings a project has agreed to live with for now: a ratchet that only turns one way.

A known finding is silent; one that is gone is dropped when the file is written anew. Fingerprints hold no
line numbers. Findings with one fingerprint, twins, are told apart by their number.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from unstall.errors import UsageError
from unstall.model.finding import Finding
from unstall.model.report import Report
from unstall.triage.select import judged

VERSION = 1


@dataclass(frozen=True, slots=True)
class Known:
    """Findings of one fingerprint; all but the number is there for readers of the file."""

    code: str
    file: str
    function: str
    call: str
    count: int = 1


Baseline = Mapping[str, Known]
"""By fingerprint."""


def apply(report: Report, baseline: Baseline) -> Report:
    """Without what is known."""
    left = Counter({fingerprint: known.count for fingerprint, known in baseline.items()})
    kept: list[Finding] = []
    for finding in report.findings:
        if left[finding.fingerprint] > 0:
            left[finding.fingerprint] -= 1
        else:
            kept.append(finding)
    silent = len(report.findings) - len(kept)
    hidden = report.hidden | ({"baseline": silent} if silent else {})
    return judged(replace(report, findings=tuple(kept), hidden=hidden))


def gone(baseline: Baseline, findings: Iterable[Finding]) -> int:
    """How many known findings are no more; `findings` are all there are, shown or not."""
    there = Counter(finding.fingerprint for finding in findings)
    return sum(max(0, known.count - there[mark]) for mark, known in baseline.items())


def updated(
    baseline: Baseline, shown: Iterable[Finding], everything: Iterable[Finding]
) -> Baseline:
    """What is shown, and of what was known that which is still there."""
    there = Counter(finding.fingerprint for finding in everything)
    fresh = of(shown)
    kept = {
        mark: replace(known, count=min(known.count, there[mark]))
        for mark, known in baseline.items()
        if there[mark] and mark not in fresh
    }
    return kept | fresh


def of(findings: Iterable[Finding]) -> dict[str, Known]:
    found: dict[str, Known] = {}
    for finding in findings:
        mark, site = finding.fingerprint, finding.site
        if mark in found:
            found[mark] = replace(found[mark], count=found[mark].count + 1)
        else:
            place = (site.file, site.function, site.call) if site else ("", "", "")
            found[mark] = Known(finding.code, *place)
    return found


def text_of(baseline: Baseline) -> str:
    """JSON with a line for each fingerprint, so that versions of it can be merged."""
    ordered = sorted(baseline.items(), key=lambda each: (each[1].file, each[1].code, each[0]))
    lines = [
        json.dumps(
            {"fingerprint": mark, "count": known.count, "code": known.code, "file": known.file,
             "function": known.function, "call": known.call}, ensure_ascii=False,
        )
        for mark, known in ordered
    ]  # fmt: skip
    inner = "".join(f"\n  {line}," for line in lines).removesuffix(",")
    return f'{{"version": {VERSION}, "findings": [{inner}\n]}}\n'


def read(file: Path, flag: str = "--update-baseline") -> Baseline:
    """Raises UsageError for what is no baseline; a file that is not there is none, too. `flag` makes one."""
    anew = f"remove it, and write it anew with {flag}"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"the baseline {file} cannot be read ({error.strerror}): make it with {flag}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no baseline ({error}): {anew}") from None
    try:
        if document["version"] > VERSION:
            raise UsageError(
                f"the baseline {file} was written by a later unstall (version {document['version']}): "
                "upgrade unstall"
            )
        return dict(_known(each) for each in document["findings"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is no baseline ({error!r}): {anew}") from None


def write(file: Path, baseline: Baseline) -> None:
    """Whole or not at all. Raises UsageError if it cannot be."""
    file = Path(os.path.realpath(file))  # a link stays one
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        fresh.write_text(text_of(baseline), encoding="utf-8")
        if file.exists():
            fresh.chmod(file.stat().st_mode & 0o7777)
        fresh.replace(file)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise UsageError(
            f"the baseline {file} cannot be written ({error.strerror}): name a file in a folder there is"
        ) from None


_TEXTS = ("code", "file", "function", "call")


def _known(each: object) -> tuple[str, Known]:
    if not isinstance(each, dict):
        raise TypeError(f"a finding is {each!r:.60}")
    fingerprint = each["fingerprint"]
    if not isinstance(fingerprint, str):
        raise TypeError(f"a fingerprint is {fingerprint!r:.60}")
    count = each.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(f"count is {count!r}")
    code, file, function, call = (str(each.get(key, "")) for key in _TEXTS)
    return fingerprint, Known(code, file, function, call, count)
