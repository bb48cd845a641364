"""Each call that blocks is caught with its line, however fast it was; its clean twin is not."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.trapped import codes, trapped
from tests.traps.works import BLOCKING, CLEAN, MARK, Blocking


@pytest.mark.parametrize("case", BLOCKING, ids=lambda case: case.work.__name__)
def test_a_call_that_blocks_is_found_at_its_line(case: Blocking) -> None:
    (finding,) = trapped(case.work)
    assert finding.code == case.code
    assert finding.site is not None
    assert finding.site.file == "tests/traps/works.py"
    assert finding.site.line == _marked(case.work)
    assert finding.site.call.replace("._local", "") == case.call  # pathlib in 3.13
    assert finding.entry is not None
    assert finding.entry.name.endswith("main")
    assert finding.latent


@pytest.mark.parametrize("work", CLEAN, ids=lambda work: work.__name__)
def test_its_twin_is_not(work: Callable[[], Awaitable[None]]) -> None:
    assert codes(trapped(work)) == []


def _marked(work: Any) -> int:
    lines, first = inspect.getsourcelines(work)
    return next(first + n for n, line in enumerate(lines) if line.rstrip().endswith(MARK))
