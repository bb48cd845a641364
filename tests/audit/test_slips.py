"""A mistake in the analysis costs what it was made in: the rest is audited, and the mistake is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unstall.audit import audit as front
from unstall.audit import judge, paths, program
from unstall.audit.audit import audit
from unstall.audit.calls import Calls
from unstall.audit.fastapi_routes import Paths
from unstall.audit.rules import CHECKS, Check, threads
from unstall.audit.slips import Slips
from unstall.model.report import Verdict

SERVICE = """
import requests
from fastapi import FastAPI
app = FastAPI()

@app.get("/odd")
async def odd():
    return requests.get("a", timeout=1)

@app.get("/plain")
async def plain():
    return requests.post("b", timeout=1)
"""
BLOCKING = frozenset({"US102"})


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(SERVICE)
    return tmp_path


def odd_fails(real: Callable[..., Any], where: int) -> Callable[..., Any]:
    """`real`, which raises for whatever belongs to the function `odd`."""

    def fails(*args: Any) -> Any:
        if "odd" in str(args[where]):
            raise ZeroDivisionError
        return real(*args)

    return fails


def of_call(self: Calls, scope: Any, event: Any) -> Iterator[Any]:
    if scope.id == "main:odd":
        raise ZeroDivisionError
    yield from REAL_OF(self, scope, event)


REAL_OF = Calls._of


def shown(root: Path) -> tuple[list[str], tuple[str, ...]]:
    """Functions with a finding, and the gaps."""
    report = audit(root, only=BLOCKING)
    return [each.site.function for each in report.findings if each.site], report.gaps


def test_a_call_that_cannot_be_worked_out_is_told_and_the_others_are(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Calls, "_of", of_call)

    found, gaps = shown(service)

    assert found == ["plain"]
    assert gaps == (
        "main.py: the analysis of main:odd failed (ZeroDivisionError); please report it",
    )


@pytest.mark.parametrize(
    ("module", "name", "where"),
    [(judge, "hit_of", 0), (judge, "_finding", 2), (program, "parse_data", 0)],
)
def test_each_stage_goes_on_without_what_it_fails_at(
    service: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, where: int
) -> None:
    (service / "odd.py").write_text("")
    (service / "main.py").write_text(SERVICE.replace('"a"', '"odd"'))
    monkeypatch.setattr(module, name, odd_fails(getattr(module, name), where))

    found, gaps = shown(service)

    assert "plain" in found
    assert len(gaps) == 1
    assert "(ZeroDivisionError)" in gaps[0]
    assert "odd" in gaps[0]


def test_a_route_that_cannot_be_made_out_leaves_the_other_routes(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Paths, "served", odd_fails(Paths.served, 1))

    report = audit(service, only=BLOCKING)

    assert [path.entry.name for path in report.paths] == ["GET /plain"]
    assert len(report.findings) == 2  # `odd` is still an async function, which somebody runs
    assert report.gaps == (
        "main.py: the analysis of main:odd failed (ZeroDivisionError); please report it",
    )


def test_a_path_that_cannot_be_told_leaves_the_findings(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths._Paths, "steps", odd_fails(paths._Paths.steps, 1))

    report = audit(service, only=BLOCKING)

    assert len(report.findings) == 2
    assert [path.entry.name for path in report.paths] == ["GET /plain"]
    assert "GET /odd" in report.gaps[0]


def test_a_rule_that_fails_leaves_the_others(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(subject: object) -> Iterator[Any]:
        yield from threads.check_never_awaits(subject)  # type: ignore[arg-type]
        raise ZeroDivisionError

    monkeypatch.setattr("unstall.audit.rules.CHECKS", (Check(("US306",), broken), *CHECKS))

    report = audit(service)

    assert {each.code for each in report.findings} >= {"US102", "US306"}
    assert report.gaps == (
        "the analysis of rule US306 failed (ZeroDivisionError); please report it",
    )


def test_where_nothing_is_left_nothing_is_said(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(front, "work_out", broken)

    report = audit(service)

    assert (report.verdict, report.findings) == (Verdict.NOT_ENOUGH_DATA, ())
    assert report.gaps == (
        "the analysis of the project failed (ZeroDivisionError); please report it",
    )


def test_the_same_is_told_once_and_many_are_counted() -> None:
    slips = Slips()
    for number in [*range(25), 0]:
        with slips.kept("a.py", f"f{number}"):
            raise RecursionError
    with slips.kept("a.py", "fine"):
        pass

    gaps = slips.gaps()

    assert gaps[0] == "a.py: f0 is nested too deeply to analyse"
    assert len(gaps) == 21
    assert gaps[-1] == "5 more functions could not be analysed"
