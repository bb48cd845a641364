"""Each rule on small services: what is marked is found, and nothing else is.

A folder of `tests/corpus` is a rule, a file or folder in it a service that is audited by itself. A line with
`# expect: US103 loop` has that finding in that place; `possible` after it: hidden by default. `# clean: why`
says why a look-alike is silent. All that is shown by default has to be expected.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from unstall.audit.audit import audit
from unstall.model.finding import Confidence, Finding
from unstall.rules import BY_CODE

CORPUS = Path(__file__).parents[1] / "corpus"
CASES = sorted(
    case for folder in CORPUS.iterdir() for case in folder.iterdir() if case.name != "__pycache__"
)
STATIC = sorted(
    code for code in BY_CODE if code not in ("US100", "US200") and not code.startswith("US9")
)
"""Rules that source can show. US100 and US200 name what the watch saw and no other rule fits."""
AT_THE_ROUTE = frozenset({"US207", "US208"})
"""Rules about what a route takes and returns: nothing of them lies behind a helper."""
EXPECT = re.compile(r"# expect: (.+)$")
CLEAN = re.compile(r"# clean: .+")


class Mark(NamedTuple):
    file: str
    line: int
    code: str
    place: str
    hidden: bool


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_exactly_what_is_marked_is_found(case: Path, tmp_path: Path) -> None:
    """Copied elsewhere, because below a folder of tests nothing is an entrance."""
    root = tmp_path / "service"
    if case.is_dir():
        shutil.copytree(case, root, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        root.mkdir()
        shutil.copy(case, root / case.name)
    expected = Counter(_expected(root))
    found = Counter(_mark(finding) for finding in audit(root).findings)
    hidden = Counter({mark: count for mark, count in found.items() if mark.hidden})
    assert sorted((found & expected).elements()) == sorted(expected.elements())
    assert sorted((found - expected - hidden).elements()) == []


@pytest.mark.parametrize("code", STATIC)
def test_each_rule_has_its_shapes_and_their_clean_twins(code: str) -> None:
    bad, good = (6, 4) if code < "US300" else (3, 3)
    marked = [mark for case in CASES if case.parent.name == code for mark in _expected(case)]
    assert sum(mark.code == code for mark in marked) >= bad
    clean = [line for case in CASES if case.parent.name == code for line in _lines(case, CLEAN)]
    assert len(clean) >= good


@pytest.mark.parametrize("code", [code for code in STATIC if code < "US300"])
def test_each_rule_of_blocking_is_found_two_modules_away(code: str) -> None:
    case = CORPUS / code / "bad_modules"
    if code in AT_THE_ROUTE:
        assert not case.exists()
    else:
        assert code in {mark.code for mark in _expected(case) if mark.file == "store.py"}


def test_every_folder_is_a_rule_or_the_traps() -> None:
    assert {case.parent.name for case in CASES} <= {*BY_CODE, "traps"}


def test_what_is_called_good_or_fixed_has_no_finding_of_its_rule() -> None:
    wrong = [
        mark
        for case in CASES
        if case.name.startswith(("good", "fixed"))
        for mark in _expected(case)
        if mark.code == case.parent.name
    ]
    assert wrong == []


def _mark(finding: Finding) -> Mark:
    site = finding.site
    assert site is not None
    hidden = finding.confidence is Confidence.POSSIBLE or finding.impact == "trivial"
    return Mark(site.file, site.line, finding.code, finding.runs_on, hidden)


def _expected(case: Path) -> Iterator[Mark]:
    for file, number, text in _lines(case, EXPECT):
        for said in text.split(","):
            code, *words = said.split()
            hidden = words[-1:] == ["possible"]
            yield Mark(file, number, code, " ".join(words[:-1] if hidden else words), hidden)


def _lines(case: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, int, str]]:
    root, files = (case.parent, [case]) if case.is_file() else (case, sorted(case.rglob("*.py")))
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = pattern.search(line)
            if match is not None:
                yield path.relative_to(root).as_posix(), number, match[match.lastindex or 0]
